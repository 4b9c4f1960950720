"""Do embeddings put clips that share a tag side by side? The precision of nearest neighbours by other artists."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tagkit.data.records import Records
from tagkit.evaluation.embed import Embedder, EmbeddingError
from tagkit.evaluation.intervals import Interval, effective_clusters, interval
from tagkit.evaluation.metrics import cluster_weights
from tagkit.training.runs import Run


@dataclass(frozen=True, eq=False)
class Neighbours:
    """How often nearest neighbours share a tag.

    Attributes
    ----------
    precision : Interval
        Of the neighbours of clips with a tag, the share that have it, too; the mean over the tags.
    chance : float
        The same where labels are dealt to clips at random, the mean over the shuffles.
    p : float
        Share of the shuffles that reach the precision (the measured order counts as one).
    tags : DataFrame (tags,)
        `clips` with the tag, `precision`, `chance`.
    clips, neighbours : int
        Clips, and neighbours of each.
    """

    precision: Interval
    chance: float
    p: float
    tags: pd.DataFrame = field(repr=False)
    clips: int
    neighbours: int


def of_run(run: Run, records: Records | None = None, part: str = "test", neighbours: int = 5) -> Neighbours:
    """Measure the embeddings of one part of a run's records: see `measure`."""
    records = run.open_records(records)
    indices = records.part(part, run.record["split"])
    vectors, tags = Embedder(run).scorer(records, indices), run.tags_in(records)
    return measure(vectors, records.labels(indices, tags), tags, records.clusters(indices), neighbours)


def measure(
    vectors: np.ndarray,
    labels: np.ndarray,
    tags: Sequence[str],
    artists: np.ndarray,
    neighbours: int = 5,
    shuffles: int = 200,
    seed: int = 0,
) -> Neighbours:
    """The precision of nearest neighbours by other artists, against shuffled labels.

    Parameters
    ----------
    vectors : ndarray (clips, units)
        Compared by the cosine of their angle, seen from their mean.
    labels : ndarray of bool (clips, tags)
    tags : sequence of str (tags,)
        Those that fewer than two artists have are left out.
    artists : ndarray (clips,)
        A clip's neighbours are by others; intervals resample whole artists.
    neighbours
        Of each clip.
    shuffles
        Permutations of the clips' labels.
    seed
        Of the shuffles and resamples.

    Raises
    ------
    EmbeddingError
        A clip has too few clips by other artists, or no tag is left.
    """
    others = np.asarray(artists)[:, None] != np.asarray(artists)[None]
    if others.sum(1).min() < neighbours:
        raise EmbeddingError(
            f"Some clips have fewer than {neighbours} by other artists beside them; ask for fewer neighbours."
        )
    kept = [k for k in range(labels.shape[1]) if len(set(artists[labels[:, k]])) > 1]
    if not kept:
        raise EmbeddingError("No tag is shared by two artists; there is nothing to find.")
    labels = labels[:, kept]
    centred = vectors - vectors.mean(0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    nearest = np.argsort(-np.where(others, unit @ unit.T, -np.inf), axis=1, kind="stable")[:, :neighbours]
    found = _precisions(labels, nearest, None)[0]
    rng = np.random.default_rng(seed)
    shuffled = np.stack([_precisions(labels[rng.permutation(len(labels))], nearest, None)[0] for _ in range(shuffles)])
    weights = np.concatenate(list(cluster_weights(artists, 1000, seed)))
    resamples = np.nanmean(_precisions(labels, nearest, weights), axis=1)
    table = {"clips": labels.sum(0), "precision": found, "chance": shuffled.mean(0)}
    return Neighbours(
        interval(float(found.mean()), resamples, effective_clusters(artists)),
        float(shuffled.mean()),
        float((1 + (shuffled.mean(1) >= found.mean()).sum()) / (1 + shuffles)),
        pd.DataFrame(table, [tags[k] for k in kept]).sort_values("precision", ascending=False),
        len(labels),
        neighbours,
    )


def _precisions(labels: np.ndarray, nearest: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Of each tag (resamples, tags): among its clips' neighbours, the share that has it; NaN without such clips."""
    share = labels[nearest].mean(1)  # (clips, tags): of each clip's neighbours, how many have the tag
    weights = np.ones((1, len(labels))) if weights is None else weights
    with_tag = weights @ labels
    hits = weights @ (share * labels)
    return np.divide(hits, with_tag, out=np.full(hits.shape, np.nan), where=with_tag > 0)
