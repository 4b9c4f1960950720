"""Scores of exclusive classes, such as genres: accuracy, balanced accuracy and the confusion matrix, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tagkit.evaluation.intervals import Interval, effective_clusters, interval
from tagkit.evaluation.metrics import cluster_weights

METRICS = ("accuracy", "balanced_accuracy")


@dataclass(frozen=True, eq=False)
class Classes:
    """How often the class with the highest score is the clip's own.

    Attributes
    ----------
    names : tuple of str
    accuracy : Interval
        Share of the clips that are recognised.
    balanced_accuracy : Interval
        Mean over the classes that occur of the share of their clips that is recognised.
    confusion : ndarray of int (classes, classes)
        Clips by their class (rows) and the class that they were taken for (columns).
    shares : tuple of tuple of Interval
        As `confusion`, as shares of the row's clips; NaN where a class has no clips.
    """

    names: tuple[str, ...]
    accuracy: Interval
    balanced_accuracy: Interval
    confusion: np.ndarray = field(repr=False)
    shares: tuple[tuple[Interval, ...], ...] = field(repr=False)

    def table(self) -> pd.DataFrame:
        """The shares as people read them, (classes, classes): one row for each class, with its number of clips."""
        rows = [f"{name} ({count})" for name, count in zip(self.names, self.confusion.sum(1), strict=True)]
        texts = [[str(share) if np.isfinite(share.value) else "" for share in row] for row in self.shares]
        return pd.DataFrame(texts, pd.Index(rows, name="class (clips)"), list(self.names))

    def to_json(self) -> dict:
        """Plain JSON types; `from_json` reads them."""
        return {
            "names": list(self.names),
            **{m: _plain(getattr(self, m)) for m in METRICS},
            "confusion": self.confusion.tolist(),
            "shares": [[_plain(share) for share in row] for row in self.shares],
        }

    @classmethod
    def from_json(cls, content: dict) -> "Classes":
        """From `to_json`; KeyError if something is missing."""
        return cls(
            tuple(content["names"]),
            **{m: _interval(content[m]) for m in METRICS},
            confusion=np.array(content["confusion"], int),
            shares=tuple(tuple(_interval(share) for share in row) for row in content["shares"]),
        )


def score_classes(
    labels: np.ndarray,
    scores: np.ndarray,
    names: Sequence[str],
    clusters: np.ndarray,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Classes, dict[str, np.ndarray]]:
    """Score exclusive classes, with the resamples of `tagkit.evaluation.metrics.score_tags`.

    Parameters
    ----------
    labels : ndarray of bool (clips, classes)
        One in each row.
    scores : ndarray (clips, classes)
        Of equal scores, the first class counts.
    names : sequence of str (classes,)
    clusters : ndarray (clips,)
        Name of the cluster of each clip.
    resamples : int
        Of whole clusters.
    seed : int

    Returns
    -------
    classes : Classes
    resampled : dict of str -> ndarray (resamples,)
        Accuracy and balanced accuracy in each resample.

    Raises
    ------
    ValueError
        A clip has no class or several.
    """
    if len(wrong := np.flatnonzero(labels.sum(1) != 1)):
        raise ValueError(
            f"Clip number {wrong[0]} has {labels[wrong[0]].sum()} classes; exclusive classes need one each."
        )
    n = len(names)
    true, taken = labels.argmax(1), scores.argmax(1)
    cell = np.zeros((len(labels), n * n))
    cell[np.arange(len(labels)), true * n + taken] = 1
    drawn = np.concatenate([w @ cell for w in cluster_weights(clusters, resamples, seed)]).reshape(-1, n, n)
    counts = cell.sum(0).astype(int).reshape(n, n)
    resampled = dict(zip(METRICS, _accuracies(drawn), strict=True))
    values = dict(zip(METRICS, (each[0] for each in _accuracies(counts[None])), strict=True))
    whole = effective_clusters(clusters)
    shares, drawn_shares = _shares(counts[None])[0], _shares(drawn)
    of_class = [effective_clusters(clusters[true == k]) if (true == k).any() else 0.0 for k in range(n)]
    found = Classes(
        tuple(names),
        **{m: interval(values[m], resampled[m], whole) for m in METRICS},
        confusion=counts,
        shares=tuple(
            tuple(interval(shares[t, p], drawn_shares[:, t, p], of_class[t]) for p in range(n)) for t in range(n)
        ),
    )
    return found, resampled


def _shares(confusion: np.ndarray) -> np.ndarray:
    """Counts (resamples, classes, classes) as shares of their rows; NaN where a row is empty."""
    rows = confusion.sum(2, keepdims=True)
    return np.divide(confusion, rows, out=np.full(confusion.shape, np.nan), where=rows > 0)


def _accuracies(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and balanced accuracy of counts (resamples, classes, classes), each (resamples,)."""
    hits = np.trace(confusion, axis1=1, axis2=2)
    return hits / confusion.sum((1, 2)), np.nanmean(np.diagonal(_shares(confusion), axis1=1, axis2=2), axis=1)


def _plain(score: Interval) -> list[float | None]:
    return [float(x) if np.isfinite(x) else None for x in score]


def _interval(values: Sequence[float | None]) -> Interval:
    return Interval(*(np.nan if x is None else x for x in values))
