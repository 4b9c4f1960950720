"""One channel's map as a signal at the clip's rate: the map itself, a tone, or a part of the clip."""

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import signal

from tagkit.analysis.geometry import Stage

LARGEST_RAW_STRIDE = 81  # above it the whole map lies below 99 Hz at 16 kHz: a rumble at best
TAPS_EACH_SIDE = 32  # frames that the interpolation filter reaches to either side
BROADBAND_OCTAVES = 2.5
LEAST_RISE = 0.01  # of a map's range


class CannotPlay(ValueError):  # noqa: N818 - it reads as the sentence that it is
    """This channel, stage or mode has no meaningful sound; the message says why and what to use instead."""


def upsample(a: np.ndarray, stage: Stage, samples: int, edges: str = "constant") -> np.ndarray:
    """A map at the waveform's rate, every frame at its own time.

    Parameters
    ----------
    a : ndarray (frames,)
    stage : Stage
        Stride and offset of the frames.
    samples : int
        Length of the clip.
    edges : {"constant", "edge"}
        What is assumed before the first and after the last frame: zeros, or the frame itself.

    Returns
    -------
    ndarray (samples,)

    Notes
    -----
    Polyphase interpolation with a Kaiser filter of 64 stride + 1 taps and 80 dB: images stay below -80 dB up to .45
    of the frame rate, whereas repeating every sample leaves them at 20 log10(u / (1 - u)) dB.
    """
    stride, start = stage.stride, round(stage.offset)
    before = max(-(-start // stride), 0) + TAPS_EACH_SIDE
    after = max(-(-(samples - start) // stride) - len(a), 0) + TAPS_EACH_SIDE
    padded = np.pad(np.asarray(a, np.float64), (before, after), mode=edges)
    first = before * stride - start
    if stride == 1:
        return padded[first : first + samples]
    frames = slice(first // stride, (first + samples - 1) // stride + 1)
    around = sliding_window_view(np.pad(padded, TAPS_EACH_SIDE), 2 * TAPS_EACH_SIDE + 1)[frames, ::-1]
    whole = (around @ _phases(stride)).ravel()
    return whole[first % stride :][:samples]


@lru_cache(maxsize=16)  # a million taps at the deepest stages, and every channel of a stage needs the same
def _phases(stride: int) -> np.ndarray:
    """The interpolation filter, a column for each place between two frames (taps, stride)."""
    taps = signal.firwin(2 * TAPS_EACH_SIDE * stride + 1, 1 / stride, window=("kaiser", signal.kaiser_beta(80)))
    return stride * np.pad(taps, (0, stride - 1)).reshape(-1, stride)


def envelope(a: np.ndarray, stage: Stage, samples: int) -> np.ndarray:
    """How active a channel is over time: the map above its 5th percentile, upsampled (samples,), never negative.

    Its 99th percentile is 1, so that one outlier does not silence the rest. What falls below the 5th percentile is cut
    off first: upsampled, a dip would ring above it.

    Parameters
    ----------
    a : ndarray (frames,)
    samples : int
        Length of the clip.

    Raises
    ------
    CannotPlay
        The map hardly rises above its 5th percentile (by less than a hundredth of its range): it only has dips.
    """
    active = np.maximum(a - np.percentile(a, 5), 0)
    if active.max() <= LEAST_RISE * np.ptp(a):
        raise CannotPlay(
            f"this channel of {stage.name} only falls below its resting value in this clip, and carrier and gated play "
            "what rises above it; use mode='raw' or mode='mask'."
        )
    above = np.maximum(upsample(active, stage, samples, edges="edge"), 0)
    return above / reference(above)


def refuses_raw(stage: Stage) -> str:
    """Why a stage's maps cannot be heard as they are, as a sentence without its full stop; "" where they can."""
    if stage.stride <= LARGEST_RAW_STRIDE:
        return ""
    return (
        f"{stage.name} gives one value every {stage.stride} samples, so nothing above {stage.nyquist_hz:.3g} Hz is "
        "left in its maps, which is too low to be heard as sound"
    )


NO_CENTRE = (
    "its answers to tones have peaks so narrow and so alike that the highest one depends on the tones that are tried, "
    "so it has no frequency of its own"
)


def refuses_carrier(centre_hz: float, sr: int) -> str:
    """Why no tone at a channel's centre frequency can be heard; as `refuses_raw`."""
    if np.isnan(centre_hz):
        return "no tone moves this channel, so it has no frequency of its own"
    return "" if 20 <= centre_hz < sr / 2 else f"a tone of {centre_hz:.3g} Hz cannot be heard at a rate of {sr} Hz"


def raw(a: np.ndarray, stage: Stage, samples: int) -> np.ndarray:
    """The map (frames,) itself, its mean subtracted, upsampled to the clip's rate (samples,); not levelled.

    Raises
    ------
    CannotPlay
        The stage's stride is over 81 samples.
    """
    if reason := refuses_raw(stage):
        raise CannotPlay(f"{reason}; use mode='carrier' or mode='gated'.")
    return upsample(a - np.mean(a), stage, samples)


def carrier(a: np.ndarray, stage: Stage, samples: int, centre_hz: float) -> np.ndarray:
    """A tone at the channel's own frequency, as loud as the channel is active: ``e sin(2 pi f_c t)``; not levelled.

    Parameters
    ----------
    a : ndarray (frames,)
    centre_hz : float
        The channel's centre frequency, from a tone probe.

    Returns
    -------
    ndarray (samples,)

    Raises
    ------
    CannotPlay
        `centre_hz` is NaN, below 20 Hz or not below half the sampling rate; or the map only has dips.
    """
    if reason := refuses_carrier(centre_hz, stage.sr):
        raise CannotPlay(f"{reason}; use mode='gated'.")
    return envelope(a, stage, samples) * np.sin(2 * np.pi * centre_hz * np.arange(samples) / stage.sr)


def gated(a: np.ndarray, stage: Stage, y: np.ndarray, band_hz: tuple[float, float]) -> np.ndarray:
    """The clip in the channel's own band, opened and shut by the channel; not levelled.

    Parameters
    ----------
    a : ndarray (frames,)
    y : ndarray (samples,)
        The clip.
    band_hz : tuple of float
        The channel's -3 dB band, at whose edges the filter loses 6 dB: it runs forwards and backwards. One of more
        than 2.5 octaves is no band: the clip itself is gated.

    Returns
    -------
    ndarray (samples,)
    """
    sections = band_sections(*band_hz, stage.sr)
    inside = y if sections is None else signal.sosfiltfilt(sections, y)
    return envelope(a, stage, len(y)) * inside


def band_sections(low_hz: float, high_hz: float, sr: int) -> np.ndarray | None:
    """The band-pass of `gated` as second-order sections (2, 6); None for a broad channel: it gates the clip itself."""
    low, high = max(low_hz, 20.0), min(high_hz, 0.98 * sr / 2)
    if not (low < high and np.log2(high / low) <= BROADBAND_OCTAVES):
        return None
    return signal.butter(2, (low, high), "bandpass", fs=sr, output="sos")


def reference(y: np.ndarray) -> float:
    """The 99th percentile of ``|y|``, or the peak where a channel is active for less than one sample in a hundred."""
    magnitude = np.abs(y)
    percentile, peak = np.percentile(magnitude, 99), magnitude.max()
    return float(percentile if percentile > 0.01 * peak else peak) or 1.0
