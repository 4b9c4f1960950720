"""Feature maps as sound: ways to hear a channel, each refused where it would mean nothing.

`raw` plays the map itself, `carrier` lets it shape a tone at the channel's own frequency, `gated` lets it open and
shut the clip in the channel's own band: these need the maps alone. `play` knows three more that go through the network
(`tagkit.analysis.attribution`): `relevance`, `mask` and `preferred`. Every mode returns audio at the clip's rate, of
the clip's length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from scipy import signal

from tagkit import audio
from tagkit.analysis import attribution
from tagkit.analysis.feature_maps import FeatureMaps, compute
from tagkit.analysis.geometry import Stage
from tagkit.analysis.spectra import ToneProbe, tone_probe

MODES = ("raw", "carrier", "gated")
NETWORK_MODES = ("relevance", "mask", "preferred")
LARGEST_RAW_STRIDE = 81  # above it the whole map lies below 99 Hz at 16 kHz: a rumble at best
TAPS_EACH_SIDE = 32  # frames that the interpolation filter reaches to either side
HEADROOM = 0.5  # where the 99th percentile of |y| is put, unless a peak would then be clipped
BROADBAND_OCTAVES = 2.5


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
    if stride > 1:
        taps = signal.firwin(2 * TAPS_EACH_SIDE * stride + 1, 1 / stride, window=("kaiser", signal.kaiser_beta(80)))
        padded = signal.resample_poly(padded, stride, 1, window=taps)
    first = before * stride - start
    return padded[first : first + samples]


def envelope(a: np.ndarray, stage: Stage, samples: int) -> np.ndarray:
    """How active a channel is over time: the map above its 5th percentile, upsampled (samples,), never negative.

    Its 99th percentile is 1, so that one outlier does not silence the rest.

    Parameters
    ----------
    a : ndarray (frames,)
    stage : Stage
    samples : int
        Length of the clip.
    """
    above = np.maximum(upsample(a - np.percentile(a, 5), stage, samples, edges="edge"), 0)
    return above / _reference(above)


def raw(a: np.ndarray, stage: Stage, samples: int, sr: int = 16000) -> np.ndarray:
    """The map itself, its mean subtracted, upsampled to `sr`; not levelled.

    Parameters
    ----------
    a : ndarray (frames,)
    stage : Stage
    samples : int
        Length of the clip.
    sr : int

    Returns
    -------
    ndarray (samples,)

    Raises
    ------
    CannotPlay
        If the stage's stride is over 81 samples.
    """
    if stage.stride > LARGEST_RAW_STRIDE:
        raise CannotPlay(
            f"{stage.name} has one frame every {stage.stride} samples, so its map holds nothing above "
            f"{stage.nyquist_hz(sr):.0f} Hz and would be inaudible as it is; use mode='carrier' or mode='gated'."
        )
    return upsample(a - np.mean(a), stage, samples)


def carrier(a: np.ndarray, stage: Stage, samples: int, centre_hz: float, sr: int = 16000) -> np.ndarray:
    """A tone at the channel's own frequency, as loud as the channel is active: ``e sin(2 pi f_c t)``; not levelled.

    Parameters
    ----------
    a : ndarray (frames,)
    stage : Stage
    samples : int
    centre_hz : float
        The channel's centre frequency, from a tone probe.
    sr : int

    Returns
    -------
    ndarray (samples,)

    Raises
    ------
    CannotPlay
        If `centre_hz` is below 20 Hz or not below ``sr / 2``.
    """
    if not 20 <= centre_hz < sr / 2:
        raise CannotPlay(
            f"a carrier of {centre_hz:.3g} Hz cannot be heard at {sr} Hz; pass centre_hz between 20 and {sr / 2:.0f}, "
            "or use mode='gated'."
        )
    return envelope(a, stage, samples) * np.sin(2 * np.pi * centre_hz * np.arange(samples) / sr)


def gated(a: np.ndarray, stage: Stage, y: np.ndarray, band_hz: tuple[float, float], sr: int = 16000) -> np.ndarray:
    """The clip in the channel's own band, opened and shut by the channel; not levelled.

    Parameters
    ----------
    a : ndarray (frames,)
    stage : Stage
    y : ndarray (samples,)
        The clip.
    band_hz : tuple of float
        The channel's -3 dB band. One of more than 2.5 octaves is no band: the clip itself is gated.
    sr : int

    Returns
    -------
    ndarray (samples,)
    """
    sections = band_sections(*band_hz, sr)
    inside = y if sections is None else signal.sosfiltfilt(sections, y)
    return envelope(a, stage, len(y)) * inside


def band_sections(low_hz: float, high_hz: float, sr: int) -> np.ndarray | None:
    """The band-pass of `gated` as second-order sections (2, 6); None for a broad channel: it gates the clip itself."""
    low, high = max(low_hz, 20.0), min(high_hz, 0.98 * sr / 2)
    if not (low < high and np.log2(high / low) <= BROADBAND_OCTAVES):
        return None
    return signal.butter(2, (low, high), "bandpass", fs=sr, output="sos")


def _reference(y: np.ndarray) -> float:
    """The 99th percentile of |y|, or the peak where a channel is active for less than one sample in a hundred."""
    magnitude = np.abs(y)
    percentile, peak = np.percentile(magnitude, 99), magnitude.max()
    return float(percentile if percentile > 0.01 * peak else peak) or 1.0


def _gain(y: np.ndarray) -> float:
    """What brings the 99th percentile of |y| to -6 dBFS, or the peak to full scale where it would go beyond."""
    return min(HEADROOM / _reference(y), 1 / (float(np.abs(y).max()) or 1.0))


def level(y: np.ndarray, gain: float | None = None) -> np.ndarray:
    """Audio ready to play: float32 in [-1, 1].

    Parameters
    ----------
    y : ndarray (samples,)
    gain : float, optional
        One gain for everything that is compared (`shared_gain`); by default the clip's own, which puts the 99th
        percentile of its magnitude at -6 dBFS, or its peak at full scale: clipping would be heard as noise.

    Raises
    ------
    CannotPlay
        If `y` holds NaN or infinity, which a player would turn into noise without a word.
    """
    if not np.isfinite(y).all():
        raise CannotPlay("the sound holds NaN or infinity; look for them in the network's weights or in the clip.")
    return np.clip(y * (_gain(y) if gain is None else gain), -1, 1).astype(np.float32)


def shared_gain(signals: Sequence[np.ndarray]) -> float:
    """One gain for several sounds that are not levelled yet: the one that needs the least of it decides."""
    return min(_gain(y) for y in signals)


@dataclass(frozen=True)
class Tuned:
    """Where a channel is tuned, in place of a tone probe: the frequency of the carrier and the gated band, Hz."""

    centre_hz: float | None = None
    band_hz: tuple[float, float] | None = None


def render(
    maps: FeatureMaps, stage: str, channel: int, mode: str = "carrier", probe: ToneProbe | Tuned | None = None
) -> np.ndarray:
    """As `sonify`, not levelled: what `shared_gain` compares.

    Parameters
    ----------
    maps, stage, channel, mode, probe
        As for `sonify`.

    Returns
    -------
    ndarray (samples,)

    Raises
    ------
    CannotPlay
        There is no such mode here, the channel is constant over the clip or not finite, `probe` does not say what the
        mode needs, or `raw` or `carrier` refuses.
    KeyError, IndexError
        `maps` or the probe lacks the stage, or the stage the channel.
    """
    if mode not in MODES:
        more = " (or play, for those that go through the network)" if mode in NETWORK_MODES else ""
        raise CannotPlay(f"there is no mode {mode!r} for feature maps; use one of {', '.join(MODES)}{more}.")
    geometry, a, y = maps.stage(stage), maps.channel(stage, channel), maps.y
    if not np.isfinite(a).all():
        raise CannotPlay(f"channel {channel} of {stage} holds NaN or infinity; look for them in the network's weights.")
    if np.ptp(a) <= 1e-6 * max(np.abs(a).max(), 1e-6):
        raise CannotPlay(f"channel {channel} of {stage} is constant over this clip in every mode; choose another one.")
    if mode == "raw":
        return raw(a, geometry, len(y), maps.sr)
    tuned = _tuned(probe, stage, channel)
    needed = tuned.centre_hz if mode == "carrier" else tuned.band_hz
    if needed is None:
        raise CannotPlay(
            f"mode={mode!r} needs the channel's own frequency: pass probe=tone_probe(model), or probe=Tuned(...)."
        )
    if mode == "carrier":
        return carrier(a, geometry, len(y), needed, maps.sr)
    return gated(a, geometry, y, needed, maps.sr)


def _tuned(probe: ToneProbe | Tuned | None, stage: str, channel: int) -> Tuned:
    if not isinstance(probe, ToneProbe):
        return probe or Tuned()
    tuning = probe.tuning(stage)
    return Tuned(float(tuning.centre_hz[channel]), (float(tuning.low_hz[channel]), float(tuning.high_hz[channel])))


def sonify(
    maps: FeatureMaps,
    stage: str,
    channel: int,
    mode: str = "carrier",
    *,
    probe: ToneProbe | Tuned | None = None,
    gain: float | None = None,
) -> np.ndarray:
    """One channel of a stage as audio.

    Parameters
    ----------
    maps : FeatureMaps
    stage : str
    channel : int
    mode : {"carrier", "gated", "raw"}
    probe : ToneProbe or Tuned, optional
        Says where the channel is tuned; needed by carrier and gated.
    gain : float, optional
        From `shared_gain`; by default every clip is levelled by itself.

    Returns
    -------
    ndarray (samples,), float32
        At the clip's rate and of its length, finite, in [-1, 1].

    Raises
    ------
    CannotPlay
        Where the sound would mean nothing; the message says why and which mode to use.
    KeyError, IndexError
        `maps` or the probe lacks the stage, or the stage the channel.
    """
    return level(render(maps, stage, channel, mode, probe), gain)


def side_by_side(
    maps: Sequence[FeatureMaps],
    stage: str | Sequence[str],
    channel: int | Sequence[int],
    mode: str = "carrier",
    *,
    probe: Sequence[ToneProbe | Tuned] | None = None,
) -> list[np.ndarray]:
    """The same clip through several networks, with one gain for all, so that loudness may be compared.

    Parameters
    ----------
    maps : sequence of FeatureMaps
        One for each network.
    stage, channel : one for all, or one for each
    mode : {"carrier", "gated", "raw"}
    probe : sequence of ToneProbe or Tuned, optional

    Returns
    -------
    list of ndarray (samples,), float32

    Raises
    ------
    CannotPlay, KeyError, IndexError
        As for `sonify`, of the first network that cannot be played.
    """
    names = [stage] * len(maps) if isinstance(stage, str) else stage
    channels = [channel] * len(maps) if isinstance(channel, int) else channel
    probes = probe or [None] * len(maps)
    sounds = [
        render(m, name, number, mode, p) for m, name, number, p in zip(maps, names, channels, probes, strict=True)
    ]
    gain = shared_gain(sounds)
    return [level(y, gain) for y in sounds]


def play(
    model: keras.Model,
    clip,
    stage: str,
    channel: int,
    mode: str = "carrier",
    *,
    sr: int = 16000,
    probe: ToneProbe | None = None,
    gain: float | None = None,
) -> np.ndarray:
    """One channel of a network hearing one clip, as audio, in any of the six modes.

    Parameters
    ----------
    model : keras.Model
    clip : Clip, path or ndarray (samples,)
        A row of a Catalog, an audio file, or a waveform at `sr`.
    stage : str
    channel : int
    mode : {"carrier", "gated", "raw", "relevance", "mask", "preferred"}
        "relevance" is the gradient of the channel's energy: sensitivity, not content. "preferred" has nothing of the
        clip but its length, over which the sounds of several seeds follow each other.
    sr : int
    probe : ToneProbe, optional
        Measured here for carrier and gated if it is not given.
    gain : float, optional
        From `shared_gain`; by default every clip is levelled by itself.

    Returns
    -------
    ndarray (samples,), float32
        At `sr`, finite, in [-1, 1]. Show it with ``Audio(y, rate=sr, normalize=False)``.

    Raises
    ------
    CannotPlay
        Where the sound would mean nothing; the message says why and which mode to use.
    ValueError, IndexError
        There is no such stage, the clip is too short for it, or it has no such channel.
    AudioError
        The file cannot be read.
    """
    y = clip if isinstance(clip, np.ndarray) else audio.load(getattr(clip, "path", clip), sr)
    if mode in NETWORK_MODES:
        return level(through_network(model, y, stage, channel, mode, sr)[0], gain)
    if mode in ("carrier", "gated") and probe is None:
        probe = tone_probe(model, [stage], sr=sr, levels_dbfs=(-20.0,))
    return sonify(compute(model, y, [stage], sr), stage, channel, mode, probe=probe, gain=gain)


def through_network(
    model: keras.Model, y: np.ndarray, stage: str, channel: int, mode: str, sr: int = 16000
) -> tuple[np.ndarray, float | None]:
    """The sound of a mode that needs the network, as it comes out of it, and how far it can be trusted.

    Parameters
    ----------
    model : keras.Model
    y : ndarray (samples,)
    stage : str
    channel : int
    mode : {"relevance", "mask", "preferred"}
    sr : int

    Returns
    -------
    sound : ndarray (samples,)
        At no level in particular.
    error : float or None
        The re-encoding error of "mask"; None for the others.

    Raises
    ------
    CannotPlay
        The channel never answers: in this clip or, for "preferred", to anything that was tried.
    """
    error = None
    if mode == "preferred":
        found = attribution.preferred(model, stage, channel, sr=sr)
        if not np.any(found.energy):
            raise CannotPlay(f"channel {channel} of {stage} answers to nothing, so it prefers nothing; use another.")
        return np.resize(found.y, len(y)), None
    if mode == "mask":
        masked = attribution.masked(model, y, stage, channel, sr)
        sound, error = masked.y, masked.error
    else:
        sound = attribution.relevance(model, y, stage, channel).gradient
    if not np.any(sound):
        raise CannotPlay(
            f"nothing flows back from channel {channel} of {stage}: it stays at or below 0 in this clip; use "
            "mode='carrier', or another channel."
        )
    return sound, error
