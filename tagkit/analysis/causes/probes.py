"""Which stage knows what: linear probes from each stage's activity to the tags."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tagkit.analysis.portrait import Measured, Portrait
from tagkit.evaluation import metrics
from tagkit.evaluation.intervals import Interval

PENALTIES = (0.001, 0.01, 0.1, 1.0)  # C of scikit-learn: the smaller, the simpler the probe
FOLDS = 4


def probe(portrait: Portrait, measured: Measured | None = None, seed: int = 0) -> dict[str, Interval]:
    """How well each stage's activity, averaged over a clip, tells all tags of held-out clips by a linear rule.

    Parameters
    ----------
    measured : Measured, optional
        `portrait.trained` (the default) or `portrait.control`.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict of str -> Interval
        By stage, macro ROC-AUC on the held-out clips, with its interval over pieces.

    Raises
    ------
    ValueError
        The portrait holds no clips, or no tags, that the probes could learn from.

    Notes
    -----
    Logistic regression, one for each tag, on the mean and the maximum over time of every channel, standardised. It
    learns from the clips that are not held out, those of the network's own training included: a probe says what a stage
    makes easy to read, not what the network has learned by itself, so read it beside the control's. The strength of
    the penalty is chosen for each stage by cross-validation over pieces. Alain and Bengio, "Understanding intermediate
    layers using linear classifier probes", 2016.
    """
    heard, held_out = (measured or portrait.trained).heard, portrait.held_out
    if len(portrait.labels) <= held_out:
        raise ValueError(f"{portrait.name}: all {held_out} clips of the portrait are held out; measure more clips.")
    learned_from = portrait.labels[held_out:]
    known = _both(learned_from) & _both(portrait.labels[:held_out])
    if not known.any():
        raise ValueError(f"{portrait.name}: no tag is in some clips of both parts and not in all; measure more clips.")
    tags = tuple(np.array(portrait.tags)[known])
    found = {}
    for stage in portrait.stages:
        x = np.concatenate([heard.means[stage], heard.maxima[stage]], axis=1)
        scores = _fit_and_score(x, learned_from[:, known], portrait.pieces[held_out:], held_out)
        clusters = portrait.pieces[:held_out]
        scored = metrics.score_tags(portrait.labels[:held_out][:, known], scores, tags, clusters, 1, seed=seed)
        found[stage] = scored.macro("roc")
    return found


def table(portrait: Portrait) -> pd.DataFrame:
    """What `probe` finds, stage by stage, of the trained network and, where it was measured, the control."""
    columns = {"trained": probe(portrait)}
    if portrait.control:
        columns["untrained"] = probe(portrait, portrait.control)
    return pd.DataFrame({name: {k: str(v) for k, v in found.items()} for name, found in columns.items()})


def _both(labels: np.ndarray) -> np.ndarray:
    """Which tags some clips have and others lack."""
    return labels.any(axis=0) & ~labels.all(axis=0)


def _fit_and_score(x: np.ndarray, labels: np.ndarray, pieces: np.ndarray, held_out: int) -> np.ndarray:
    """Log-odds of the held-out clips, which come first in `x`, by probes with the best penalty."""
    seen = x[held_out:]
    folds = list(GroupKFold(min(FOLDS, len(set(pieces)))).split(seen, groups=pieces))
    best = max(PENALTIES, key=lambda penalty: _cross_validated(seen, labels, folds, penalty))
    return _learn(seen, labels, best).decision_function(x[:held_out]).reshape(held_out, -1)


def _cross_validated(x: np.ndarray, labels: np.ndarray, folds: Sequence, penalty: float) -> float:
    """Mean ROC-AUC over folds and the tags that both sides of a fold can tell."""
    areas = []
    for train, valid in folds:
        known = _both(labels[train]) & _both(labels[valid])
        if known.any():
            scores = _learn(x[train], labels[train][:, known], penalty).decision_function(x[valid])
            scores = scores.reshape(len(valid), -1)
            areas += [metrics.roc_auc(labels[valid][:, k], scores[:, i]) for i, k in enumerate(np.flatnonzero(known))]
    return float(np.mean(areas)) if areas else 0.0


def _learn(x: np.ndarray, labels: np.ndarray, penalty: float) -> Pipeline:
    """One probe for each tag. All principal components are kept: the same probes, with fewer numbers than channels."""
    probes = OneVsRestClassifier(LogisticRegression(C=penalty, max_iter=300))
    return make_pipeline(StandardScaler(), PCA(), probes).fit(x, labels.astype(int))
