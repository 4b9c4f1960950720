"""Pure tones into a network: what every stage answers, on a grid that is refined until the peaks hold."""

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from tagkit import graph
from tagkit.analysis import geometry, tuning
from tagkit.analysis.feature_maps import frames_by_channels, run, select, trunk
from tagkit.analysis.geometry import Stage
from tagkit.graph.describe import macs

STEADY_FRAMES = 8  # of every stage see nothing but the tone; phases average out what more would
SETTLING_FRAMES = 32  # of a stage whose state has to settle
FRAMES_READ = 256  # of a stage with many more frames
SAMPLES_AT_ONCE = 2**19
MOST_MACS = 1.5e12  # multiply-accumulates of all tones: minutes of a processor core for the largest networks
NEAR_DB = 1.5  # below its maximum: where a channel's peak may lie


class Player:
    """Plays tones to some stages of a network.

    Parameters
    ----------
    stages : sequence of Stage
    amplitudes : sequence of float
        Of the tones; 1 is full scale.
    phases : int
        Of every tone, evenly spaced.
    frames : int, optional
        That see nothing but the tone; default: 8, or 32 of a stage whose state has to settle.
    """

    def __init__(
        self,
        model: keras.Model,
        stages: Sequence[Stage],
        amplitudes: Sequence[float],
        phases: int,
        frames: int | None = None,
    ):
        self.sr, self.amplitudes, self.phases = graph.sampling_rate(model), amplitudes, phases
        self.samples, self.steady_only = probe_length(stages, frames), frames == 1
        names = [stage.name for stage in stages]
        self.network = trunk(model, self.samples, names)
        self.macs = macs(self.network) * phases * len(amplitudes)  # of a tone
        self.stages = select(geometry.stages(self.network), names)
        self.reads = [steady_frames(stage, self.samples) for stage in self.stages]
        silence = run(self.network, np.zeros((1, self.samples, 1), np.float32))
        placed = zip(silence, self.stages, self.reads, strict=True)
        self.rest = [frames_by_channels(o, s.axis)[0, read].mean(axis=0) for o, s, read in placed]

    def __call__(self, frequencies: np.ndarray) -> list[np.ndarray]:
        """For every stage (levels, tones, 3, channels): response, mean and coherent share.

        Of a single frame the response is the magnitude of the mean: there is no fluctuation to measure.
        """
        found = [np.empty((len(self.amplitudes), len(frequencies), 3, stage.channels)) for stage in self.stages]
        for level, amplitude in enumerate(self.amplitudes):
            for some, x in self._tones(frequencies, amplitude):
                placed = enumerate(zip(run(self.network, x), self.stages, self.reads, strict=True))
                for i, (output, stage, read) in placed:
                    maps = frames_by_channels(output, stage.axis)[:, read]
                    maps = maps.reshape(-1, self.phases, *maps.shape[1:]) - self.rest[i]
                    found[i][level, some] = _measure(maps, frequencies[some], stage, read.start)
        if self.steady_only:
            for measured in found:
                measured[:, :, 0], measured[:, :, 2] = np.abs(measured[:, :, 1]), 0
        return found

    def _tones(self, frequencies: np.ndarray, amplitude: float) -> Iterator[tuple[slice, np.ndarray]]:
        """Batches (tones * phases, samples, 1) with the slice of `frequencies` that they hold."""
        at_once = max(SAMPLES_AT_ONCE // (self.samples * self.phases), 1)
        time, shift = np.arange(self.samples) / self.sr, 2 * np.pi * np.arange(self.phases) / self.phases
        for start in range(0, len(frequencies), at_once):
            some = slice(start, min(start + at_once, len(frequencies)))
            angle = 2 * np.pi * frequencies[some, None, None] * time + shift[:, None]
            yield some, (amplitude * np.sin(angle)).astype(np.float32).reshape(-1, self.samples, 1)


def probe_length(stages: Sequence[Stage], frames: int | None = None) -> int:
    """Samples for which every stage has enough frames that see no edge; `frames` as for `Player`."""
    enough = (frames or (STEADY_FRAMES if stage.exact else SETTLING_FRAMES) for stage in stages)
    return max(stage.receptive_field + count * stage.stride for stage, count in zip(stages, enough, strict=True))


def steady_frames(stage: Stage, samples: int) -> slice:
    """The frames of a stage that see neither edge of an input; the second half of them where the state must settle."""
    first = stage.offset - (stage.receptive_field - 1) / 2
    start = max(int(np.ceil(-first / stage.stride)), 0)
    stop = min(int((samples - first - stage.receptive_field) // stage.stride) + 1, stage.frames)
    if not stage.exact:
        start = (start + stop) // 2
    return slice(start, min(stop, start + FRAMES_READ))


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


def refine(player: Player, base: np.ndarray, times: int) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Play the tones of a grid, and further ones around the channels' peaks until their centres hold.

    Parameters
    ----------
    base : ndarray (tones,)
        Hz, rising. Where they lie further apart than a stage can tell two tones from each other (half the sampling
        rate over the longest receptive field), tones between them come first: no peak hides between two tones then.
    times : int
        As many tones as `base` has are played in the end, at most; fewer, but all of `base`, where the network takes
        so many multiply-accumulates for one that they would pass `MOST_MACS`.

    Returns
    -------
    ndarray (more_tones,)
        The grid in the end, with all of `base`.
    list of ndarray (levels, more_tones, 3, channels)
        By stage, as from `Player`.
    list of ndarray (levels, channels)
        By stage: how far the centre moved when the tones around the peak became twice as dense, octaves; infinite
        where there was no room for more tones.
    """
    most = min(times * len(base), max(len(base), int(MOST_MACS // max(player.macs, 1))))
    grid = filled(base, player.sr, max(stage.receptive_field for stage in player.stages), most // 2)
    found = player(grid)
    centres = [_centres(grid, stage) for stage in found]
    moved = [np.full_like(each, np.inf) for each in centres]
    while True:
        wanted = [_wanted(stage, far > tuning.HOLDS_OCTAVES) for stage, far in zip(found, moved, strict=True)]
        chosen = _chosen(wanted, most - len(grid))
        if not chosen.any():
            return grid, found, moved
        fresh = np.sqrt(grid[:-1] * grid[1:])[chosen]
        order = np.argsort(np.concatenate([grid, fresh]))
        grid = np.concatenate([grid, fresh])[order]
        found = [np.concatenate(pair, axis=1)[:, order] for pair in zip(found, player(fresh), strict=True)]
        for i, stage in enumerate(found):
            now = _centres(grid, stage)
            step = np.nan_to_num(np.abs(np.log2(now / centres[i])))  # a dead channel has no centre, and it holds
            served = ~(wanted[i] & ~chosen[:, None]).any(axis=1)
            centres[i], moved[i] = now, np.where(served, step, np.maximum(moved[i], step))


def filled(base: np.ndarray, sr: int, receptive_field: int, most: int) -> np.ndarray:
    """The grid (Hz, rising) with tones between its own, `most` at most, so that no peak hides between two of them.

    None are further apart than a stage of that receptive field (samples) can tell two tones from each other: half the
    sampling rate over the receptive field.
    """
    spacing_hz = sr / (2 * receptive_field)
    while True:
        parts = np.maximum(np.ceil(np.diff(base) / spacing_hz), 1).astype(int)
        if parts.sum() < max(most, len(base)):
            break
        spacing_hz *= 1.1
    between = [np.linspace(low, high, n + 1)[:-1] for low, high, n in zip(base[:-1], base[1:], parts, strict=True)]
    return np.concatenate([*between, base[-1:]])


def _centres(grid: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Centre frequencies (levels, channels)."""
    return np.array([[tuning.centre_frequency(grid, curve) for curve in level.T] for level in found[:, :, 0]])


def _wanted(found: np.ndarray, loose: np.ndarray) -> np.ndarray:
    """Intervals in which a channel's maximum may lie (levels, tones - 1, channels), for `loose` channels only."""
    curves = found[:, :, 0]
    near = (curves >= 10 ** (-NEAR_DB / 20) * curves.max(axis=1, keepdims=True)) & (curves > 0) & loose[:, None]
    return near[:, :-1] | near[:, 1:]


def _chosen(wanted: Sequence[np.ndarray], most: int) -> np.ndarray:
    """The intervals to split (tones - 1,), those that most channels want first where there is no room for all."""
    votes = sum(each.sum(axis=(0, 2)) for each in wanted)
    order = np.argsort(-votes, kind="stable")[: max(most, 0)]
    chosen = np.zeros(len(votes), bool)
    chosen[order] = votes[order] > 0
    return chosen
