"""Which tags and channels hear an instrument: the same rendered piece with that instrument muted, or swapped.

A channel that is active when a violin plays may hear the violin, or what comes with violins. So the violin is muted in
pieces that the network has not heard, all else staying as it is sample for sample. What that takes from the channel
is compared with what muting another instrument of the same piece, of about the same level, takes from it.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import joblib
import keras
import numpy as np
import pandas as pd

from tagkit.analysis import geometry, stored
from tagkit.analysis.causes.statistics import Effect, effect
from tagkit.analysis.feature_maps import frames_by_channels
from tagkit.analysis.feature_maps import run as outputs_of
from tagkit.analysis.portrait import Portrait
from tagkit.data.demo import experiment, synthesis, voices
from tagkit.data.demo.arrange import INSTRUMENTS
from tagkit.data.demo.experiment import Variants
from tagkit.data.windows import evaluation_windows
from tagkit.evaluation.compare import holm
from tagkit.system.progress import progress_bar
from tagkit.training.runs import Run, TrainingError

FILE_NAME, FORMAT = "muting.npz", 1
CLIPS = 240
ALPHA = 0.05
VOICES = (*INSTRUMENTS, voices.DRUMS)


@dataclass(frozen=True)
class Changes:
    """What mutings did to one network.

    Attributes
    ----------
    logits : ndarray (mutings, 2, tags)
        What the tags' logits lost when the voice was muted, and when the other one was.
    activity : ndarray (mutings, 2, channels)
        What the channels' mean activities lost; the channels of all stages in a row.
    """

    logits: np.ndarray = field(repr=False)
    activity: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Muting:
    """The experiment with one network: voices of pieces that it has not heard, muted in turn; from `measure`.

    Attributes
    ----------
    name : str
        The run's.
    tags : tuple of str
    stages : tuple of str (channels,)
        The stage of each channel.
    voice, other : ndarray of str (mutings,)
        The instrument that was muted, and the one that it is compared with.
    piece : ndarray of str (mutings,)
    clear : ndarray of bool (mutings,)
        Whether muting the voice makes its tag untrue: no violin plays on when the strings are muted.
    trained : Changes
    control : Changes or None
        Of the random-initialisation control.
    swapped_to : ndarray of str (swaps,)
    swapped_from : ndarray of str (swaps,)
    swapped_piece : ndarray of str (swaps,)
    swapped : ndarray (swaps, tags)
        What the tags' logits gained when a voice's notes were played by another instrument.
    """

    name: str
    tags: tuple[str, ...]
    stages: tuple[str, ...]
    voice: np.ndarray = field(repr=False)
    other: np.ndarray = field(repr=False)
    piece: np.ndarray = field(repr=False)
    clear: np.ndarray = field(repr=False)
    trained: Changes = field(repr=False)
    control: Changes | None = field(repr=False)
    swapped_to: np.ndarray = field(repr=False)
    swapped_from: np.ndarray = field(repr=False)
    swapped_piece: np.ndarray = field(repr=False)
    swapped: np.ndarray = field(repr=False)

    @property
    def instruments(self) -> list[str]:
        """The instruments that are tags of the network."""
        return [voice for voice in VOICES if voice in self.tags]

    @property
    def channels(self) -> list[tuple[str, int]]:
        """Stage and number of each channel."""
        first = {stage: self.stages.index(stage) for stage in dict.fromkeys(self.stages)}
        return [(stage, i - first[stage]) for i, stage in enumerate(self.stages)]

    def of_tags(self) -> pd.DataFrame:
        """For each instrument what its tag's logit loses when it is muted, and when another instrument is.

        Returns
        -------
        DataFrame
            By tag: the means `muted` and `other`, their `difference` with its interval `low`, `high` over pieces, its
            `p` (adjusted by Holm's method over the tags) and the number of `pieces`. Unknown values are NaN.
        """
        rows = {}
        for name in self.instruments:
            chosen = (self.voice == name) & self.clear
            lost = self.trained.logits[chosen][:, :, self.tags.index(name)]
            found = effect(np.column_stack([lost, lost[:, 0] - lost[:, 1]]), self.piece[chosen])
            rows[name] = (*found.mean, found.low[2], found.high[2], found.p[2], found.pieces)
        table = pd.DataFrame(rows, ["muted", "other", "difference", "low", "high", "p", "pieces"]).T
        return table.assign(p=_adjusted(table["p"].to_numpy()), pieces=table["pieces"].astype(int))

    def hears(self, changes: Changes | None = None) -> dict[str, Effect]:
        """By instrument, what muting it takes from each channel beyond what muting another takes; `p` is adjusted.

        Parameters
        ----------
        changes : Changes, optional
            `trained` (the default) or `control`.
        """
        activity = (changes or self.trained).activity
        found = {
            name: effect(activity[mine][:, 0] - activity[mine][:, 1], self.piece[mine])
            for name in VOICES
            if (mine := self.voice == name).any()
        }
        adjusted = _adjusted(np.concatenate([each.p for each in found.values()])).reshape(len(found), -1)
        return {
            name: Effect(each.mean, each.low, each.high, each.sd, p, each.pieces)
            for (name, each), p in zip(found.items(), adjusted, strict=True)
        }

    def of_channels(self, alpha: float = ALPHA, control: bool = False) -> pd.DataFrame:
        """Channels that hear an instrument: those that lose more by muting it, beyond chance, the clearest first.

        Parameters
        ----------
        control : bool
            Those of the random-initialisation control, in place of the trained network's.

        Returns
        -------
        DataFrame
            `stage`, `channel`, `instrument`, `score` (the difference in standard deviations over pieces) with its
            interval `low`, `high`, the adjusted `p`, `pieces`, and the `control`'s score (NaN without a control).
        """
        untrained = self.hears(self.control) if self.control else {}
        rows = []
        for name, found in (untrained if control else self.hears()).items():
            beside = untrained[name].score if untrained else np.full(len(self.stages), np.nan)
            for i in np.flatnonzero((found.p <= alpha) & (found.mean > 0)):
                scores = found.score[i], found.low[i] / found.sd[i], found.high[i] / found.sd[i]
                rows.append((*self.channels[i], name, *scores, found.p[i], found.pieces, beside[i]))
        columns = ["stage", "channel", "instrument", "score", "low", "high", "p", "pieces", "control"]
        return pd.DataFrame(rows, columns=columns).sort_values("score", ascending=False, ignore_index=True)

    def confirmed(self, portrait: Portrait, alpha: float = ALPHA) -> tuple[int, int]:
        """How many channels that tell an instrument's tag by correlation also lose by muting it, of how many."""
        hears, own, count, total = self.hears(), portrait.channel_tags(), 0, 0
        for i, (stage, channel) in enumerate(self.channels):
            told = own[stage][channel] if stage in own else None
            if told and told.tested and told.tag in hears:
                total += 1
                count += bool(hears[told.tag].p[i] <= alpha and hears[told.tag].mean[i] > 0)
        return count, total

    def confusion(self) -> pd.DataFrame:
        """By tag: what its logit loses when its notes go to another instrument, what that one's tag gains, and how
        much other instruments' tags gain, with the number of pieces."""
        rows = {}
        for name in self.instruments:
            mine = (self.swapped_from == name) & np.isin(self.swapped_to, self.instruments)
            target = np.array([self.tags.index(to) for to in self.swapped_to[mine]], int)
            gains = self.swapped[mine]
            third = np.ones_like(gains, bool)
            third[np.arange(len(gains)), target] = False
            third[:, [k for k, tag in enumerate(self.tags) if tag == name or tag not in self.instruments]] = False
            others = np.where(third, gains, 0).sum(axis=1) / np.maximum(third.sum(axis=1), 1)
            columns = [-gains[:, self.tags.index(name)], gains[np.arange(len(gains)), target], others]
            found = effect(np.column_stack(columns), self.swapped_piece[mine])
            rows[name] = (*found.mean, found.pieces)
        table = pd.DataFrame(rows, ["old_loses", "new_gains", "others_gain", "pieces"]).T
        return table.assign(pieces=table["pieces"].astype(int))

    def summary(self, portrait: Portrait) -> str:
        """What tags and channels hear, for a terminal."""
        clear = self.of_tags().query("p <= @ALPHA and difference > 0")
        channels, lines = self.of_channels(), [f"{len(self.voice)} mutings in {len(set(self.piece))} test pieces"]
        for tag, row in clear.sort_values("difference", ascending=False).iterrows():
            lines.append(f"  {tag:<14} loses {row.difference:.2f} [{row.low:.2f}, {row.high:.2f}] logits by its muting")
        silent = [name for name in self.instruments if name not in clear.index]
        lines += [f"  not shown for {', '.join(silent)}"] if silent else []
        words = f"{len(channels)} pairs of a channel and an instrument: muting it takes more than muting another does"
        if self.control:
            beyond = int((channels["score"] > channels["control"]).sum())
            words += f"; in {beyond} of them more than in the untrained network"
        count, total = self.confirmed(portrait)
        return "\n".join([*lines, words, f"{count} of {total} channels that go with an instrument's tag hear it"])


_TYPES = (Muting, Changes)


def measure(run: Run, **settings: object) -> Muting:
    """The experiment with one trained network: `of_runs` of it, which takes the settings and raises the errors."""
    return of_runs([run], **settings)[0]


def of_runs(
    runs: Sequence[Run], *, clips: int = CLIPS, control: bool = True, jobs: int | None = None, progress: bool = True
) -> list[Muting]:
    """The experiment with trained networks: read from muting.npz beside each run, or made now and kept there.

    The music is rendered once for all of them; that is what takes the time.

    Parameters
    ----------
    clips : int
        How many clips with two or more instruments, of pieces in the test part of the rendered music: pieces that no
        network trained on rendered music has heard.
    control : bool
        Try the random-initialisation control, too.
    jobs : int, optional
        Processes that render (default: one for each core).
    progress : bool
        Show a bar.

    Raises
    ------
    TrainingError
        A network cannot be asked (see `check`), or has no weights yet.
    CatalogError
        The packages of the extra `demo` are missing.
    """
    for run in runs:
        check(run)
    settings = {"clips": clips, "control": control, **synthesis.versions()}
    fingerprints = [{"format": FORMAT, "weights": run.weights_sha256, "settings": settings} for run in runs]
    paths = [run.root / FILE_NAME for run in runs]
    kept = [p.is_file() and stored.fingerprint(p) == each for p, each in zip(paths, fingerprints, strict=True)]
    missing = {
        i: Listener(run.root.resolve().name, run.tags, [run.model(trained) for trained in (True, False)[: 1 + control]])
        for i, run in enumerate(runs)
        if not kept[i]
    }
    if missing:
        chosen = experiment.test_clips(clips)
        variants = experiment.render(chosen, jobs or joblib.cpu_count())
        for each in progress_bar(variants, "mute", len(chosen), unit="clip", disable=not progress):
            for listener in missing.values():
                listener.hear(each)
    found = {i: listener.found() for i, listener in missing.items()}
    for i, each in found.items():
        if os.access(runs[i].root, os.W_OK):
            stored.save(paths[i], each, fingerprints[i])
    return [found[i] if i in found else stored.load(path, _TYPES) for i, path in enumerate(paths)]


def check(run: Run) -> None:
    """TrainingError if a network knows no instrument by a tag, or merges the windows of a clip."""
    if not any(voice in run.tags for voice in VOICES):
        raise TrainingError(f"{run.root} has no instrument among its tags that can be muted: {', '.join(VOICES)}.")
    run.needs_single_windows("muting")


def responses(model: keras.Model) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """A function that gives a network's response to a clip of int16 samples, averaged over its windows.

    It returns the logits (tags,) and the mean activity of every channel (channels,), all stages in a row.
    """
    stages = geometry.stages(model)
    tensors = geometry.tensors(model)
    taps = keras.Model(model.inputs[0], [*(tensors[stage.name] for stage in stages), model.outputs[0]])
    window = model.input_shape[1]

    def respond(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cut = evaluation_windows(y, window)
        *maps, logits = outputs_of(taps, cut[..., None].astype(np.float32) / 32_768)
        means = [frames_by_channels(a, s.axis).mean(axis=(0, 1)) for a, s in zip(maps, stages, strict=True)]
        return logits.mean(axis=0), np.concatenate(means)

    return respond


class Listener:
    """One network that hears every variant of clip after clip.

    Parameters
    ----------
    name : str
        What the trained network is called.
    models : sequence of keras.Model
        Waveform (batch, window, 1) -> logits (batch, tags): the trained one and, if wanted, the control.
    """

    def __init__(self, name: str, tags: Sequence[str], models: Sequence[keras.Model]):
        self.name, self.tags = name, tuple(tags)
        self.stages = tuple(stage.name for stage in geometry.stages(models[0]) for _ in range(stage.channels))
        self._responses = [responses(model) for model in models]
        self._mutings: list[tuple[str, str, str, bool]] = []
        self._swaps: list[tuple[str, str, str]] = []
        self._lost: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in models]
        self._gained: list[np.ndarray] = []

    def hear(self, clip: Variants) -> None:
        """Take in one clip."""
        self._mutings += [(mine, other, clip.piece, clip.makes_untrue(mine)) for mine, other in clip.pairs]
        self._swaps.append((*clip.swap, clip.piece))
        for number, respond in enumerate(self._responses):
            before = respond(clip.full)
            muted = {voice: respond(y) for voice, y in clip.muted.items()}
            for pair in clip.pairs:
                self._lost[number].append(tuple(b - [muted[v][k] for v in pair] for k, b in enumerate(before)))
            if number == 0:
                self._gained.append(respond(clip.swapped)[0] - before[0])

    def found(self) -> Muting:
        """What the mutings did to the network."""
        changes = [Changes(*(np.array(part, np.float32) for part in zip(*each, strict=True))) for each in self._lost]
        voice, other, piece, clear = (np.array(column) for column in zip(*self._mutings, strict=True))
        swapped_from, swapped_to, swapped_piece = (np.array(column) for column in zip(*self._swaps, strict=True))
        return Muting(
            name=self.name,
            tags=self.tags,
            stages=self.stages,
            voice=voice,
            other=other,
            piece=piece,
            clear=clear,
            trained=changes[0],
            control=changes[1] if len(changes) > 1 else None,
            swapped_to=swapped_to,
            swapped_from=swapped_from,
            swapped_piece=swapped_piece,
            swapped=np.array(self._gained, np.float32),
        )


def _adjusted(p: np.ndarray) -> np.ndarray:
    """Holm's method over all p-values that are known."""
    known = np.isfinite(p)
    adjusted = np.full(p.shape, np.nan)
    if known.any():
        adjusted[known] = holm(p[known])
    return adjusted
