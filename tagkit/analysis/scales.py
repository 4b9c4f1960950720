"""Filter banks against the scales of hearing, and against the bank that training began with."""

from collections.abc import Callable
from dataclasses import dataclass

import librosa
import numpy as np
from scipy import stats

from tagkit.analysis.tuning import Tuning, decibels
from tagkit.evaluation.intervals import Interval

SCALES = ("mel", "erb", "linear", "log")


def erb_hz(frequency: np.ndarray | float) -> np.ndarray | float:
    """Equivalent rectangular bandwidth of the ear's filter at a frequency, Hz: ``24.7 (4.37 f / 1000 + 1)``.

    Glasberg & Moore, "Derivation of auditory filter shapes from notched-noise data", Hearing Research 1990.
    """
    return 24.7 * (4.37 * np.asarray(frequency) / 1000 + 1)


def hz_to_erb_rate(frequency: np.ndarray | float) -> np.ndarray | float:
    """Number of ERBs below a frequency: ``21.4 log10(4.37 f / 1000 + 1)``."""
    return 21.4 * np.log10(4.37 * np.asarray(frequency) / 1000 + 1)


def erb_rate_to_hz(rate: np.ndarray | float) -> np.ndarray | float:
    """The inverse of `hz_to_erb_rate`."""
    return (10 ** (np.asarray(rate) / 21.4) - 1) * 1000 / 4.37


def spaced(scale: str, n: int, fmin_hz: float, fmax_hz: float) -> np.ndarray:
    """`n` centre frequencies (n,), evenly spaced on a scale: "mel" (O'Shaughnessy's), "erb", "linear" or "log"."""
    if scale == "mel":
        return librosa.mel_frequencies(n, fmin=fmin_hz, fmax=fmax_hz, htk=True)
    forward, back = {
        "erb": (hz_to_erb_rate, erb_rate_to_hz),
        "linear": (np.asarray, np.asarray),
        "log": (np.log, np.exp),
    }[scale]
    return back(np.linspace(forward(fmin_hz), forward(fmax_hz), n))


@dataclass(frozen=True)
class BankComparison:
    """The sorted centre frequencies of a bank beside the scales.

    Attributes
    ----------
    centres_hz : ndarray (channels,)
        Sorted, without channels that are dead or low-pass and, unless flagged ones are kept, without multi-peaked and
        alias-dominated ones.
    kept : ndarray (channels,)
        Which channels they are, in that order.
    scales : dict of str -> ndarray (channels,)
        As many centres evenly spaced on each scale, over the same range.
    distance : dict of str -> float
        Root mean square difference between the two, octaves.
    erb_ratio : ndarray (channels,)
        -3 dB bandwidth over the ear's at that frequency.
    """

    centres_hz: np.ndarray
    kept: np.ndarray
    scales: dict[str, np.ndarray]
    distance: dict[str, float]
    erb_ratio: np.ndarray


def compare_bank(tuning: Tuning, *, keep_flagged: bool = False) -> BankComparison:
    """Set a bank of filters beside mel, ERB, linear and logarithmic spacing.

    Parameters
    ----------
    keep_flagged : bool
        Keep multi-peaked and alias-dominated channels, whose centre frequency does not describe them. Low-pass channels
        are left out in any case: they have none, and at the lowest tone they would stretch every scale down to it.

    Raises
    ------
    ValueError
        Fewer than two channels are left.
    """
    usable = np.isfinite(tuning.centre_hz) & ~tuning.low_pass
    if not keep_flagged:
        usable &= ~tuning.multi_peaked & ~tuning.alias_dominated
    kept = np.flatnonzero(usable)
    kept = kept[np.argsort(tuning.centre_hz[kept])]
    centres = tuning.centre_hz[kept]
    if len(centres) < 2:
        others = "" if keep_flagged else "; keep_flagged=True shows the others"
        raise ValueError(f"only {len(centres)} of {len(usable)} channels have one clear peak{others}.")
    scales = {name: spaced(name, len(centres), centres[0], centres[-1]) for name in SCALES}
    distance = {name: float(np.sqrt(np.mean(np.log2(centres / s) ** 2))) for name, s in scales.items()}
    return BankComparison(centres, kept, scales, distance, tuning.bandwidth_hz[kept] / erb_hz(centres))


def spacing(bank: BankComparison, scale: str, *, resamples: int = 2000, seed: int = 0) -> Interval:
    """`BankComparison.distance` from one of `SCALES`, octaves, with a bootstrap interval over channels."""
    each = np.square(np.log2(bank.centres_hz / bank.scales[scale]))
    return _bootstrap(each, lambda x, axis=-1: np.sqrt(np.mean(x, axis)), resamples, seed)


def bank_distance(trained: np.ndarray, control: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> Interval:
    """How far training has moved the filters: the mean over channels of the difference in shape, in decibels.

    Parameters
    ----------
    trained, control : ndarray (tones, channels)
        Response curves of a network and of its random-initialisation control, channel by channel.
    resamples, seed
        Of the bootstrap over channels.

    Returns
    -------
    Interval
        Root mean square difference, over tones, of the two curves in decibels, each relative to its own mean level
        and not below 40 dB under its peak, averaged over channels. 0 for filters that differ by a gain only.
    """

    def shape(curve: np.ndarray) -> np.ndarray:
        db = decibels(curve)
        db = np.maximum(db, db.max(axis=0) - 40)
        return db - db.mean(axis=0)

    each = np.sqrt(np.square(shape(trained) - shape(control)).mean(axis=0))
    return _bootstrap(each, np.mean, resamples, seed)


def _bootstrap(each: np.ndarray, statistic: Callable, resamples: int, seed: int) -> Interval:
    """A statistic of channels with its 95 % percentile interval, which one channel alone does not have (NaN)."""
    if len(each) < 2:
        return Interval(float(statistic(each)), np.nan, np.nan)
    found = stats.bootstrap((each,), statistic, n_resamples=resamples, method="percentile", rng=seed)
    return Interval(float(statistic(each)), *map(float, found.confidence_interval))
