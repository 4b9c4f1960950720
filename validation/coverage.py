"""Coverage of 95 % intervals of macro scores.

Simulated test parts whose true ROC-AUC is known, the same for every tag. "61 clusters" has the sizes and the share of
positives of the demo's test part, "16 clusters" those of a small collection of recordings whose artists have 1 to 14
clips, where tags with fewer than 5 positive clips are left out. The true average precision is that of endless clips
with the test part's own share of positives; "of the population" means endless clips with the share that the test
part's labels were drawn with. With 61 clusters the rate should lie between .92 and .98, with 16 at or above .90.
"""

import numpy as np

from tagkit.evaluation import metrics
from validation import populations
from validation.findings import Rate
from validation.populations import Population

AUCS = (0.55, 0.75, 0.91, 0.99)
BOUNDS = {populations.DEMO: (0.92, 0.98), populations.RECORDINGS: (0.90, 1.0)}
QUICK_TRIALS, TRIALS, RESAMPLES = 40, 2_000, 150


def run(quick: bool) -> list[Rate]:
    """Count how often intervals hold the truth."""
    aucs = (0.55, 0.91) if quick else AUCS
    return [
        rate
        for part, bounds in BOUNDS.items()
        for auc in aucs
        for rate in coverage(part, auc, QUICK_TRIALS if quick else TRIALS, *bounds)
    ]


def coverage(part: Population, auc: float, trials: int, low: float, high: float) -> list[Rate]:
    """Of macro ROC-AUC and macro average precision."""
    rng = np.random.default_rng([len(part.sizes), round(1000 * auc)])
    counts = {name: Count() for name in ("macro ROC-AUC", "macro PR-AUC", "macro PR-AUC of the population")}
    for trial in range(trials):
        labels = part.labels(rng)
        scores = populations.separation(auc) * labels + part.noise(rng)
        kept = labels.sum(0) >= part.min_positives
        tags = tuple(map(str, range(labels.shape[1])))
        found = metrics.score_tags(labels, scores, tags, part.clusters, part.min_positives, RESAMPLES, trial)
        shares = labels[:, kept].mean(0), np.array(part.prevalence)
        own, whole = (populations.average_precisions(auc, each).mean() for each in shares)
        pairs = ((found.macro("roc"), auc), (found.macro("pr"), own), (found.macro("pr"), whole))
        for count, (interval, truth) in zip(counts.values(), pairs, strict=True):
            count.add(interval, truth)
    if part.min_positives > 1:  # tags are chosen by their share in the test part
        del counts["macro PR-AUC of the population"]
    return [c.rate(f"{name}, {part.name}, true ROC-AUC {auc:g}", low, high) for name, c in counts.items()]


class Count:
    """How often intervals hold the truth, how wide they are, and how often they are unknown."""

    def __init__(self):
        self.hits = self.trials = self.unknown = 0
        self.widths = 0.0

    def add(self, interval, truth: float) -> None:
        """Count one interval: anything with `low` and `high`, NaN where unknown."""
        if np.isnan(interval.low):
            self.unknown += 1
            return
        self.trials += 1
        self.hits += bool(interval.low <= truth <= interval.high)
        self.widths += interval.high - interval.low

    def rate(self, name: str, low: float, high: float) -> Rate:
        """What was counted, with the bounds that coverage should keep."""
        width = self.widths / self.trials if self.trials else None
        unknown = self.unknown / max(self.trials + self.unknown, 1)
        return Rate(name, self.hits, self.trials, low, high, width, unknown)
