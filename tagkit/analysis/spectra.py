"""Filter spectra from the outside: pure tones into the waveform input, the response of every channel of every stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import keras
import numpy as np

from tagkit import graph
from tagkit.analysis import geometry, tuning
from tagkit.analysis import tones as playing
from tagkit.analysis.feature_maps import select
from tagkit.analysis.geometry import Stage
from tagkit.analysis.tuning import Tuning

FINER, FINER_STEADY = 8, 2  # times as many tones, at most; few for slow stages, whose tones are long


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
        Level of the tones, as AES17 counts it: 0 dBFS is a sine of amplitude 1 (whose RMS is 3 dB below).
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
    tunings : dict of str -> tuple of Tuning
        By stage, one for each level, from the refined grid of `tone_probe`; empty: they are read off the curves.
    """

    frequencies: np.ndarray
    levels_dbfs: tuple[float, ...]
    response: dict[str, np.ndarray] = field(repr=False)
    dc: dict[str, np.ndarray] = field(repr=False)
    coherent: dict[str, np.ndarray] = field(repr=False)
    geometry: dict[str, Stage]
    dc_only: frozenset[str] = frozenset()
    model: str = ""
    tunings: Mapping[str, tuple[Tuning, ...]] = field(default_factory=dict, repr=False)

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
        return self.tunings[stage][at] if stage in self.tunings else self._read_off[stage][at]

    @cached_property
    def _read_off(self) -> dict[str, tuple[Tuning, ...]]:
        curves = {stage: np.abs(response) for stage, response in self.response.items()}
        return {stage: self.measured(stage, self.frequencies, curve) for stage, curve in curves.items()}

    def measured(
        self, stage: str, frequencies: np.ndarray, curves: np.ndarray, moved: np.ndarray | None = None
    ) -> tuple[Tuning, ...]:
        """The Tuning at every level from curves (levels, tones, channels) at any frequencies (tones,) of a stage.

        `moved` (levels, channels) is as for `tuning.measure`. Where a level was not probed, it is the middle one's.
        """
        found = []
        for at, level in enumerate(self.levels_dbfs):
            at = middle(self.levels_dbfs) if stage in self.dc_only else at
            aliased = self.shares(stage, level)["aliased"]
            found.append(tuning.measure(frequencies, curves[at], aliased, None if moved is None else moved[at]))
        return tuple(found)


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
    Every tone lasts for the receptive field and 8 more frames of the slowest stage; frames that see an edge are
    dropped. Behind a recurrence or squeeze-excitation it lasts for 32 frames, of which the second half is read, where
    the state has settled. Curves are those of the log-spaced tones; centres and bands come from a grid with further
    tones around the peaks (`tones.refine`), and a centre that does not hold there is NaN (`Tuning.unresolved`). A
    network that takes billions of multiply-accumulates for a tone gets fewer of them: more of its centres do not hold.
    """
    if phases < 3:
        raise ValueError(f"{phases} phases cannot tell a tone from its alias at 0 Hz; use at least 3.")
    chosen = select(geometry.stages(model), stages)
    frequencies = np.geomspace(fmin_hz, fmax_hz or 0.98 * graph.sampling_rate(model) / 2, tones)
    slow = frozenset(stage.name for stage in chosen if stage.stride > max_stride)
    levels = tuple(float(level) for level in levels_dbfs)
    amplitudes = [10 ** (level / 20) for level in levels]
    found: dict[str, np.ndarray] = {}
    places: dict[str, Stage] = {}
    finer: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for part, at, count, frames, times in (
        ([s for s in chosen if s.name not in slow], slice(None), phases, None, FINER),
        ([s for s in chosen if s.name in slow], slice(middle(levels), middle(levels) + 1), 1, 1, FINER_STEADY),
    ):
        if part:
            player = playing.Player(model, part, amplitudes[at], count, frames)
            grid, measured, moved = playing.refine(player, frequencies, times)
            for stage, heard, far in zip(player.stages, measured, moved, strict=True):
                full = np.full((len(levels), *heard.shape[1:]), np.nan)
                full[at] = heard
                places[stage.name], found[stage.name] = stage, full[:, np.searchsorted(grid, frequencies)]
                finer[stage.name] = grid, full[:, :, 0], np.broadcast_to(far, (len(levels), far.shape[1]))
    parts = [{stage.name: found[stage.name][:, :, part] for stage in chosen} for part in range(3)]
    places = {stage.name: places[stage.name] for stage in chosen}
    probe = ToneProbe(frequencies, levels, *parts, places, slow, model.name)
    return replace(probe, tunings={stage: probe.measured(stage, *each) for stage, each in finer.items()})
