"""Whether changes that were seen in some pieces would be seen in others."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

FEWEST_PIECES = 8
LEVEL = 0.95


@dataclass(frozen=True)
class Effect:
    """The mean of paired differences over pieces, for any number of quantities.

    Attributes
    ----------
    mean, low, high : ndarray (quantities,)
        With its 95 % interval over pieces; NaN with fewer than `FEWEST_PIECES`.
    sd : ndarray (quantities,)
        Standard deviation over pieces.
    p : ndarray (quantities,)
        Two-sided, of no difference; NaN where it is unknown.
    pieces : int
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sd: np.ndarray
    p: np.ndarray
    pieces: int

    @property
    def score(self) -> np.ndarray:
        """The mean in standard deviations over pieces; 0 for what never changes."""
        return np.divide(self.mean, self.sd, out=np.zeros_like(self.mean), where=self.sd > 0)


def effect(differences: np.ndarray, pieces: np.ndarray) -> Effect:
    """Student's t over pieces: the differences of one piece are averaged first, as they are not independent.

    Parameters
    ----------
    differences : ndarray (observations, quantities)
    pieces : ndarray (observations,)
        The piece of each observation.
    """
    names, owner = np.unique(pieces, return_inverse=True)
    sums = np.zeros((len(names), differences.shape[1]))
    np.add.at(sums, owner, differences)
    means = sums / np.bincount(owner)[:, None]
    n = len(names)
    mean = means.mean(axis=0) if n else np.full(differences.shape[1], np.nan)
    if n < FEWEST_PIECES:
        unknown = np.full_like(mean, np.nan)
        return Effect(mean, unknown, unknown, unknown, unknown, n)
    sd = means.std(axis=0, ddof=1)
    error = sd / np.sqrt(n)
    reach = student.ppf((1 + LEVEL) / 2, n - 1) * error
    t = np.divide(mean, error, out=np.zeros_like(mean), where=error > 0)
    p = np.where(error > 0, 2 * student.sf(np.abs(t), n - 1), 1.0)
    return Effect(mean, mean - reach, mean + reach, sd, p, n)
