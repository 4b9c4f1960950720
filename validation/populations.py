"""Simulated test parts of music whose true scores are known exactly."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import norm

GRID = np.linspace(0.005, 0.95, 190)  # shares of positives at which the true average precision is worked out


@dataclass(frozen=True)
class Population:
    """How a test part is made up.

    A score is normal with unit variance within positives and within negatives, whose means differ by the separation
    that gives the stated ROC-AUC. Labels and scores of one cluster resemble each other, and so do a clip's scores of
    different tags, but the score of one positive clip has the same distribution whatever cluster it stands in, so
    the population's scores are known.

    Attributes
    ----------
    name : str
    sizes : tuple of int
        Clips of each cluster.
    prevalence : tuple of float
        Share of positive clips of each tag.
    label_likeness : float
        Correlation of the normal variables behind two labels of a cluster, 0 to 1.
    score_likeness : float
        Correlation of two scores of a cluster, 0 to 1.
    tag_likeness : float
        Correlation of a clip's scores of two tags, 0 to 1.
    min_positives : int
        Tags with fewer positive clips are not scored.
    """

    name: str
    sizes: tuple[int, ...]
    prevalence: tuple[float, ...]
    label_likeness: float = 0.0
    score_likeness: float = 0.3
    tag_likeness: float = 0.3
    min_positives: int = 1

    @property
    def clusters(self) -> np.ndarray:
        """The cluster of each clip, (clips,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def labels(self, rng: np.random.Generator) -> np.ndarray:
        """Labels (clips, tags)."""
        shared, own = self._draw(rng, len(self.sizes)), self._draw(rng, len(self.clusters))
        mixed = np.sqrt(self.label_likeness) * shared[self.clusters] + np.sqrt(1 - self.label_likeness) * own
        return mixed < norm.ppf(self.prevalence)

    def noise(self, rng: np.random.Generator) -> np.ndarray:
        """What a network's scores (clips, tags) hold beside the labels: normal, unit variance."""
        shared, own = (self._tags(rng, count) for count in (len(self.sizes), len(self.clusters)))
        return np.sqrt(self.score_likeness) * shared[self.clusters] + np.sqrt(1 - self.score_likeness) * own

    def _draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.standard_normal((count, len(self.prevalence)))

    def _tags(self, rng: np.random.Generator, count: int) -> np.ndarray:
        shared = rng.standard_normal((count, 1))
        return np.sqrt(self.tag_likeness) * shared + np.sqrt(1 - self.tag_likeness) * self._draw(rng, count)


# The demo's test part: 75 clips of 61 pieces, instruments dealt to clips whatever the piece.
DEMO = Population(
    "61 clusters",
    (1,) * 47 + (2,) * 14,
    tuple(np.array((11,) * 10 + (12,) * 4 + (18, 19, 25, 25, 25, 25)) / 75),
)
# A small collection of recordings: 67 clips of 16 artists, whose clips share most of their tags.
RECORDINGS = Population(
    "16 clusters",
    (1,) + (2,) * 9 + (4, 4, 6, 8, 12, 14),
    tuple(np.array((6,) * 6 + (8,) * 4 + (10,) * 3 + (12,) * 3 + (14, 16, 18, 20, 23)) / 67),
    label_likeness=0.5,
    min_positives=5,
)


def separation(auc: float) -> float:
    """The distance of two unit normals whose ROC-AUC is `auc`."""
    return float(np.sqrt(2) * norm.ppf(auc))


def average_precision(auc: float, prevalence: float) -> float:
    """The average precision of endless clips: precision integrated over recall."""
    distance = separation(auc)
    threshold = np.linspace(-9, 9 + max(distance, 0), 20_001)
    recalled, false = norm.sf(threshold - distance), norm.sf(threshold)
    precision = prevalence * recalled / (prevalence * recalled + (1 - prevalence) * false)
    return float(np.trapezoid(precision * norm.pdf(threshold - distance), threshold))


def average_precisions(auc: float, prevalence: np.ndarray) -> np.ndarray:
    """`average_precision` at each of several shares of positives, (tags,), from a table."""
    return np.interp(prevalence, GRID, _table(auc))


@cache
def _table(auc: float) -> np.ndarray:
    return np.array([average_precision(auc, share) for share in GRID])
