"""How each stage builds its filters on those of the level before, by every estimator that is valid there.

Three of the four estimators describe a stage relative to the stage below it (`tagkit.analysis.transfer`); the fourth,
the tone probe, describes what has become of the sound by then. Where one of them would mean nothing, its reason stands
in its place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd

from tagkit.analysis import geometry, identification, scales, transfer
from tagkit.analysis.feature_maps import FeatureExtractor, FeatureMaps, select
from tagkit.analysis.geometry import Stage
from tagkit.analysis.identification import CrossSpectra, Transfer
from tagkit.analysis.spectra import ToneProbe
from tagkit.analysis.transfer import ConvFilter, PowerSpectra, Ratio, TooFewSegments

SEGMENT = 32  # output frames, far more than the kernels of a stage reach
ENOUGH, LEAST_SEGMENTS = 4, 1000  # times the fewest segments, spread over all clips: more are not worth their time
UNHEARD_DB = -40.0  # below its peak: where the input holds less, H1 has nothing to go by


@dataclass(frozen=True)
class LevelComparison:
    """A stage's filters by comparison with the level before, by every estimator that is valid there.

    Attributes
    ----------
    stage : str
    below : str or None
        None is the waveform.
    rate_hz : float
        Frames per second of the level below.
    weights : list of ConvFilter
        Empty for a stage without a convolution over time.
    ratio : Ratio or None
    h1 : Transfer or None
    refused : dict of str -> str
        Why an estimator is missing.
    """

    stage: str
    below: str | None
    rate_hz: float
    weights: list[ConvFilter]
    ratio: Ratio | None
    h1: Transfer | None
    refused: dict[str, str]

    def gains(self, probe: ToneProbe | None = None) -> dict[str, tuple[np.ndarray, np.ndarray] | str]:
        """Every estimator as one curve a channel: (frequencies in Hz, gain (frequencies, channels)), or why not.

        Of the weights and of H1 it is the root sum of squares over the inputs: what the filters would do to inputs of
        equal power that know nothing of each other. The ratio says what happened to the inputs that there were. H1 is
        NaN where the clips hold next to nothing (40 dB below the peak), and where its interval reaches down to 0: there
        it knows nothing.
        """
        found: dict[str, tuple[np.ndarray, np.ndarray] | str] = {
            "weights": self._weight_gain(),
            "H1": self.refused.get("h1", ""),
            "ratio": self.refused.get("ratio", ""),
        }
        if self.h1 is not None:  # segments are demeaned: 0 Hz holds only leakage
            gain = np.where(self.h1.low > 0, self.h1.gain, np.nan)
            gain[self.ratio.source < 10 ** (UNHEARD_DB / 10)] = np.nan
            found["H1"] = self.h1.frequencies[1:], gain[1:]
        if self.ratio is not None:
            found["ratio"] = self.ratio.frequencies[1:], self.ratio.gain[1:]
        if probe is not None:
            found["tone probe"] = probe.frequencies, probe.curve(self.stage)
        return found

    def _weight_gain(self) -> tuple[np.ndarray, np.ndarray] | str:
        if len(self.weights) > 1:
            names = ", ".join(conv.layer for conv in self.weights)
            return f"{self.stage} holds {len(self.weights)} convolutions, each with weights of its own: {names}."
        if not self.weights:
            return self.refused["weights"]
        frequencies = np.linspace(0, self.weights[0].rate_hz / 2, 129)
        return frequencies, np.sqrt(np.square(np.abs(self.weights[0].response(frequencies))).sum(axis=1))


class _Level:
    """One stage and the one below it, while clips stream by."""

    def __init__(self, stage: Stage, below: Stage | None, length: int):
        self.stage, self.below, self.length = stage.name, below and below.name, length
        self.rate_hz = stage.sr if below is None else below.frame_rate
        self.stride = stage.stride // (1 if below is None else below.stride)
        self.ratio = PowerSpectra(self.stride, length)
        self.cross = CrossSpectra(1 if below is None else below.channels, self.stride, length)
        self.refusal, self.share = "", 0

    def plan(self, frames: Sequence[int]) -> None:
        """Refuse H1 where clips with so many frames of the stage will not do; else take as much of each of them."""
        counts = np.array([self.cross.segments_of(n) for n in frames])
        enough = max(ENOUGH * identification.SEGMENTS_PER_INPUT * self.cross.inputs, LEAST_SEGMENTS)
        shares = np.arange(1, max(counts.max(), 1) + 1)
        self.share = int(shares[np.argmax(np.minimum.outer(shares, counts).sum(axis=1) >= min(enough, counts.sum()))])
        try:
            self.cross.refuse(counts.sum())
        except TooFewSegments as reason:
            self.refusal = str(reason)

    def add(self, maps: FeatureMaps, fold: int | None) -> None:
        """Add one clip; H1 takes its share."""
        x, y = maps.y[:, None] if self.below is None else maps.maps[self.below], maps.maps[self.stage]
        self.ratio.add(x, y)
        if not self.refusal:
            self.cross.add(x, y, fold, self.share)

    def compare(self, model: keras.Model) -> LevelComparison:
        """Put side by side what there is."""
        refused = {"h1": self.refusal} if self.refusal else {}
        attempts = {
            "weights": lambda: transfer.weights(model, self.stage),
            "ratio": lambda: self.ratio.ratio(self.rate_hz),
            "h1": lambda: self.cross.transfer(self.rate_hz),
        }
        found = {}
        for name in attempts.keys() - refused.keys():
            try:
                found[name] = attempts[name]()
            except ValueError as reason:  # each of them refuses with a reason for people
                refused[name] = str(reason)
        estimates = found.get("weights", []), found.get("ratio"), found.get("h1")
        return LevelComparison(self.stage, self.below, self.rate_hz, *estimates, refused)


def construct(
    model: keras.Model,
    clips: Sequence[np.ndarray],
    stages: Sequence[str] | None = None,
    *,
    length: int = SEGMENT,
    pieces: Sequence | None = None,
) -> list[LevelComparison]:
    """Compare every stage of a network with the one before it; the first one with the waveform.

    Parameters
    ----------
    clips : sequence of ndarray (samples,)
        The more, the deeper H1 reaches; their maps are in memory one clip at a time.
    stages : sequence of str, optional
        Default: all that have a time axis.
    length : int
        Frames of a stage's map in one segment.
    pieces : sequence, optional
        The piece of each clip, as for `identification.h1`.
    """
    chosen = select(geometry.stages(model), stages)
    levels = [_Level(s, b, length) for s, b in zip(chosen, [None, *chosen[:-1]], strict=True)]
    for level, stage in zip(levels, chosen, strict=True):
        level.plan([len(y) // stage.stride for y in clips])
    extract = FeatureExtractor(model, stages)
    folds = identification.folds_of(range(len(clips)) if pieces is None else pieces)
    for y, fold in zip(clips, folds, strict=True):
        maps = extract(y)
        for level in levels:
            level.add(maps, fold)
    return [level.compare(model) for level in levels]


COLUMNS = {
    "inputs": "inputs: channels below times stride",
    "segments": "segments: pieces of maps that the best linear filters were found from",
    "linear_fraction": "linear_fraction [linear_low, linear_high]: share of a channel's power that these filters "
    "predict in held-out pieces, median over channels",
    "linear": "linear, aliased, nonlinear: what the response to tones consists of",
    "moved_db": "moved_db [low, high]: how far training moved the responses to tones from the untrained network's",
}


def explain(stages: pd.DataFrame) -> str:
    """What the columns of `table` are, in one sentence."""
    said = [words for column, words in COLUMNS.items() if column in stages]
    return "; ".join([*said, "-: not to be measured in so slow a stage, or with so few clips."])


def table(levels: Sequence[LevelComparison], probe: ToneProbe, control: ToneProbe | None = None) -> pd.DataFrame:
    """What the estimators say of each stage in numbers, one row a stage.

    Parameters
    ----------
    levels : sequence of LevelComparison
        From `construct`.
    probe : ToneProbe
        Of the same network.
    control : ToneProbe, optional
        Of its random-initialisation control.

    Returns
    -------
    DataFrame
        ``inputs`` and ``segments`` of H1, its ``linear_fraction`` in held-out pieces (median over channels) with
        ``linear_low`` and ``linear_high`` (NaN where it is refused);
        ``linear``, ``aliased`` and ``nonlinear``, the shares of the answer to tones; ``moved_db`` with ``low`` and
        ``high``, the distance from the control's curves (`scales.bank_distance`).
    """
    rows: dict[str, dict] = {}
    for level in levels:
        h1 = level.h1
        fraction = (np.nan,) * 3 if h1 is None else h1.median_fraction()
        row: dict = dict(zip(("linear_fraction", "linear_low", "linear_high"), fraction, strict=True))
        row = {"inputs": h1.inputs if h1 else np.nan, "segments": h1.segments if h1 else np.nan} | row
        row |= _shares(probe, level.stage)
        if control is not None:
            moved = scales.bank_distance(probe.curve(level.stage), control.curve(level.stage))
            row |= {"moved_db": moved.value, "low": moved.low, "high": moved.high}
        rows[level.stage] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("stage")


def _shares(probe: ToneProbe, stage: str) -> Mapping[str, float]:
    """Mean over the channels that respond; NaN where only a steady response was measured."""
    shares = probe.shares(stage)
    alive = probe.curve(stage).max(axis=0) > 0
    if stage in probe.dc_only or not alive.any():
        return dict.fromkeys(shares, np.nan)
    return {name: float(share[alive].mean()) for name, share in shares.items()}
