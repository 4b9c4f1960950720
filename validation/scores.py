"""ROC-AUC and average precision of single test parts.

Scores with many ties and with whole-number weights, as bootstrap resamples have them. sklearn computes average
precision as precision at each distinct score, weighted by the recall gained there; trapezoids under the
precision-recall curve are another number. Brute force counts pairs of a positive and a negative clip.
"""

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from tagkit.evaluation import metrics
from validation.findings import Agreement

TOLERANCE = 1e-9


def run(quick: bool) -> list[Agreement]:
    """Compare single scores; the largest disagreement over many draws stands for all."""
    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[float, float, str]]] = {}
    for _ in range(20 if quick else 200):
        labels, scores = rng.random(150) < 0.2, rng.integers(0, 12, 150) / 12
        weights = rng.integers(0, 4, 150).astype(float)
        roc, precision = metrics.roc_auc(labels, scores), metrics.average_precision(labels, scores)
        weighted = metrics.roc_auc(labels, scores, weights[None])[0]
        precise = metrics.average_precision(labels, scores, weights[None])[0]
        for name, tool, independent, source in (
            ("ROC-AUC, ties", roc, roc_auc_score(labels, scores), "sklearn"),
            ("ROC-AUC, ties, counted in pairs", roc, _pairs(labels, scores), "brute force"),
            ("average precision, ties", precision, average_precision_score(labels, scores), "sklearn"),
            ("ROC-AUC of a resample", weighted, roc_auc_score(labels, scores, sample_weight=weights), "sklearn"),
            ("average precision of a resample", precise, _repeated(labels, scores, weights), "sklearn, clips repeated"),
        ):
            found.setdefault(name, []).append((float(tool), float(independent), source))
    worst = {name: max(each, key=lambda pair: abs(pair[0] - pair[1])) for name, each in found.items()}
    return [Agreement(name, tool, other, source, TOLERANCE) for name, (tool, other, source) in worst.items()]


def _pairs(labels: np.ndarray, scores: np.ndarray) -> float:
    """Share of pairs of a positive and a negative clip in which the positive scores higher; a tie is half a pair."""
    gap = scores[labels][:, None] - scores[~labels]
    return float(np.mean((gap > 0) + (gap == 0) / 2))


def _repeated(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    clips = np.repeat(np.arange(len(labels)), weights.astype(int))
    return float(average_precision_score(labels[clips], scores[clips]))
