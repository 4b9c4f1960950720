"""Confidence intervals of scores and of their differences, from bootstrap resamples of whole clusters.

Percentiles of resamples will not do. A resample repeats clips, and average precision counts each copy of a positive
clip: resamples score higher than the clips that they are drawn from, which in turn score higher than endless clips
would. So the interval is Student's: it is centred where the score would be without that bias, and as wide as the
resamples' standard error and the number of clusters ask for. docs/validation.md states how often such intervals cover.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student

from tagkit.data import splits

LEVEL = 0.95
FEWEST_CLUSTERS = splits.FEWEST_GROUPS  # with fewer, intervals and p-values are unknown
# A test part's average precision exceeds that of endless clips by once to twice what its resamples exceed it by
# (measured on simulated test parts): the middle is taken off, and the half that it may err by widens the interval. Of a
# difference, where much of it cancels, it is taken off once and counts as an error once.
OF_SCORE, OF_DIFFERENCE = (1.5, 0.5), (1.0, 1.0)


@dataclass(frozen=True)
class Interval:
    """A score with its 95 % confidence interval; `low` and `high` are NaN where that is unknown."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether the clips were enough to tell the interval."""
        return bool(np.isfinite(self.low))

    def __iter__(self) -> Iterator[float]:
        return iter((self.value, self.low, self.high))

    def __str__(self) -> str:
        return self.text()

    def text(self, sign: str = "") -> str:
        """Value and interval, such as ``0.907 [0.887, 0.925]``; `sign` "+" writes the sign of positive numbers, too."""
        if not self.known:
            return f"{self.value:{sign}.3f} [unknown]"
        return f"{self.value:{sign}.3f} [{self.low:{sign}.3f}, {self.high:{sign}.3f}]"


@dataclass(frozen=True)
class Difference:
    """How far one network is ahead of another.

    Attributes
    ----------
    interval : Interval
        Of the difference of the macro scores.
    p : float
        Two-sided p-value of no difference; NaN where it is unknown.
    over_seeds : bool
        Whether interval and p say what further trainings would bring, since both networks have several seeds. If not,
        they are of these trained networks alone.
    """

    interval: Interval
    p: float
    over_seeds: bool


def interval(value: float, resamples: np.ndarray, clusters: float, trainings: Sequence[float] = ()) -> Interval:
    """The interval of a score between 0 and 1, on the logit scale.

    Parameters
    ----------
    value : float
        The score of all clips.
    resamples : ndarray (resamples,)
        Its values in bootstrap resamples of whole clusters; those that are NaN are left out.
    clusters : float
        How many independent clusters the score rests on; of clusters of unequal size, the effective number
        (`effective_clusters`).
    trainings : sequence of float
        The score of each training whose mean `value` is. With two or more, the variance of their mean is added, and the
        interval is for further trainings, too, with the degrees of freedom of Welch and Satterthwaite.

    Returns
    -------
    Interval
        It holds `value`. Unknown with fewer than `FEWEST_CLUSTERS`, for a score of 0 or 1, and where all resamples
        score alike: no spread is no certainty.
    """
    bias, error = _bias_and_error(value, resamples, clusters, OF_SCORE)
    if not error or not 0 < value < 1:
        return Interval(float(value), np.nan, np.nan)
    slope = value * (1 - value)
    error, df = _with_trainings(error, clusters, [trainings] if len(trainings) > 1 else [])
    reach = student.ppf((1 + LEVEL) / 2, df) * error / slope
    low, high = expit(logit(value) - bias / slope + np.array([-reach, reach]))
    return Interval(float(value), float(min(low, value)), float(max(high, value)))


def difference(
    values: Sequence[float],
    reference: Sequence[float],
    resamples: np.ndarray,
    reference_resamples: np.ndarray,
    clusters: float,
) -> Difference:
    """How far the mean of some trainings' scores is ahead of the mean of others', scored on the same clips.

    The clips' variance is that of the paired resamples. Where both networks have several trainings, the variance of
    their mean over seeds is added, and Student's t has the degrees of freedom of Welch (1947) and Satterthwaite.

    Parameters
    ----------
    values, reference : sequence of float
        The score of each training.
    resamples, reference_resamples : ndarray (resamples,)
        The mean over trainings in each resample; resample k of both is of the same clips.
    clusters : float
        As for `interval`.
    """
    value = float(np.mean(values) - np.mean(reference))
    bias, error = _bias_and_error(value, np.subtract(resamples, reference_resamples), clusters, OF_DIFFERENCE)
    over_seeds = min(len(values), len(reference)) > 1
    if not error:
        return Difference(Interval(value, np.nan, np.nan), np.nan, over_seeds)
    error, df = _with_trainings(error, clusters, [values, reference] if over_seeds else [])
    centre, reach = value - bias, student.ppf((1 + LEVEL) / 2, df) * error
    p = 2 * student.sf(abs(centre) / error, df)
    return Difference(Interval(value, float(centre - reach), float(centre + reach)), float(p), over_seeds)


def _with_trainings(error: float, clusters: float, trainings: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The standard error of the clips joined by that of each mean over trainings, and its degrees of freedom."""
    variances = [error**2, *(np.var(each, ddof=1) / len(each) for each in trainings)]
    freedom = [clusters - 1, *(len(each) - 1 for each in trainings)]
    total = sum(variances)
    return np.sqrt(total), total**2 / sum(v**2 / f for v, f in zip(variances, freedom, strict=True))


def effective_clusters(clusters: np.ndarray) -> float:
    """As many clusters of equal size would tell as much: the clips' number squared over the sum of squared sizes.

    Parameters
    ----------
    clusters : ndarray (clips,)
        Name of the cluster of each clip.
    """
    sizes = np.unique(np.asarray(clusters).astype(str), return_counts=True)[1]
    return float(sizes.sum() ** 2 / np.square(sizes).sum())


def _bias_and_error(
    value: float, resamples: np.ndarray, clusters: float, shares: tuple[float, float]
) -> tuple[float, float]:
    """How far a score is too high, and its standard error, 0 if unknown; `shares` of the excess make up both."""
    known = resamples[np.isfinite(resamples)]
    if clusters < FEWEST_CLUSTERS or len(known) < 2 or np.ptp(known) == 0:
        return 0.0, 0.0
    excess = known.mean() - value
    error = np.hypot(known.std(ddof=1), shares[1] * excess) * np.sqrt(clusters / (clusters - 1))
    return float(shares[0] * excess), float(error)
