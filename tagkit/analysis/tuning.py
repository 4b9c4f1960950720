"""What a response curve says in numbers: centre frequency, bandwidth, Q, and when they mean nothing."""

from dataclasses import dataclass

import numpy as np
from scipy import interpolate, signal

FLOOR_DB = -120.0
FINER = 32  # points between two tones, where the edges of a band are looked for
HOLDS_OCTAVES = 1 / 24  # a centre that moves further when tones become denser around it does not hold


@dataclass(frozen=True)
class Tuning:
    """Tuning of the channels of one stage; every array is (channels,).

    Attributes
    ----------
    centre_hz : ndarray
        Frequency of the largest response, by a parabola through the three points around it; NaN for a dead channel
        and for one whose centre does not hold.
    low_hz, high_hz : ndarray
        Edges of the -3 dB band around the peak: 0 where the curve does not fall off below, the highest frequency
        probed where it does not fall off above.
    bandwidth_hz, q : ndarray
        `high_hz - low_hz`, and `centre_hz` over it.
    multi_peaked : ndarray of bool
        A second peak lies within 6 dB of the first: one centre frequency does not describe the channel.
    alias_dominated : ndarray of bool
        More than half of the response's energy comes from tones above the map's Nyquist frequency, which appear in
        the map as other frequencies.
    unresolved : ndarray of bool
        The centre moved by more than 1/24 octave when tones became denser around it: it is the grid's, not the
        channel's.
    grid_octaves : ndarray
        Grid error: distance from the tone at the peak to the further one of its neighbours.
    """

    centre_hz: np.ndarray
    low_hz: np.ndarray
    high_hz: np.ndarray
    bandwidth_hz: np.ndarray
    q: np.ndarray
    multi_peaked: np.ndarray
    alias_dominated: np.ndarray
    unresolved: np.ndarray
    grid_octaves: np.ndarray

    @property
    def low_pass(self) -> np.ndarray:
        """Channels that answer as well to the lowest tone as to any, (channels,) of bool: they have no centre."""
        return np.isfinite(self.centre_hz) & (self.low_hz == 0)

    def caution(self, channel: int) -> str:
        """Why centre and band say little of a channel, as a sentence for a listener; "" where they do."""
        if self.unresolved[channel]:
            return "Its peaks are so narrow and so alike that the highest one depends on the tones that are tried."
        if self.alias_dominated[channel]:
            return "Most of its answer is aliasing: tones too fast for this stage, which reappear in it as slower ones."
        if self.low_pass[channel]:
            return "It answers to the lowest tones as well: it has no lower edge, so its centre says little."
        if self.multi_peaked[channel]:
            return "A second peak is almost as strong, so one frequency does not describe this channel."
        return ""


def decibels(magnitude: np.ndarray) -> np.ndarray:
    """20 log10, with a floor at -120 dB."""
    return 20 * np.log10(np.maximum(magnitude, 10 ** (FLOOR_DB / 20)))


def centre_frequency(frequencies: np.ndarray, curve: np.ndarray) -> float:
    """Frequency of a curve's maximum, Hz.

    Parameters
    ----------
    frequencies : ndarray (tones,)
        Hz, rising.
    curve : ndarray (tones,)
        Magnitude, not in decibels.

    Returns
    -------
    float
        The vertex of the parabola through the log magnitudes around the maximum, over log frequency; NaN if the
        curve is zero everywhere.
    """
    peak = int(np.argmax(curve))
    if curve[peak] <= 0 or not np.isfinite(curve).all():
        return float("nan")
    if peak in (0, len(curve) - 1):
        return float(frequencies[peak])
    x, y = np.log(frequencies[peak - 1 : peak + 2]), decibels(curve[peak - 1 : peak + 2])
    rise, fall = np.diff(y) / np.diff(x)
    bend = (fall - rise) / (x[2] - x[0])
    return float(np.exp((x[0] + x[1]) / 2 - rise / (2 * bend))) if bend < 0 else float(frequencies[peak])


def band(frequencies: np.ndarray, curve: np.ndarray) -> tuple[float, float]:
    """Lower and upper edge of the -3 dB band around a curve's maximum, Hz.

    The curve between the tones is a cubic spline in decibels over log frequency.
    """
    db = decibels(curve)
    spline = interpolate.CubicSpline(np.log2(frequencies), np.maximum(db, db.max() - 30))  # nulls would make it ring
    fine = np.arange(FINER * (len(frequencies) - 1) + 1) / FINER
    octaves = np.interp(fine, np.arange(len(frequencies)), np.log2(frequencies))
    db = spline(octaves)
    first = max((int(np.argmax(curve)) - 1) * FINER, 0)  # around the loudest tone, whatever the spline makes elsewhere
    peak = first + int(np.argmax(db[first : first + 2 * FINER + 1]))
    out = db < db[peak] - 10 * np.log10(2)
    below, above = np.flatnonzero(out[:peak]), np.flatnonzero(out[peak:])
    low = 2 ** octaves[below[-1]] if len(below) else 0.0
    high = 2 ** octaves[peak + above[0]] if len(above) else frequencies[-1]
    return float(low), float(high)


def is_multi_peaked(curve: np.ndarray, within_db: float = 6.0, dip_db: float = 3.0) -> bool:
    """Whether a second peak, set off by a dip of `dip_db`, lies within `within_db` of the largest."""
    db = np.concatenate([[FLOOR_DB], decibels(curve), [FLOOR_DB]])
    peaks, _ = signal.find_peaks(db, height=db.max() - within_db, prominence=dip_db)
    return len(peaks) > 1


def measure(
    frequencies: np.ndarray,
    curves: np.ndarray,
    alias_share: np.ndarray | None = None,
    moved_octaves: np.ndarray | None = None,
) -> Tuning:
    """The Tuning of every channel.

    Parameters
    ----------
    frequencies : ndarray (tones,)
        Hz, rising.
    curves : ndarray (tones, channels)
        Magnitude.
    alias_share : ndarray (channels,), optional
        Share of the response's energy that is aliased.
    moved_octaves : ndarray (channels,), optional
        How far each centre moved when tones became denser around it; default: not at all.
    """
    curves = np.asarray(curves, np.float64)
    alive = np.nanmax(curves, axis=0) > 0
    centre = np.array([centre_frequency(frequencies, curve) for curve in curves.T])
    unresolved = np.zeros(len(centre), bool) if moved_octaves is None else moved_octaves > HOLDS_OCTAVES
    unresolved &= alive
    centre[unresolved] = np.nan
    told = alive & ~unresolved
    edges = [band(frequencies, c) if live else (np.nan, np.nan) for c, live in zip(curves.T, told, strict=True)]
    low, high = np.array(edges).T
    return Tuning(
        centre_hz=centre,
        low_hz=low,
        high_hz=high,
        bandwidth_hz=high - low,
        q=centre / np.maximum(high - low, 1e-12),
        multi_peaked=np.array([live and is_multi_peaked(c) for c, live in zip(curves.T, alive, strict=True)]),
        alias_dominated=np.zeros(len(centre), bool) if alias_share is None else np.asarray(alias_share) > 0.5,
        unresolved=unresolved,
        grid_octaves=np.where(alive, _steps(frequencies)[curves.argmax(axis=0)], np.nan),
    )


def _steps(frequencies: np.ndarray) -> np.ndarray:
    """From each tone to the further one of its neighbours, octaves."""
    gaps = np.diff(np.log2(frequencies))
    return np.maximum(np.append(gaps, 0), np.insert(gaps, 0, 0))
