"""Which channels a network uses for a tag: channels are silenced in the middle of it, and the rest goes on.

That a channel goes with a tag does not say that the tag's score comes from it. So its map is replaced by its mean over
the training clips, which takes from it all that it tells of a clip, and the tag's score is computed anew. What the
channels that speak loudest for a tag carry of its score is compared with what random channels of the same stage carry
that vary as much.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
import pandas as pd

from tagkit.analysis import geometry, selectivity
from tagkit.analysis.causes.statistics import effect
from tagkit.analysis.feature_maps import run as outputs_of
from tagkit.analysis.feature_maps import select
from tagkit.analysis.portrait import Portrait
from tagkit.data.records import Records
from tagkit.data.windows import evaluation_windows
from tagkit.evaluation.compare import holm
from tagkit.system.progress import progress_bar
from tagkit.training.runs import Run

DRAWS = 999
ALPHA = 0.05
WINDOWS = 3  # of each clip
SHARE, FEWEST = 32, 4  # one channel in so many speaks for a tag, but at least so many
BLOCKS = 10  # of channels, by energy: random ones are drawn from the block of the speaker whose place they take
FEWEST_CLIPS = 4  # with the tag, and without it
AT_ONCE = 16  # sets of channels


class Silenced:
    """A network from one stage on, with channels of that stage replaced by constants.

    Parameters
    ----------
    model : keras.Model
        Waveform (batch, window, 1) -> logits (batch, tags).
    stage : str
    fill : ndarray (channels,)
        What a silenced channel is everywhere: its mean over training clips, or zeros.

    Raises
    ------
    ValueError
        There is no such stage, or the network reaches its logits past it, too.
    """

    def __init__(self, model: keras.Model, stage: str, fill: np.ndarray):
        (place,) = select(geometry.stages(model), [stage])
        tensor = geometry.tensors(model)[stage]
        self.fill = np.asarray(fill, np.float32)
        self.bands = tensor.shape[-1] == 1 < place.channels  # which are the channels then
        self._head = keras.Model(model.inputs[0], tensor)
        try:
            self._tail = keras.Model(tensor, model.outputs[0])
        except ValueError as error:
            raise ValueError(
                f"{model.name} reaches its logits past {stage}, too, so nothing can be silenced there for good; choose "
                "a later stage."
            ) from error

    def maps(self, windows: np.ndarray) -> np.ndarray:
        """The stage's output for windows (windows, samples), with its channels in the last axis."""
        (maps,) = outputs_of(self._head, windows[..., None])
        return maps[..., 0] if self.bands else maps

    def energy(self, maps: np.ndarray) -> np.ndarray:
        """How far each channel is from what it is replaced by: the mean square (channels,)."""
        return np.square(maps - self.fill).mean(axis=tuple(range(maps.ndim - 1)), dtype=np.float64)

    def logits(self, maps: np.ndarray, sets: Sequence[Sequence[int]] = ((),)) -> np.ndarray:
        """Logits (sets, windows, tags) with the channels of each set silenced."""
        found = []
        for start in range(0, len(sets), AT_ONCE):
            some = sets[start : start + AT_ONCE]
            x = np.repeat(maps[None], len(some), axis=0)
            for changed, channels in zip(x, some, strict=True):
                changed[..., list(channels)] = self.fill[list(channels)]
            flat = x.reshape(-1, *maps.shape[1:])
            (logits,) = outputs_of(self._tail, flat[..., None] if self.bands else flat)
            found.append(logits.reshape(len(some), len(maps), -1))
        return np.concatenate(found)


@dataclass(frozen=True)
class Ablation:
    """What silencing channels of one stage did to a network's tags; from `measure`.

    Attributes
    ----------
    name, stage : str
    tags : tuple of str
    k : int
        Speakers of each tag.
    tested : DataFrame
        By tag, see `of_tags`.
    drops : ndarray (channels, tags)
        What each tag's logit loses, on clips that have the tag, when one channel is silenced: means over pieces.
    p : ndarray (channels, tags)
        Of no loss, adjusted by Holm's method over channels and tags.
    """

    name: str
    stage: str
    tags: tuple[str, ...]
    k: int
    tested: pd.DataFrame = field(repr=False)
    drops: np.ndarray = field(repr=False)
    p: np.ndarray = field(repr=False)

    def of_tags(self) -> pd.DataFrame:
        """For each tag what its logit loses, on clips that have it, when its loudest speakers are silenced.

        Returns
        -------
        DataFrame
            By tag: the means over pieces `speakers` and, of random channels, `random`; their `difference` with its
            interval `low`, `high` over pieces; `p`: how often random channels take at least as much, adjusted by Holm's
            method over the tags; ROC-AUC of the network as it is (`auc`), without the speakers (`auc_speakers`) and
            without random channels (`auc_random`); the random channels' `energy` over the speakers'; and the number of
            `pieces` with the tag.
        """
        return self.tested

    def summary(self, alpha: float = ALPHA) -> str:
        """What speakers carry, for a terminal."""
        shown = self.tested[["speakers", "random", "low", "high", "p", "auc", "auc_speakers", "auc_random", "pieces"]]
        clear = int(((self.tested["p"] <= alpha) & (self.tested["difference"] > 0)).sum())
        words = (
            f"{self.name}, {self.stage}: what a tag's logit loses without its {self.k} loudest speakers, and without "
            f"{self.k} random channels of about the same energy, and its ROC-AUC as it is and without either; "
            f"{clear} of {len(self.tested)} tags lose more than by chance"
        )
        return f"{words}\n{shown.round(3).to_string()}"


def measure(
    run: Run,
    portrait: Portrait,
    records: Records,
    stage: str | None = None,
    *,
    k: int | None = None,
    draws: int = DRAWS,
    zero: bool = False,
    progress: bool = True,
    seed: int = 0,
) -> Ablation:
    """Silence channels of a trained network, and see what its tags lose on one held-out clip of each piece.

    Parameters
    ----------
    portrait : Portrait
        Of the run. The loudest speakers of a tag are the channels whose mean tells it best on the clips that are not
        held out.
    records : Records
        Hold the portrait's clips.
    stage : str, optional
        Default: the last one that has a time axis.
    k : int, optional
        Speakers of each tag; default: one channel in 32, but at least 4.
    draws : int
        Sets of random channels for each tag.
    zero : bool
        Replace channels by 0, which may be a value that they never have, rather than by their mean.

    Raises
    ------
    TrainingError
        The network merges windows.
    ValueError
        The portrait's clips are too few or all held out, there is no such stage, or the network reaches its logits
        past it.
    """
    run.needs_single_windows("ablation")
    model = run.model()
    stage, seen = stage or portrait.stages[-1], slice(portrait.held_out, None)
    heard, labels = portrait.trained.heard, portrait.labels
    if not len(labels[seen]):
        raise ValueError(f"{portrait.name}: all clips of the portrait are held out; measure more clips.")
    means = heard.means[stage][seen]
    once = selectivity.first_of_each(portrait.pieces[seen])
    told = selectivity.selectivity(means[once], heard.maxima[stage][seen][once], labels[seen][once], portrait.tags)
    k = k or max(len(means[0]) // SHARE, FEWEST)
    speakers = np.argsort(-np.nan_to_num(told.auc["mean"], nan=-1), axis=0, kind="stable")[:k].T
    silenced = Silenced(model, stage, np.zeros_like(means[0]) if zero else means.mean(axis=0))
    held_out = [records.waveform(portrait.clips[i]) for i in portrait.once]
    return compare(
        silenced,
        np.concatenate([evaluation_windows(y, model.input_shape[1], WINDOWS) for y in held_out]),
        labels[portrait.once],
        speakers,
        tags=portrait.tags,
        name=portrait.name,
        stage=stage,
        draws=draws,
        progress=progress,
        seed=seed,
    )


def compare(
    silenced: Silenced,
    windows: np.ndarray,
    labels: np.ndarray,
    speakers: np.ndarray,
    *,
    tags: Sequence[str],
    name: str = "",
    stage: str = "",
    draws: int = DRAWS,
    progress: bool = True,
    seed: int = 0,
) -> Ablation:
    """Compare what a tag's speakers carry with what random channels do, on clips of pieces that are all different.

    Parameters
    ----------
    windows : ndarray (clips * n, samples)
        As many of each clip.
    labels : ndarray of bool (clips, tags)
    speakers : ndarray of int (tags, k)
        Channels.
    """
    maps, rng, clips = silenced.maps(windows), np.random.default_rng(seed), len(labels)
    energy = silenced.energy(maps)

    def of_clips(sets: Sequence[Sequence[int]]) -> np.ndarray:
        logits = silenced.logits(maps, sets)
        return logits.reshape(len(sets), clips, -1, logits.shape[-1]).mean(axis=2)

    (before,) = of_clips([()])
    rows = {}
    bar = progress_bar(list(zip(tags, speakers, strict=True)), f"silence {stage}", unit="tag", disable=not progress)
    for t, (tag, own) in enumerate(bar):
        has = labels[:, t]
        if min(has.sum(), (~has).sum()) < FEWEST_CLIPS:
            continue
        sets = list(matched(energy, own, draws, rng))
        after = of_clips([own, *sets])[..., t]  # (1 + draws, clips)
        rows[tag] = _row(before[:, t], after, has) | {
            "energy": float(energy[np.array(sets)].sum(1).mean() / energy[own].sum())
        }
    if not rows:
        raise ValueError(
            f"{name}: its {clips} held-out clips are too few: no tag has {FEWEST_CLIPS} of them and lacks as many; "
            "measure more clips."
        )
    tested = pd.DataFrame.from_dict(rows, orient="index")
    tested["p"] = holm(tested["p"].to_numpy())
    single = before - of_clips([(c,) for c in range(len(energy))])  # (channels, clips, tags)
    drops, p = (np.full(single.shape[::2], np.nan) for _ in range(2))
    for t in range(len(tags)):
        found = effect(single[:, labels[:, t], t].T, np.arange(labels[:, t].sum()))
        drops[:, t], p[:, t] = found.mean, found.p
    known = np.isfinite(p)
    p[known] = holm(p[known])
    return Ablation(name, stage, tuple(tags), speakers.shape[1], tested, drops, p)


def matched(energy: np.ndarray, own: np.ndarray, draws: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Random sets of channels, as many from each tenth of the energies as `own` has there.

    The channels of `own` are among those that are drawn from. Without them, channels that are no better than chance
    would pass for speakers too often: the best of nine is above all eight others once in nine times.
    """
    alive = np.flatnonzero(energy > 0)
    own = own[np.isin(own, alive)]
    ranked = alive[np.argsort(energy[alive], kind="stable")]
    blocks = np.array_split(ranked, max(min(BLOCKS, len(alive) // max(2 * len(own), 1)), 1))
    counts = [int(np.isin(block, own).sum()) for block in blocks]
    for _ in range(draws):
        drawn = [rng.choice(block, n, replace=False) for block, n in zip(blocks, counts, strict=True)]
        yield np.concatenate(drawn)


def _row(before: np.ndarray, after: np.ndarray, has: np.ndarray) -> dict[str, float]:
    """One tag's row of `Ablation.of_tags`: its logits (clips,), and with channels silenced (1 + draws, clips)."""
    drops = before[has] - after[:, has]
    own, random = drops[0], drops[1:]
    beyond = effect((own - random.mean(axis=0))[:, None], np.arange(has.sum()))
    aucs = selectivity.areas(np.stack([before, *after], axis=1), has[:, None])[0][:, 0]
    return {
        "speakers": float(own.mean()),
        "random": float(random.mean()),
        "difference": float(beyond.mean[0]),
        "low": float(beyond.low[0]),
        "high": float(beyond.high[0]),
        "p": float((1 + (random.mean(axis=1) >= own.mean()).sum()) / (1 + len(random))),
        "auc": float(aucs[0]),
        "auc_speakers": float(aucs[1]),
        "auc_random": float(np.mean(aucs[2:])),
        "pieces": int(has.sum()),
    }
