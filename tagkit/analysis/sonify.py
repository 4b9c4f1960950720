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

from tagkit import audio
from tagkit.analysis import attribution
from tagkit.analysis.feature_maps import FeatureMaps, compute
from tagkit.analysis.signals import CannotPlay, carrier, gated, raw, reference
from tagkit.analysis.spectra import ToneProbe, tone_probe

MODES = ("raw", "carrier", "gated")
NETWORK_MODES = ("relevance", "mask", "preferred")
HEADROOM = 0.5  # where the 99th percentile of |y| is put, unless a peak would then be clipped


def _gain(y: np.ndarray) -> float:
    """What brings the 99th percentile of |y| to -6 dBFS, or the peak to full scale where it would go beyond."""
    return min(HEADROOM / reference(y), 1 / (float(np.abs(y).max()) or 1.0))


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
    elif mode == "relevance":
        sound = attribution.relevance(model, y, stage, channel).gradient
    else:
        raise ValueError(f"There is no mode {mode!r} that goes through the network; take one of {NETWORK_MODES}.")
    if not np.any(sound):
        raise CannotPlay(
            f"nothing flows back from channel {channel} of {stage}: it stays at or below 0 in this clip; use "
            "mode='carrier', or another channel."
        )
    return sound, error
