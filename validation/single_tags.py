"""Coverage of 95 % intervals of single tags.

The test parts of the coverage of macro scores, one tag at a time, for easy tags as well. An interval is unknown where
too few clusters hold a positive clip, or too few a negative one, and for a score of exactly 1: the column says how
often. The rate is that of the intervals that are known; it should be at least .90, and is above .95 where few
clusters make intervals wide.
"""

import numpy as np

from tagkit.evaluation import metrics
from validation import populations
from validation.coverage import Count
from validation.findings import Rate
from validation.populations import Population

AUCS = (0.55, 0.75, 0.91, 0.99, 0.995, 0.999)
QUICK_TRIALS, TRIALS, RESAMPLES = 10, 120, 150


def run(quick: bool) -> list[Rate]:
    """Count how often intervals of single tags hold the truth."""
    aucs = (0.91, 0.995) if quick else AUCS
    trials = QUICK_TRIALS if quick else TRIALS
    parts = (populations.DEMO, populations.RECORDINGS)
    return [rate for part in parts for auc in aucs for rate in _coverage(part, auc, trials)]


def _coverage(part: Population, auc: float, trials: int) -> list[Rate]:
    rng = np.random.default_rng([1, len(part.sizes), round(1000 * auc)])
    counts = {"roc": Count(), "pr": Count()}
    for trial in range(trials):
        labels = part.labels(rng)
        scores = populations.separation(auc) * labels + part.noise(rng)
        tags = tuple(map(str, range(labels.shape[1])))
        found = metrics.score_tags(labels, scores, tags, part.clusters, part.min_positives, RESAMPLES, trial)
        for k, tag in enumerate(found.tags):
            share = labels[:, int(tag)].mean()
            counts["roc"].add(found.tag("roc", k), auc)
            counts["pr"].add(found.tag("pr", k), populations.average_precisions(auc, share))
    names = {"roc": "ROC-AUC", "pr": "PR-AUC"}
    return [
        count.rate(f"{names[metric]} of a tag, {part.name}, true ROC-AUC {auc:g}", 0.90, 1.0)
        for metric, count in counts.items()
    ]
