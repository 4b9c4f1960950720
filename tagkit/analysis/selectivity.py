"""Which channel tells which tag at equal loudness, corrected for the many questions asked and for chance.

Every channel, trained or not, tells a loud clip from a quiet one, and loudness goes with many tags. So the summaries
that come in here should be those of clips at one level (`level_matched`), and the level is a column of its own.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from tagkit.evaluation.intervals import Interval

LEAST_AUC, ALPHA = 0.8, 0.05
PERMUTATIONS = 200


class ChannelTag(NamedTuple):
    """A tag that is a channel's own, the ROC-AUC of its mean over a clip, and its adjusted p (1: not tested)."""

    tag: str
    auc: float
    p: float = 1.0

    @property
    def tested(self) -> bool:
        """Whether the channel tells the tag: an AUC of .8 or more that chance does not explain."""
        return self.auc >= LEAST_AUC and self.p <= ALPHA


@dataclass(frozen=True)
class Selectivity:
    """Which channel tells which tag, on held-out clips.

    Attributes
    ----------
    auc : dict of str -> ndarray (channels, tags)
        ROC-AUC of the channel's "mean" and "max" over the clip; below .5 the channel is suppressed by the tag. NaN
        for a tag that all clips or none have.
    adjusted : dict of str -> ndarray (channels, tags)
        p-values after Benjamini-Hochberg over channels, tags and both summaries.
    tags : tuple of str
    positives : ndarray (tags,)
    """

    auc: dict[str, np.ndarray]
    adjusted: dict[str, np.ndarray]
    tags: tuple[str, ...]
    positives: np.ndarray

    def of(self, channels: slice) -> "Selectivity":
        """That of some of the channels."""
        auc, adjusted = ({k: x[channels] for k, x in each.items()} for each in (self.auc, self.adjusted))
        return replace(self, auc=auc, adjusted=adjusted)

    def table(self, least_auc: float = LEAST_AUC, alpha: float = ALPHA) -> pd.DataFrame:
        """Channels with an AUC of at least `least_auc` and an adjusted p of at most `alpha`, best first."""
        rows = []
        for kind, auc in self.auc.items():
            chosen = (np.nan_to_num(auc) >= least_auc) & (self.adjusted[kind] <= alpha)
            for channel, tag in np.argwhere(chosen):
                values = auc[channel, tag], self.adjusted[kind][channel, tag], self.positives[tag]
                rows.append((int(channel), self.tags[tag], kind, *map(float, values[:2]), int(values[2])))
        columns = ["channel", "tag", "summary", "auc", "p_adjusted", "positives"]
        return pd.DataFrame(rows, columns=columns).sort_values("auc", ascending=False, ignore_index=True)


def selectivity(means: np.ndarray, maxima: np.ndarray, labels: np.ndarray, tags: Sequence[str]) -> Selectivity:
    """ROC-AUC of every channel for every tag, corrected for the many questions asked.

    Parameters
    ----------
    means, maxima : ndarray (clips, channels)
        Summaries of held-out clips.
    labels : ndarray (clips, tags) of bool
    tags : sequence of str

    Notes
    -----
    p-values are those of the Mann-Whitney test, two-sided, by its normal approximation with ties, and take clips as
    independent: count clips of one piece once (`first_of_each`).
    """
    labels = np.asarray(labels, bool)
    found = {kind: areas(np.asarray(x, np.float64), labels) for kind, x in (("mean", means), ("max", maxima))}
    adjusted = _adjusted(np.stack([found[kind][1] for kind in found]))
    return Selectivity(
        auc={kind: found[kind][0] for kind in found},
        adjusted=dict(zip(found, adjusted, strict=True)),
        tags=tuple(tags),
        positives=labels.sum(axis=0),
    )


def level_matched(y: np.ndarray, rms: float = 0.1) -> np.ndarray:
    """A clip (samples,) at an RMS level; one that is silent stays so."""
    own = np.sqrt(np.square(y, dtype=np.float64).mean())
    return (y * (rms / own if own > 0 else 1)).astype(np.float32)


def of_level(levels_db: np.ndarray, labels: np.ndarray, tags: Sequence[str]) -> dict[str, float]:
    """ROC-AUC of the clips' own level (clips,) for every tag: what loudness alone tells, and no channel needs to."""
    auc = areas(np.asarray(levels_db, np.float64)[:, None], np.asarray(labels, bool))[0][0]
    return dict(zip(tags, map(float, auc), strict=True))


def _adjusted(p: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg over all p-values; 1 where nothing was asked."""
    adjusted, asked = np.ones_like(p), np.isfinite(p)
    adjusted[asked] = stats.false_discovery_control(p[asked])
    return adjusted


def areas(x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ROC-AUC of numbers (clips, channels) for tags (clips, tags), and its two-sided p, each (channels, tags)."""
    return _auc_of_ranks(stats.rankdata(x, axis=0), labels)


def _auc_of_ranks(ranks: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n, positives = len(ranks), labels.sum(axis=0).astype(float)
    negatives = n - positives
    pairs = np.where(positives * negatives > 0, positives * negatives, np.nan)
    auc = (ranks.T @ labels - positives * (positives + 1) / 2) / pairs
    spread = ((ranks - (n + 1) / 2) ** 2).sum(axis=0)[:, None]  # n (n^2 - 1) / 12 without ties
    error = np.sqrt(np.maximum(spread, 1e-12) / max(n * (n - 1), 1) * pairs) / pairs  # NaN of one clip
    return auc, 2 * stats.norm.sf(np.abs(auc - 0.5) / error)


@dataclass(frozen=True)
class Chance:
    """What one network's channels seem to tell of labels that are dealt out to the clips at random.

    Attributes
    ----------
    best : ndarray (permutations, tags)
        ROC-AUC of the channel, of any stage, whose mean or maximum tells the tag best; NaN as in `Selectivity`.
    channels : ndarray (permutations,)
        How many channels tell a tag.
    """

    best: np.ndarray
    channels: np.ndarray

    @property
    def flattery(self) -> np.ndarray:
        """What the best channel of so many tells by chance, (tags,): an ROC-AUC above .5."""
        return self.best.mean(axis=0)

    def p(self, best: np.ndarray) -> np.ndarray:
        """How often chance does at least as well as the best channels (tags,) do, (tags,)."""
        return (1 + (self.best >= best - 1e-12).sum(axis=0)) / (1 + len(self.best))


def chance(
    means: Mapping[str, np.ndarray],
    maxima: Mapping[str, np.ndarray],
    labels: np.ndarray,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Chance:
    """The null hypothesis of one network: the same channels, and the clips' labels dealt out anew.

    A clip's tags stay together, so that tags keep what they have in common. Networks differ in how alike their channels
    are, and so in how far the best of them is flattered: each needs a null of its own.

    Parameters
    ----------
    means, maxima : dict of str -> ndarray (clips, channels)
        As for `of_stages`.
    labels : ndarray (clips, tags) of bool
    """
    labels, rng = np.asarray(labels, bool), np.random.default_rng(seed)
    ranks = [stats.rankdata(np.concatenate(list(x.values()), axis=1), axis=0) for x in (means, maxima)]
    best, channels = [], []
    for _ in range(permutations):
        dealt = labels[rng.permutation(len(labels))]
        auc, p = map(np.stack, zip(*(_auc_of_ranks(each, dealt) for each in ranks), strict=True))
        best.append(np.where(np.isfinite(auc).all(axis=(0, 1)), np.nan_to_num(auc).max(axis=(0, 1)), np.nan))
        told = np.nan_to_num(auc) >= LEAST_AUC
        told &= _adjusted(p) <= ALPHA
        channels.append(told.any(axis=(0, 2)).sum())
    return Chance(np.array(best), np.array(channels))


def best_gain(
    trained: tuple[np.ndarray, Chance], control: tuple[np.ndarray, Chance], kept: np.ndarray | None = None
) -> Interval:
    """How much better the best channel of a tag is than the control's, each freed of what chance gives its network.

    Parameters
    ----------
    trained, control : tuple of (ndarray (tags,), Chance)
        The best channels' ROC-AUC, as from `best_of`, and the network's own null.
    kept : ndarray of bool (tags,), optional
        Count these tags only.

    Returns
    -------
    Interval
        Mean over tags, with Student's interval over tags.
    """
    gain = np.subtract(*(best - null.flattery for best, null in (trained, control)))
    gain = gain[np.isfinite(gain) & (True if kept is None else kept)]
    reach = stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
    value = float(gain.mean()) if len(gain) else np.nan
    return Interval(value, value - reach, value + reach)


def best_of(found: Mapping[str, Selectivity]) -> np.ndarray:
    """ROC-AUC of the channel, of any stage, whose mean or maximum tells each tag best, (tags,); NaN where none can."""
    aucs = np.concatenate([np.concatenate(list(one.auc.values())) for one in found.values()])
    return np.where(np.isfinite(aucs).any(axis=0), np.nan_to_num(aucs, nan=-1).max(axis=0), np.nan)


def first_of_each(groups: Sequence) -> np.ndarray:
    """Indices of the first clip of every piece (or artist), rising: clips that may be taken as independent."""
    return np.sort(np.unique(np.asarray(groups), return_index=True)[1])


def of_stages(
    means: Mapping[str, np.ndarray], maxima: Mapping[str, np.ndarray], labels: np.ndarray, tags: Sequence[str]
) -> dict[str, Selectivity]:
    """`selectivity` of every stage of a network, with one correction over all of their channels.

    Parameters
    ----------
    means, maxima : dict of str -> ndarray (clips, channels)
        By stage, for example from `similarity.summarise`.
    labels : ndarray (clips, tags) of bool
    tags : sequence of str
    """
    joined = selectivity(*(np.concatenate([x[s] for s in means], axis=1) for x in (means, maxima)), labels, tags)
    ends = np.cumsum([0, *(x.shape[1] for x in means.values())])
    return {stage: joined.of(slice(*ends[i : i + 2])) for i, stage in enumerate(means)}


def table(found: Mapping[str, Selectivity], least_auc: float = LEAST_AUC, alpha: float = ALPHA) -> pd.DataFrame:
    """The tables of all stages in one, best first, with the stage in the first column.

    Parameters
    ----------
    found : dict of str -> Selectivity
        By stage, as from `of_stages`.
    least_auc, alpha : float
        As for `Selectivity.table`.
    """
    tables = [one.table(least_auc, alpha).assign(stage=stage) for stage, one in found.items()]
    joined = pd.concat(tables).sort_values("auc", ascending=False, ignore_index=True)
    return joined[["stage", *joined.columns.drop("stage")]]


def count(found: Mapping[str, Selectivity]) -> int:
    """How many channels, of all stages, tell a tag."""
    return len(table(found)[["stage", "channel"]].drop_duplicates())


def own_tags(found: Selectivity, last: Collection[str] = ()) -> list[ChannelTag]:
    """For every channel of a stage the tag that is its own.

    Its own is the tag that it tells best in comparison with the other channels of its stage: every channel knows a
    loud clip from a quiet one, which says nothing about any of them. Tags that it tells for sure (`ChannelTag.tested`)
    go before all others.

    Parameters
    ----------
    last : collection of str
        Tags that are a channel's own only where it tells no other for sure.
    """
    auc, p = found.auc["mean"], found.adjusted["mean"]
    auc, p = np.where(np.isfinite(auc), auc, 0.5), np.where(np.isfinite(p), p, 1.0)  # a tag that all or no clips have
    sure = (auc >= LEAST_AUC) & (p <= ALPHA)
    order = 10 * sure - 5 * np.isin(found.tags, list(last))
    best = (auc - np.median(auc, axis=0) + order).argmax(axis=1)
    return [ChannelTag(found.tags[k], float(auc[c, k]), float(p[c, k])) for c, k in enumerate(best)]
