"""Scores of a tagger: ROC-AUC and PR-AUC of each tag, macro averages, and intervals that respect clusters.

All metrics take scores, never rounded predictions. PR-AUC is average precision: precision at each score, weighted by
the recall gained there (sklearn's ``average_precision_score``), and its interval is for endless clips with the same
share of positives. ROC-AUC counts ties as a half.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tagkit.evaluation.intervals import Interval, effective_clusters, interval

# Weights scored at a time, resamples times clips: two megabytes, which stay in the cache however many clips there are.
BLOCK_VALUES = 1 << 18


def roc_auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve of one tag.

    Parameters
    ----------
    labels : ndarray of bool (clips,)
    scores : ndarray (clips,)
    weights : ndarray (resamples, clips), optional
        Weight of each clip in each resample. Without it, every clip counts once.

    Returns
    -------
    ndarray (resamples,), or a scalar without `weights`
        NaN where a resample holds no positive or no negative clip.
    """
    area = _roc_auc(*_weight_at_scores(labels, scores, weights))
    return area[0] if weights is None else area


def average_precision(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Average precision of one tag: precision at each score, weighted by the recall gained there.

    Parameters and result as for `roc_auc`; NaN only where there is no positive clip.
    """
    area = _average_precision(*_weight_at_scores(labels, scores, weights))
    return area[0] if weights is None else area


@dataclass(frozen=True)
class TagScores:
    """Scores of all tags on one set of clips, with bootstrap resamples.

    Attributes
    ----------
    tags : tuple of str
        The tags that are scored, fixed before resampling.
    positives : ndarray of int (tags,)
    roc, pr : ndarray (tags,)
    roc_resamples, pr_resamples : ndarray (resamples, tags)
        NaN where a resample has no positive (or no negative) clip of a tag.
    clusters : float
        Effective number of clusters (`tagkit.evaluation.intervals.effective_clusters`).
    tag_clusters : ndarray of int (tags,)
        The smaller of two numbers: clusters with a positive clip of the tag, clusters with a negative one.
    """

    tags: tuple[str, ...]
    positives: np.ndarray
    roc: np.ndarray
    pr: np.ndarray
    roc_resamples: np.ndarray
    pr_resamples: np.ndarray
    clusters: float
    tag_clusters: np.ndarray

    def macro(self, metric: str) -> Interval:
        """The mean over tags, "roc" or "pr"."""
        return interval(getattr(self, metric).mean(), self.macro_resamples(metric), self.clusters)

    def macro_resamples(self, metric: str) -> np.ndarray:
        """The mean over tags in each resample, (resamples,), of the tags that it can score; NaN where it can none."""
        scores = getattr(self, f"{metric}_resamples")
        known = np.isfinite(scores)
        return _ratio(np.where(known, scores, 0).sum(1), known.sum(1))

    def tag(self, metric: str, index: int) -> Interval:
        """One tag's score, "roc" or "pr", by its position."""
        resamples = getattr(self, f"{metric}_resamples")[:, index]
        return interval(getattr(self, metric)[index], resamples, self.tag_clusters[index])

    @property
    def incomplete_resamples(self) -> float:
        """Share of resamples that lack a positive or a negative clip of at least one tag."""
        return float(np.isnan(self.roc_resamples).any(1).mean())


def score_tags(
    labels: np.ndarray,
    scores: np.ndarray,
    tags: tuple[str, ...],
    clusters: np.ndarray,
    min_positives: int = 1,
    resamples: int = 1000,
    seed: int = 0,
) -> TagScores:
    """Score every tag, with a bootstrap that draws whole clusters.

    Clips of one song or artist resemble each other, so clusters are drawn with replacement, each with all its
    clips (cluster bootstrap; Field & Welsh 2007).

    Parameters
    ----------
    labels : ndarray of bool (clips, tags)
    scores : ndarray (clips, tags)
    tags : tuple of str (tags,)
    clusters : ndarray (clips,)
        Name of the cluster of each clip.
    min_positives : int
        Tags with fewer positive clips are left out; so are tags without a negative clip.
    resamples : int
    seed : int

    Raises
    ------
    ValueError
        No tag has enough positives, a score is not finite, or there are no resamples.
    """
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; it must be at least 1.")
    if not np.isfinite(scores).all():
        raise ValueError(
            "Some scores are not finite: the model has diverged; train it again with a lower learning rate."
        )
    positives = labels.sum(0)
    kept = np.flatnonzero((positives >= max(min_positives, 1)) & (positives < len(labels)))
    if not len(kept):
        if min_positives > 1:
            raise ValueError(f"No tag has {min_positives} positive clips among these {len(labels)}; ask for fewer.")
        raise ValueError(f"No tag tells these {len(labels)} clips apart; score more of them.")
    labels, scores = labels[:, kept], scores[:, kept]
    (roc,), (pr,) = _areas(labels, scores, None)
    blocks = [_areas(labels, scores, weights) for weights in cluster_weights(clusters, resamples, seed)]
    roc_resamples, pr_resamples = (np.concatenate(each) for each in zip(*blocks, strict=True))
    return TagScores(
        tuple(tags[k] for k in kept),
        positives[kept],
        roc,
        pr,
        roc_resamples,
        pr_resamples,
        effective_clusters(clusters),
        np.minimum(*(_clusters_with(each, clusters) for each in (labels, ~labels))),
    )


def _clusters_with(flags: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """In how many clusters each tag flags a clip, (tags,), of flags (clips, tags)."""
    return np.array([len(np.unique(clusters[flag])) for flag in flags.T])


def cluster_weights(clusters: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each clip occurs in each bootstrap resample of whole clusters.

    Parameters
    ----------
    clusters : ndarray (clips,)
        Name of the cluster of each clip.
    resamples : int
    seed : int

    Yields
    ------
    ndarray (some resamples, clips)
        At most `BLOCK_VALUES` of them, but a whole resample.
    """
    names, member = np.unique(np.asarray(clusters).astype(str), return_inverse=True)
    n, rng, block = len(names), np.random.default_rng(seed), max(1, BLOCK_VALUES // len(member))
    for start in range(0, resamples, block):
        counts = rng.multinomial(n, np.full(n, 1 / n), size=min(block, resamples - start))
        yield counts[:, member].astype(np.float64)


def _areas(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """ROC-AUC and average precision of every tag, each (resamples, tags)."""
    at_scores = [_weight_at_scores(y, s, weights) for y, s in zip(labels.T, scores.T, strict=True)]
    return tuple(np.stack([area(*w) for w in at_scores], axis=1) for area in (_roc_auc, _average_precision))


def _roc_auc(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Of weights at ascending scores, both (resamples, scores): (resamples,)."""
    below = np.cumsum(negative, axis=1) - negative
    wins = (positive * (below + negative / 2)).sum(1)
    return _ratio(wins, positive.sum(1) * negative.sum(1))


def _average_precision(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Of weights at ascending scores, both (resamples, scores): (resamples,)."""
    positive, negative = positive[:, ::-1], negative[:, ::-1]
    hits, seen = np.cumsum(positive, axis=1), np.cumsum(positive + negative, axis=1)
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    return _ratio((precision * positive).sum(1), positive.sum(1))


def _weight_at_scores(labels, scores, weights) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positive and of negative clips at each distinct score, ascending: two (resamples, scores)."""
    order = np.argsort(scores, kind="stable")
    first = np.flatnonzero(np.diff(np.asarray(scores)[order], prepend=-np.inf))
    w = np.ones((1, len(order))) if weights is None else weights[:, order]
    y = np.asarray(labels, float)[order]
    positive, negative = w * y, w * (1 - y)
    if len(first) == len(order):  # no ties
        return positive, negative
    return np.add.reduceat(positive, first, axis=1), np.add.reduceat(negative, first, axis=1)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Their quotient; NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
