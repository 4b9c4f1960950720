"""Feature maps as sound: ways to hear a channel, each refused where it would mean nothing.

`MODES` is the table of them. Some need the feature maps alone (`tagkit.analysis.signals`): `raw` plays the map itself,
`carrier` lets it shape a tone at the channel's own frequency, `gated` lets it open and shut the clip in the channel's
own band. The others need the network (`tagkit.analysis.attribution`). Every mode returns audio at the clip's rate, of
the clip's length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from tagkit import audio, graph
from tagkit.analysis import attribution, maximisation, signals
from tagkit.analysis.feature_maps import FeatureMaps, compute
from tagkit.analysis.geometry import Stage
from tagkit.analysis.signals import CannotPlay, reference
from tagkit.analysis.spectra import ToneProbe, tone_probe
from tagkit.analysis.tuning import Tuning

HEADROOM = 0.5  # where the 99th percentile of |y| is put, unless a peak would then be clipped


@dataclass(frozen=True)
class Tuned:
    """Where a channel is tuned, in place of a tone probe: the frequency of the carrier and the gated band, Hz.

    Without a frequency there is no carrier, and without a band the clip itself is gated. Where the frequency is known
    not to hold (`unresolved`), there is neither.
    """

    centre_hz: float = float("nan")
    band_hz: tuple[float, float] = (0.0, float("inf"))
    unresolved: bool = False

    @classmethod
    def of(cls, tuning: Tuning, channel: int) -> "Tuned":
        """Of one channel of a stage."""
        low, high = float(tuning.low_hz[channel]), float(tuning.high_hz[channel])
        return cls(float(tuning.centre_hz[channel]), (low, high), bool(tuning.unresolved[channel]))


class Sound(NamedTuple):
    """What a mode makes of a channel.

    Attributes
    ----------
    y : ndarray (samples,)
        At no level in particular; see `level`.
    error, control : float or None
        The re-encoding errors of "mask" (0: the channel takes the sound for the clip) and of its control.
    """

    y: np.ndarray
    error: float | None = None
    control: float | None = None


@dataclass(frozen=True)
class Scene:
    """A channel of a stage with all that a mode may need to make it heard."""

    maps: FeatureMaps
    stage: str
    channel: int
    probe: ToneProbe | Tuned | None = None
    model: keras.Model | None = None

    def map(self) -> tuple[np.ndarray, Stage]:
        """The channel's map (frames,) and its geometry; CannotPlay where it does not move or is not finite."""
        geometry, a = self.maps.stage(self.stage), self.maps.channel(self.stage, self.channel)
        if not np.isfinite(a).all():
            raise CannotPlay(f"{self} holds NaN or infinity; look for them in the network's weights.")
        if np.ptp(a) <= 1e-6 * max(np.abs(a).max(), 1e-6):
            raise CannotPlay(f"{self} is constant over this clip, so no mode makes it heard; choose another one.")
        return a, geometry

    def tuned(self) -> Tuned:
        """Where the channel is tuned; CannotPlay where that is not known."""
        if self.probe is None:
            raise CannotPlay(
                "carrier and gated need to know where a channel is tuned: pass probe=tone_probe(model), or "
                "probe=Tuned(...)."
            )
        if isinstance(self.probe, Tuned):
            return self.probe
        found = Tuned.of(self.probe.tuning(self.stage), self.channel)
        if found.unresolved:
            raise CannotPlay(f"{self}: {signals.NO_CENTRE}; use mode='raw' or mode='mask'.")
        return found

    def __str__(self) -> str:
        return f"channel {self.channel} of {self.stage}"


def _original(scene: Scene) -> Sound:
    return Sound(scene.maps.y)


def _raw(scene: Scene) -> Sound:
    return Sound(signals.raw(*scene.map(), len(scene.maps.y)))


def _carrier(scene: Scene) -> Sound:
    return Sound(signals.carrier(*scene.map(), len(scene.maps.y), scene.tuned().centre_hz))


def _gated(scene: Scene) -> Sound:
    return Sound(signals.gated(*scene.map(), scene.maps.y, scene.tuned().band_hz))


def _saliency(scene: Scene) -> Sound:
    return Sound(_flowing(scene, attribution.saliency(scene.model, scene.maps.y, scene.stage, scene.channel)))


def _mask(scene: Scene) -> Sound:
    found = attribution.masked(scene.model, scene.maps.y, scene.stage, scene.channel)
    return Sound(_flowing(scene, found.y), found.error, found.control)


def _maximisation(scene: Scene) -> Sound:
    found = maximisation.maximise(scene.model, scene.stage, scene.channel)
    if reason := found.refusal:
        raise CannotPlay(f"{scene}: {reason}; choose another one.")
    return Sound(np.resize(found.best, len(scene.maps.y)))


def _refuses_tuned(tuned: Tuned | None) -> str:
    return signals.NO_CENTRE if tuned and tuned.unresolved else ""


def _refuses_carrier(stage: Stage, tuned: Tuned | None) -> str:
    return signals.refuses_carrier(tuned.centre_hz, stage.sr) if tuned else ""


def _flowing(scene: Scene, y: np.ndarray) -> np.ndarray:
    if not np.any(y):
        raise CannotPlay(
            f"no gradient flows back from {scene}: it stays at or below 0 in this clip; use mode='carrier', or choose "
            "another channel."
        )
    return y


@dataclass(frozen=True)
class Mode:
    """A way to hear a channel.

    Attributes
    ----------
    name : str
    label : str
        What one hears, for a reader.
    needs : {"clip", "maps", "probe", "network"}
        The most that it needs; "network" goes through the network anew, the others make do with feature maps.
    sound : callable
        From a Scene to a Sound; raises CannotPlay.
    refuses : callable
        From a Stage and a Tuned (None: whatever the channel) to the reason why the mode has no meaning there, or "".
    """

    name: str
    label: str
    needs: str
    sound: Callable[[Scene], Sound]
    refuses: Callable[[Stage, Tuned | None], str] = lambda stage, tuned: ""


MODES = {
    mode.name: mode
    for mode in (
        Mode("original", "the clip itself", "clip", _original),
        Mode("raw", "the map itself", "maps", _raw, lambda stage, _: signals.refuses_raw(stage)),
        Mode(
            "carrier",
            "a tone at the channel's own frequency, as loud as the channel is active",
            "probe",
            _carrier,
            lambda stage, tuned: _refuses_tuned(tuned) or _refuses_carrier(stage, tuned),
        ),
        Mode(
            "gated",
            "the clip in the channel's own band, let through while the channel is active",
            "probe",
            _gated,
            lambda stage, tuned: _refuses_tuned(tuned),
        ),
        Mode("saliency", "what the channel is sensitive to in the clip: a gradient, not content", "network", _saliency),
        Mode("mask", "the parts of the clip that the channel may have heard", "network", _mask),
        Mode("maximisation", "what excites the channel most, whatever the clip", "network", _maximisation),
    )
}
MAP_MODES = tuple(name for name, mode in MODES.items() if mode.needs in ("maps", "probe"))


def _gain(y: np.ndarray) -> float:
    """What brings the 99th percentile of |y| to half of full scale, or its peak to full scale, whichever is softer."""
    return min(HEADROOM / reference(y), 1 / (float(np.abs(y).max()) or 1.0))


def level(y: np.ndarray, gain: float | None = None) -> np.ndarray:
    """Audio ready to play: float32 in [-1, 1].

    Parameters
    ----------
    y : ndarray (samples,)
    gain : float, optional
        One gain for everything that is compared (`shared_gain`); by default the clip's own, which puts the 99th
        percentile of its magnitude at half of full scale, or its peak at full scale: clipping would be heard as noise.

    Raises
    ------
    CannotPlay
        `y` holds NaN or infinity, which a player would turn into noise.
    """
    if not np.isfinite(y).all():
        raise CannotPlay("the sound holds NaN or infinity; look for them in the network's weights or in the clip.")
    return np.clip(y * (_gain(y) if gain is None else gain), -1, 1).astype(np.float32)


def shared_gain(sounds: Sequence[np.ndarray]) -> float:
    """One gain for several sounds that are not levelled yet: the one that needs the least of it decides."""
    return min(_gain(y) for y in sounds)


def render(
    maps: FeatureMaps,
    stage: str,
    channel: int,
    mode: str = "carrier",
    probe: ToneProbe | Tuned | None = None,
    model: keras.Model | None = None,
) -> Sound:
    """As `sonify`, not levelled: what `shared_gain` compares."""
    if mode not in MODES:
        raise CannotPlay(f"there is no mode {mode!r}; use one of {', '.join(MODES)}.")
    if MODES[mode].needs == "network" and model is None:
        raise CannotPlay(f"mode={mode!r} goes through the network: pass model=...")
    return MODES[mode].sound(Scene(maps, stage, channel, probe, model))


def sonify(
    maps: FeatureMaps,
    stage: str,
    channel: int,
    mode: str = "carrier",
    *,
    probe: ToneProbe | Tuned | None = None,
    model: keras.Model | None = None,
    gain: float | None = None,
) -> np.ndarray:
    """One channel of a stage as audio.

    Parameters
    ----------
    mode : str
        One of `MODES`.
    probe : ToneProbe or Tuned, optional
        Says where the channel is tuned; needed by carrier and gated.
    model : keras.Model, optional
        Needed by saliency, mask and maximisation.
    gain : float, optional
        From `shared_gain`; by default every sound is levelled by itself.

    Returns
    -------
    ndarray (samples,), float32
        At the clip's rate and of its length, finite, in [-1, 1]. Of "maximisation" the sounds of all seeds that
        beat noise and tones follow each other, over that length.

    Raises
    ------
    CannotPlay
        The sound would mean nothing, or something that the mode needs is missing; the message says what to do.
    KeyError, IndexError
        `maps` or the probe lacks the stage, or the stage the channel.

    Examples
    --------
    >>> import numpy as np
    >>> from tagkit.analysis import feature_maps
    >>> from tagkit.graph import zoo
    >>> noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16_000).astype(np.float32)
    >>> maps = feature_maps.compute(zoo.build("dm16"), noise, ["conv1"])
    >>> sound = sonify(maps, "conv1", 12, "carrier", probe=Tuned(440.0))
    >>> sound.shape, sound.dtype, bool(np.abs(sound).max() <= 1)
    ((16000,), dtype('float32'), True)
    """
    return level(render(maps, stage, channel, mode, probe, model).y, gain)


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
    mode : str
        One of `MAP_MODES`.
    probe : sequence of ToneProbe or Tuned, optional
        One for each network.

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
    each = zip(maps, names, channels, probes, strict=True)
    sounds = [render(m, name, number, mode, p).y for m, name, number, p in each]
    gain = shared_gain(sounds)
    return [level(y, gain) for y in sounds]


def play(
    model: keras.Model,
    clip: np.ndarray | str | Path | object,
    stage: str,
    channel: int,
    mode: str = "carrier",
    *,
    probe: ToneProbe | None = None,
    gain: float | None = None,
) -> np.ndarray:
    """One channel of a network hearing one clip, as audio; what the mode needs is computed here.

    Parameters
    ----------
    clip : Clip, path or ndarray (samples,)
        A row of a Catalog, an audio file, or a waveform at the network's sampling rate.
    stage, channel, mode, gain
        As for `sonify`.
    probe : ToneProbe, optional
        Measured here for carrier and gated if it is not given.

    Returns
    -------
    ndarray (samples,), float32
        As from `sonify`. Show it with ``Audio(y, rate=sr, normalize=False)``.

    Raises
    ------
    CannotPlay
        As for `sonify`.
    ValueError, IndexError
        There is no such stage, the clip is too short for it, or it has no such channel.
    AudioError
        The file cannot be read.
    """
    sr = graph.sampling_rate(model)
    y = clip if isinstance(clip, np.ndarray) else audio.load(getattr(clip, "path", clip), sr)
    needs = MODES[mode].needs if mode in MODES else ""
    if needs == "probe" and probe is None:
        probe = tone_probe(model, [stage], levels_dbfs=(-20.0,))
    maps = compute(model, y, [stage]) if needs in ("maps", "probe") else FeatureMaps({}, {}, y, sr, model.name)
    return sonify(maps, stage, channel, mode, probe=probe, model=model, gain=gain)
