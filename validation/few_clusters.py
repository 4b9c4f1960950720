"""Coverage where clusters are few.

Test parts with 3 to 12 clusters of 3, 5 and 8 clips and ten tags. Unequal clusters tell as much as fewer equal ones:
with fewer than three of those the interval is unknown. Coverage should be at least .90; the fewer the clusters, the
wider and the more cautious the intervals.
"""

from validation.coverage import coverage
from validation.findings import Rate
from validation.populations import Population

PREVALENCE = (0.15, 0.15, 0.2, 0.2, 0.25, 0.25, 0.3, 0.3, 0.35, 0.4)
QUICK_TRIALS, TRIALS = 40, 500


def run(quick: bool) -> list[Rate]:
    """Count how often intervals hold the truth."""
    counts, aucs = ((3, 8), (0.91,)) if quick else ((3, 4, 5, 6, 8, 12), (0.55, 0.91))
    trials = QUICK_TRIALS if quick else TRIALS
    return [rate for count in counts for auc in aucs for rate in coverage(_part(count), auc, trials, 0.90, 1.0)]


def _part(clusters: int) -> Population:
    sizes = tuple((3, 5, 8)[k % 3] for k in range(clusters))
    return Population(f"{clusters} clusters", sizes, PREVALENCE, label_likeness=0.3, min_positives=2)
