"""Filter spectra from the outside: pure tones into the waveform input, the response of every channel of every stage."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import keras
import numpy as np

from tagkit import graph
from tagkit.analysis import geometry, tuning
from tagkit.analysis.feature_maps import frames_by_channels, run, select, trunk
from tagkit.analysis.geometry import Stage
from tagkit.analysis.tuning import Tuning

STEADY_FRAMES = 32  # frames of every stage that see nothing but the tone
FRAMES_READ = 256  # of a stage with many more frames; phases already average out what a longer stretch would
SAMPLES_AT_ONCE = 2**19


@dataclass(frozen=True)
class ToneProbe:
    """Responses of a network's stages to pure tones.

    Its methods take a stage and one of `levels_dbfs` (default: the middle one), and raise KeyError for what was not
    probed.

    Attributes
    ----------
    frequencies : ndarray (tones,)
        Hz, log-spaced.
    levels_dbfs : tuple of float
        Level of the tones: 0 dBFS is a sine of amplitude 1.
    response : dict of str -> ndarray (levels, tones, channels)
        Root mean square of the channel's deviation from its value in silence, over frames and phases.
    dc : dict of str -> ndarray (levels, tones, channels)
        Mean of that deviation, with its sign.
    coherent : dict of str -> ndarray (levels, tones, channels)
        Share of the fluctuation's energy at the tone's own frequency or, where the map's frames are too slow for it,
        at its alias ``|f - round(f / rate) rate|``: what a linear filter would have passed.
    geometry : dict of str -> Stage
    dc_only : frozenset of str
        Stages with too large a stride for a fluctuation to mean anything: their response is ``|dc|``, at one level only
        (NaN at the others).
    model : str
    """

    frequencies: np.ndarray
    levels_dbfs: tuple[float, ...]
    response: dict[str, np.ndarray] = field(repr=False)
    dc: dict[str, np.ndarray] = field(repr=False)
    coherent: dict[str, np.ndarray] = field(repr=False)
    geometry: dict[str, Stage]
    dc_only: frozenset[str] = frozenset()
    model: str = ""

    def _at(self, stage: str, level_dbfs: float | None) -> int:
        if stage not in self.response:
            raise KeyError(f"stage {stage!r} was not probed; choose one of {list(self.response)}")
        if level_dbfs is None or stage in self.dc_only:
            return middle(self.levels_dbfs)
        if level_dbfs not in self.levels_dbfs:
            raise KeyError(f"{level_dbfs} dBFS was not probed; choose one of {self.levels_dbfs}")
        return self.levels_dbfs.index(level_dbfs)

    def curve(self, stage: str, level_dbfs: float | None = None) -> np.ndarray:
        """Response of every channel (tones, channels); by default at the middle level."""
        at = self._at(stage, level_dbfs)
        return self.response[stage][at]

    def alias_share(self, stage: str, level_dbfs: float | None = None) -> np.ndarray:
        """Share of the fluctuation's energy at the aliased frequency (tones, channels); 0 where nothing aliases."""
        at = self._at(stage, level_dbfs)
        above = self.frequencies > self.geometry[stage].nyquist_hz
        return self.coherent[stage][at] * above[:, None]

    def shares(self, stage: str, level_dbfs: float | None = None) -> dict[str, np.ndarray]:
        """What the response consists of, over all tones: ``linear``, ``aliased`` and ``nonlinear`` (channels,).

        The three add up to 1 for a channel that responds at all; a constant deviation counts as nonlinear.
        """
        at = self._at(stage, level_dbfs)
        total = self.response[stage][at] ** 2
        passed = self.coherent[stage][at] * np.maximum(total - self.dc[stage][at] ** 2, 0)
        below = (self.frequencies <= self.geometry[stage].nyquist_hz)[:, None]
        energy = np.maximum(total.sum(axis=0), 1e-30)
        linear, aliased = (passed * below).sum(axis=0) / energy, (passed * ~below).sum(axis=0) / energy
        return {"linear": linear, "aliased": aliased, "nonlinear": np.clip(1 - linear - aliased, 0, 1)}

    def tuning(self, stage: str, level_dbfs: float | None = None) -> Tuning:
        """Centre frequency, bandwidth, Q and flags of every channel of a stage."""
        at = self._at(stage, level_dbfs)
        return self._middle[stage] if at == middle(self.levels_dbfs) else self._tuned(stage, level_dbfs)

    @cached_property
    def _middle(self) -> dict[str, Tuning]:
        return {stage: self._tuned(stage, None) for stage in self.response}

    def _tuned(self, stage: str, level_dbfs: float | None) -> Tuning:
        aliased = self.shares(stage, level_dbfs)["aliased"]
        return tuning.measure(self.frequencies, self.curve(stage, level_dbfs), aliased)


def middle(levels: Sequence[float]) -> int:
    """Index of the middle one of the levels."""
    return int(np.argsort(levels)[len(levels) // 2])


def tone_probe(
    model: keras.Model,
    stages: Sequence[str] | None = None,
    *,
    tones: int = 128,
    phases: int = 5,
    levels_dbfs: Sequence[float] = (-40.0, -20.0, -6.0),
    fmin_hz: float = 30.0,
    fmax_hz: float | None = None,
    max_stride: int = 729,
) -> ToneProbe:
    """Play pure tones to a network and measure every channel of every stage.

    Parameters
    ----------
    stages : sequence of str, optional
        Default: all that have a time axis.
    tones : int
        How many, log-spaced from `fmin_hz` to `fmax_hz` (default: .98 of half the sampling rate).
    phases : int
        Evenly spaced, at least 3: a tone near a multiple of a stage's frame rate turns into a constant that depends
        on its phase, and only the average over phases is a property of the filter.
    levels_dbfs : sequence of float
        Tuning depends on level where the network is not linear.
    max_stride : int
        Samples; a stage with a larger stride gives its DC response only, for one phase at the middle level.

    Raises
    ------
    ValueError
        `phases` is below 3, there is no such stage, or the network cannot be rebuilt for the length of the tones (see
        `feature_maps.trunk`).

    Examples
    --------
    >>> from tagkit.graph import zoo
    >>> probe = tone_probe(zoo.build("dm16"), ["conv1"], tones=16, levels_dbfs=[-20])
    >>> probe.curve("conv1").shape  # (tones, channels)
    (16, 64)
    >>> bool((probe.tuning("conv1").centre_hz < 8000).all())
    True

    Notes
    -----
    Every tone lasts for the receptive field and 32 more frames of the slowest stage; frames that see an edge are
    dropped. Behind a recurrence or squeeze-excitation the second half of the frames is read, where the state has
    settled.
    """
    if phases < 3:
        raise ValueError(f"{phases} phases cannot tell a tone from its alias at 0 Hz; use at least 3.")
    chosen = select(geometry.stages(model), stages)
    frequencies = np.geomspace(fmin_hz, fmax_hz or 0.98 * graph.sampling_rate(model) / 2, tones)
    fast = [stage for stage in chosen if stage.stride <= max_stride]
    slow = [stage for stage in chosen if stage.stride > max_stride]
    levels = tuple(float(level) for level in levels_dbfs)
    amplitudes = [10 ** (level / 20) for level in levels]
    found: dict[str, tuple[Stage, np.ndarray]] = {}
    if fast:
        found |= _probe(model, fast, STEADY_FRAMES, frequencies, amplitudes, phases)
    if slow:
        at = middle(levels)
        for name, (stage, measured) in _probe(model, slow, 1, frequencies, [amplitudes[at]], 1).items():
            padded = np.full((len(levels), *measured.shape[1:]), np.nan)
            padded[at, :, 1] = measured[0, :, 1]
            padded[at, :, 0], padded[at, :, 2] = np.abs(measured[0, :, 1]), 0.0
            found[name] = stage, padded
    parts = [{stage.name: found[stage.name][1][:, :, part] for stage in chosen} for part in range(3)]
    places = {stage.name: found[stage.name][0] for stage in chosen}
    return ToneProbe(frequencies, levels, *parts, places, frozenset(stage.name for stage in slow), model.name)


def probe_length(stages: Sequence[Stage], frames: int) -> int:
    """Samples for which every stage has `frames` frames that see no edge."""
    return max(stage.receptive_field + frames * stage.stride for stage in stages)


def steady_frames(stage: Stage, samples: int) -> slice:
    """The frames of a stage that see neither edge of an input; the second half of them where the state must settle."""
    first = stage.offset - (stage.receptive_field - 1) / 2
    start = max(int(np.ceil(-first / stage.stride)), 0)
    stop = min(int((samples - first - stage.receptive_field) // stage.stride) + 1, stage.frames)
    if not stage.exact:
        start = (start + stop) // 2
    return slice(start, min(stop, start + FRAMES_READ))


def _probe(
    model: keras.Model,
    stages: Sequence[Stage],
    frames: int,
    frequencies: np.ndarray,
    amplitudes: Sequence[float],
    phases: int,
) -> dict[str, tuple[Stage, np.ndarray]]:
    """For every stage its geometry and (levels, tones, 3, channels): response, mean and coherent share."""
    samples = probe_length(stages, frames)
    names = [stage.name for stage in stages]
    network = trunk(model, samples, names)
    placed = select(geometry.stages(network), names)
    reads = [steady_frames(stage, samples) for stage in placed]
    silence = [frames_by_channels(o, s.axis) for o, s in zip(run(network, _silence(samples)), placed, strict=True)]
    rest = [maps[0, read].mean(axis=0) for maps, read in zip(silence, reads, strict=True)]
    results = [np.empty((len(amplitudes), len(frequencies), 3, stage.channels)) for stage in placed]
    at_once = max(SAMPLES_AT_ONCE // (samples * phases), 1)
    for level, amplitude in enumerate(amplitudes):
        for some, x in _tones(frequencies, amplitude, phases, samples, graph.sampling_rate(model), at_once):
            outputs = run(network, x)
            for i, (output, stage, read) in enumerate(zip(outputs, placed, reads, strict=True)):
                maps = frames_by_channels(output, stage.axis)[:, read]
                maps = maps.reshape(-1, phases, *maps.shape[1:]) - rest[i]
                results[i][level, some] = _measure(maps, frequencies[some], stage, read.start)
    return {stage.name: (stage, result) for stage, result in zip(placed, results, strict=True)}


def _silence(samples: int) -> np.ndarray:
    return np.zeros((1, samples, 1), np.float32)


def _tones(
    frequencies: np.ndarray, amplitude: float, phases: int, samples: int, sr: int, at_once: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Batches (tones * phases, samples, 1) with the slice of `frequencies` that they hold."""
    time, shift = np.arange(samples) / sr, 2 * np.pi * np.arange(phases) / phases
    for start in range(0, len(frequencies), at_once):
        some = slice(start, min(start + at_once, len(frequencies)))
        angle = 2 * np.pi * frequencies[some, None, None] * time + shift[:, None]
        yield some, (amplitude * np.sin(angle)).astype(np.float32).reshape(-1, samples, 1)


def _measure(maps: np.ndarray, frequencies: np.ndarray, stage: Stage, first: int) -> np.ndarray:
    """Response, mean and coherent share (tones, 3, channels) of deviations (tones, phases, frames, channels).

    The coherent share is the projection on the tone as it would be sampled at the frames, phase by phase: that is its
    alias where the frames are too slow, and evenly spaced phases make it exact for any number of frames.
    """
    tones, phases, frames, channels = maps.shape
    mean = maps.mean(axis=(1, 2), dtype=np.float64)
    fluctuation = (maps - mean[:, None, None].astype(np.float32)).reshape(tones, phases * frames, channels)
    variance = np.einsum("tnc,tnc->tc", fluctuation, fluctuation) / (phases * frames)
    time = stage.time(first + np.arange(frames))
    angle = 2 * np.pi * (frequencies[:, None, None] * time + np.arange(phases)[:, None] / phases)
    waves = np.stack([np.cos(angle), np.sin(angle)], axis=1).reshape(tones, 2, -1).astype(np.float32)
    projection = np.square(waves @ fluctuation / (phases * frames)).sum(axis=1)
    tiny = 1e-12 * np.maximum(mean**2, 1e-12)  # rounding of a channel that does not move
    coherent = np.where(variance > tiny, np.clip(2 * projection / np.maximum(variance, 1e-30), 0, 1), 0)
    return np.stack([np.sqrt(variance + mean**2), mean, coherent], axis=1)
