"""Filter banks against the scales of hearing, and against the bank that training began with."""

from dataclasses import dataclass

import numpy as np

from tagkit.analysis.compare import Interval
from tagkit.analysis.tuning import Tuning, decibels

SCALES = ("mel", "erb", "linear", "log")


def hz_to_mel(frequency):
    """Mel of a frequency in Hz: ``2595 log10(1 + f / 700)``."""
    return 2595 * np.log10(1 + np.asarray(frequency) / 700)


def mel_to_hz(mel):
    """The inverse of `hz_to_mel`."""
    return 700 * (10 ** (np.asarray(mel) / 2595) - 1)


def erb_hz(frequency):
    """Equivalent rectangular bandwidth of the ear's filter at a frequency, Hz: ``24.7 (4.37 f / 1000 + 1)``.

    Glasberg & Moore, "Derivation of auditory filter shapes from notched-noise data", Hearing Research 1990.
    """
    return 24.7 * (4.37 * np.asarray(frequency) / 1000 + 1)


def hz_to_erb_rate(frequency):
    """Number of ERBs below a frequency: ``21.4 log10(4.37 f / 1000 + 1)``."""
    return 21.4 * np.log10(4.37 * np.asarray(frequency) / 1000 + 1)


def erb_rate_to_hz(rate):
    """The inverse of `hz_to_erb_rate`."""
    return (10 ** (np.asarray(rate) / 21.4) - 1) * 1000 / 4.37


def spaced(scale: str, n: int, fmin_hz: float, fmax_hz: float) -> np.ndarray:
    """`n` centre frequencies (n,), evenly spaced on a scale: "mel", "erb", "linear" or "log"."""
    forward, back = {
        "mel": (hz_to_mel, mel_to_hz),
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
    tuning : Tuning
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
    """`BankComparison.distance` from a scale, octaves, with an interval from a bootstrap over channels.

    Parameters
    ----------
    bank : BankComparison
    scale : {"mel", "erb", "linear", "log"}
    resamples : int
    seed : int
    """
    each = np.square(np.log2(bank.centres_hz / bank.scales[scale]))
    draws = np.random.default_rng(seed).integers(0, len(each), (resamples, len(each)))
    low, high = np.percentile(np.sqrt(each[draws].mean(axis=1)), [2.5, 97.5])
    return Interval(float(np.sqrt(each.mean())), float(low), float(high))


def bank_distance(trained: np.ndarray, untrained: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> Interval:
    """How far training has moved the filters: mean over channels of the difference in shape, in decibels.

    Parameters
    ----------
    trained, untrained : ndarray (tones, channels)
        Response curves of a network and of its untrained twin, channel by channel.
    resamples : int
        Of the bootstrap over channels that gives the interval.
    seed : int

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

    each = np.sqrt(np.square(shape(trained) - shape(untrained)).mean(axis=0))
    draws = np.random.default_rng(seed).integers(0, len(each), (resamples, len(each)))
    low, high = np.percentile(each[draws].mean(axis=1), [2.5, 97.5])
    return Interval(float(each.mean()), float(low), float(high))
