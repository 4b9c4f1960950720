"""Which stage knows what: linear probes from each stage's activity to the tags."""

from collections.abc import Iterable, Mapping

import joblib
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


def probe(portrait: Portrait, measured: Measured | None = None, *, jobs: int = 1, seed: int = 0) -> dict[str, Interval]:
    """How well each stage's activity, averaged over a clip, tells all tags of held-out clips by a linear rule.

    Parameters
    ----------
    measured : Measured, optional
        `portrait.trained` (the default) or `portrait.control`.
    jobs : int
        Threads, each of which learns the probes of one stage at a time.
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
    numbers = (np.concatenate([heard.means[stage], heard.maxima[stage]], axis=1) for stage in portrait.stages)
    about = learned_from[:, known], portrait.pieces[held_out:], held_out
    every = joblib.Parallel(jobs, prefer="threads")(joblib.delayed(_fit_and_score)(x, *about) for x in numbers)
    found, clusters = {}, portrait.pieces[:held_out]
    for stage, scores in zip(portrait.stages, every, strict=True):
        scored = metrics.score_tags(portrait.labels[:held_out][:, known], scores, tags, clusters, 1, seed=seed)
        found[stage] = scored.macro("roc")
    return found


def measure(portrait: Portrait) -> dict[str, dict[str, Interval]]:
    """What `probe` finds in the trained network and, under "untrained", in the control where it was measured.

    Raises
    ------
    ValueError
        As `probe`.
    """
    jobs = joblib.cpu_count()
    found = {"trained": probe(portrait, jobs=jobs)}
    if portrait.control:
        found["untrained"] = probe(portrait, portrait.control, jobs=jobs)
    return found


def table(found: Mapping[str, Mapping[str, Interval]]) -> pd.DataFrame:
    """What `measure` found as text, stage by stage."""
    return pd.DataFrame({name: {stage: str(each) for stage, each in of.items()} for name, of in found.items()})


def _both(labels: np.ndarray) -> np.ndarray:
    """Which tags some clips have and others lack."""
    return labels.any(axis=0) & ~labels.all(axis=0)


def _fit_and_score(x: np.ndarray, labels: np.ndarray, pieces: np.ndarray, held_out: int) -> np.ndarray:
    """Log-odds of the held-out clips, which come first in `x`, by probes with the best penalty."""
    seen = x[held_out:]
    areas = _cross_validated(seen, labels, GroupKFold(min(FOLDS, len(set(pieces)))).split(seen, groups=pieces))
    components = _components(seen)
    probes = _learn(components.transform(seen), labels, max(PENALTIES, key=areas.get))
    return probes.decision_function(components.transform(x[:held_out])).reshape(held_out, -1)


def _cross_validated(x: np.ndarray, labels: np.ndarray, folds: Iterable) -> dict[float, float]:
    """By penalty the mean ROC-AUC over folds and the tags that both sides of a fold can tell."""
    areas: dict[float, list[float]] = {penalty: [] for penalty in PENALTIES}
    for train, valid in folds:
        known = _both(labels[train]) & _both(labels[valid])
        if not known.any():
            continue
        components = _components(x[train])
        learned_from, heard = components.transform(x[train]), components.transform(x[valid])
        for penalty, found in areas.items():
            scores = _learn(learned_from, labels[train][:, known], penalty).decision_function(heard)
            told = zip(labels[valid][:, known].T, scores.reshape(len(valid), -1).T, strict=True)
            found += [float(metrics.roc_auc(*each)) for each in told]
    return {penalty: float(np.mean(found)) if found else 0.0 for penalty, found in areas.items()}


def _components(x: np.ndarray) -> Pipeline:
    """All principal components of standardised numbers: they tell probes the same, and are fewer than channels."""
    return make_pipeline(StandardScaler(), PCA()).fit(x)


def _learn(components: np.ndarray, labels: np.ndarray, penalty: float) -> OneVsRestClassifier:
    """One probe for each tag."""
    probes = OneVsRestClassifier(LogisticRegression(C=penalty, max_iter=300))
    return probes.fit(components, labels.astype(int))
