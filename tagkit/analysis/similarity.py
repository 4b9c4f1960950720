"""How alike networks are: similarity of their representations, and channels that match."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
from scipy import optimize, stats

from tagkit import graph
from tagkit.analysis import feature_maps
from tagkit.analysis.feature_maps import FeatureMaps
from tagkit.evaluation.intervals import Interval

FEWEST_CLIPS = 256


def random_control(model: keras.Model) -> keras.Model:
    """The random-initialisation control of a network: the weights that its training began with.

    The zoo's layers carry their seeds; of another network it may be the same architecture drawn afresh.
    """
    control = keras.models.clone_model(model)
    control.sr = graph.sampling_rate(model)
    return control


@dataclass(frozen=True)
class Summaries:
    """What the channels of a network did in many clips, one number for each clip and channel.

    Attributes
    ----------
    means, maxima, spreads : dict of str -> ndarray (clips, channels)
        By stage: mean, maximum and standard deviation over time.
    peaks : dict of str -> ndarray of int (clips, channels)
        By stage: the frame of the maximum.
    """

    means: dict[str, np.ndarray] = field(repr=False)
    maxima: dict[str, np.ndarray] = field(repr=False)
    spreads: dict[str, np.ndarray] = field(repr=False)
    peaks: dict[str, np.ndarray] = field(repr=False)

    def __len__(self) -> int:
        return len(next(iter(self.means.values())))

    def of(self, clips: np.ndarray) -> "Summaries":
        """Those of some of the clips, by index."""
        parts = (self.means, self.maxima, self.spreads, self.peaks)
        return Summaries(*({stage: x[clips] for stage, x in part.items()} for part in parts))

    def profiles(self) -> dict[str, np.ndarray]:
        """By stage, how a clip's activity is spread over the channels (clips, channels), dB.

        The standard deviation over time of every channel in relation to the mean of all (in dB): the clip's level is
        out of it. With plain means, any two networks look alike, since all of their channels know loud from quiet.
        """
        found = {}
        for stage, spread in self.spreads.items():
            alive = spread[:, spread.max(axis=0) > 0]
            db = 20 * np.log10(np.maximum(alive, 1e-4 * alive.max(axis=0)))
            found[stage] = db - db.mean(axis=1, keepdims=True)
        return found


def summarise(model: keras.Model, clips: Iterable[np.ndarray], stages: Sequence[str] | None = None) -> Summaries:
    """Compute the feature maps of many clips, one in memory at a time, and keep their summaries.

    Parameters
    ----------
    clips : iterable of ndarray (samples,)
        Float in [-1, 1); lengths may differ.
    stages : sequence of str, optional
        Default: all that have a time axis.

    Raises
    ------
    ValueError
        There are no clips, or one cannot be computed (see `feature_maps.compute`).
    """
    kept: dict[str, list] = {}
    for maps in feature_maps.stream(model, clips, stages):
        for stage, a in maps.maps.items():
            kept.setdefault(stage, []).append((a.mean(axis=0), a.max(axis=0), a.std(axis=0), a.argmax(axis=0)))
    if not kept:
        raise ValueError(f"there are no clips to summarise {model.name} with; pass at least one.")
    parts = {stage: [np.array(part) for part in zip(*clips, strict=True)] for stage, clips in kept.items()}
    means, maxima, spreads, peaks = ({stage: each[i] for stage, each in parts.items()} for i in range(4))
    return Summaries(means, maxima, spreads, {stage: frames.astype(np.int32) for stage, frames in peaks.items()})


def _hsic(k: np.ndarray, centred: np.ndarray) -> float:
    """Unbiased HSIC of two Gram matrices with zero diagonals (Song et al. 2012)."""
    n = len(k)
    row_k, row_l = k.sum(axis=1), centred.sum(axis=1)
    cross = (k * centred).sum() + row_k.sum() * row_l.sum() / ((n - 1) * (n - 2)) - 2 * row_k @ row_l / (n - 2)
    return float(cross / (n * (n - 3)))


def _gram(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    gram = (x - x.mean(axis=0)) @ (x - x.mean(axis=0)).T
    np.fill_diagonal(gram, 0)
    return gram


def _cka_of_grams(k: np.ndarray, other: np.ndarray) -> float:
    return _hsic(k, other) / np.sqrt(max(_hsic(k, k) * _hsic(other, other), 1e-300))


def cka(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased linear CKA of two representations of the same clips.

    Parameters
    ----------
    x : ndarray (clips, channels)
    y : ndarray (clips, other_channels)

    Returns
    -------
    float
        1 for representations that differ by rotation, shift and scale; about 0, of either sign, for independent ones.
        The usual (biased) CKA of independent data is far above 0 where clips are few: .67 for 64 clips, 128 channels.

    References
    ----------
    Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019; unbiased HSIC by Song et al.,
    "Feature Selection via Dependence Maximization", JMLR 2012.
    """
    return _cka_of_grams(_gram(x), _gram(y))


def cka_interval(
    x: np.ndarray,
    y: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    parts: int = 20,
    fewest_clips: int = FEWEST_CLIPS,
    seed: int = 0,
) -> Interval:
    """Unbiased CKA with an interval by the delete-d jackknife.

    Parameters
    ----------
    x : ndarray (clips, channels)
    y : ndarray (clips, other_channels)
    groups : ndarray (clips,), optional
        Piece, song or artist of every clip: clips that belong together are left out together.
    parts : int
        How many parts the clips are dealt into; each is left out once. A bootstrap would not do: its duplicates
        bring back the bias that the estimator removes.
    fewest_clips : int
        Refused with fewer.
    seed : int
        Of the dealing.

    Raises
    ------
    ValueError
        `x` and `y` have different numbers of clips, or fewer than `fewest_clips`.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} and {len(y)} clips: CKA compares two representations of the same clips.")
    if len(x) < fewest_clips:
        raise ValueError(f"{len(x)} clips are too few for CKA; take at least {fewest_clips} (they need no labels).")
    k, other = _gram(x), _gram(y)
    return jackknife(
        lambda keep: _cka_of_grams(k[np.ix_(keep, keep)], other[np.ix_(keep, keep)]), len(x), groups, parts, seed
    )


def jackknife(
    estimate: Callable[[np.ndarray], float],
    clips: int,
    groups: np.ndarray | None = None,
    parts: int = 20,
    seed: int = 0,
) -> Interval:
    """An estimate from all clips, with an interval from leaving out one part of them (of their groups) at a time.

    Parameters
    ----------
    estimate : callable
        Of the indices of some of the clips, rising.
    groups, parts, seed
        As in `cka_interval`.
    """
    names, member = np.unique(np.arange(clips) if groups is None else np.asarray(groups), return_inverse=True)
    parts = min(parts, len(names))
    dealt = np.random.default_rng(seed).permutation(np.arange(len(names)) % parts)[member]
    value = estimate(np.arange(clips))
    left = [estimate(np.flatnonzero(dealt != part)) for part in range(parts)]
    error = np.sqrt((parts - 1) / parts * np.square(np.subtract(left, np.mean(left))).sum())
    reach = stats.t.ppf(0.975, parts - 1) * error
    return Interval(float(value), float(value - reach), float(value + reach))


def dimensions(x: np.ndarray, *, groups: np.ndarray | None = None, parts: int = 20, seed: int = 0) -> Interval:
    """In how many directions the clips differ at a stage: the participation ratio of the channels' covariance.

    Parameters
    ----------
    x : ndarray (clips, channels)
        A summary of every clip, for example one of `Summaries.profiles`.
    groups, parts, seed
        As in `cka_interval`.

    Returns
    -------
    Interval
        ``(sum of eigenvalues)^2 / sum of their squares``: 1 where all channels say the same, the number of channels
        where each says something of its own. Never more than the number of clips allows.
    """

    def ratio(keep: np.ndarray) -> float:
        some = x[keep] - x[keep].mean(axis=0)
        gram = some @ some.T
        return float(np.trace(gram) ** 2 / max(np.square(gram).sum(), 1e-300))

    return jackknife(ratio, len(x), groups, parts, seed)


def cka_matrix(
    one: dict[str, np.ndarray], other: dict[str, np.ndarray], **settings: object
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """CKA of every stage of one network with every stage of another: value, low, high, each (stages, other_stages).

    Parameters
    ----------
    one, other : dict of str -> ndarray (clips, channels)
        By stage, one row for each of the same clips in the same order; usually `Summaries.profiles`, which say which
        channels are active, whatever the level of the clip.
    **settings
        Of `cka_interval`; its errors are raised here, too.
    """
    table = np.array([[tuple(cka_interval(x, y, **settings)) for y in other.values()] for x in one.values()])
    return table[..., 0], table[..., 1], table[..., 2]


@dataclass(frozen=True)
class Matching:
    """Channels of two networks paired by what they do over time.

    Attributes
    ----------
    pairs : ndarray (pairs, 2)
        Channel of the one, channel of the other.
    correlation : ndarray (pairs,)
        With its sign.
    null : ndarray (shuffles,)
        Mean ``|correlation|`` of the best matching when the other network hears the clips in another order.
    p : float
        Share of shuffles that match at least as well; never 0, and never small with a handful of clips.
    """

    pairs: np.ndarray
    correlation: np.ndarray
    null: np.ndarray
    p: float


def aligned(one: FeatureMaps, stage: str, other: FeatureMaps, other_stage: str) -> tuple[np.ndarray, np.ndarray]:
    """Two stages of one clip on the frames of the slower one, each (frames, channels).

    The faster map is averaged over one frame of the slower one before it is read at that frame's time.

    Raises
    ------
    KeyError
        `one` or `other` lacks its stage.
    """
    slow_first = one.stage(stage).stride >= other.stage(other_stage).stride
    slow, slow_stage, fast, fast_stage = (
        (one, stage, other, other_stage) if slow_first else (other, other_stage, one, stage)
    )
    width = max(round(slow.stage(slow_stage).stride / fast.stage(fast_stage).stride), 1)
    total = np.cumsum(np.pad(fast.maps[fast_stage], ((width, 0), (0, 0)), mode="edge"), axis=0, dtype=np.float64)
    smooth = (total[width:] - total[:-width]) / width
    times = fast.times(fast_stage) - (width - 1) / 2 * fast.stage(fast_stage).stride / fast.sr
    wanted = slow.times(slow_stage)
    inside = (wanted >= times[0]) & (wanted <= times[-1])
    read = np.stack([np.interp(wanted[inside], times, column) for column in smooth.T], axis=1)
    pair = slow.maps[slow_stage][inside], read
    return pair if slow_first else pair[::-1]


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (x - x.mean(axis=0, dtype=np.float64) for x in (a, b))
    a, b = (x / np.maximum(np.linalg.norm(x, axis=0), 1e-12) for x in (a, b))
    return a.T @ b


def match_channels(
    one: Sequence[FeatureMaps],
    stage: str,
    other: Sequence[FeatureMaps],
    other_stage: str,
    *,
    shuffles: int = 20,
    seed: int = 0,
) -> Matching:
    """Pair the channels of two networks so that the sum of ``|correlation|`` over all clips is largest.

    Parameters
    ----------
    one, other : sequence of FeatureMaps
        Of the same clips in the same order.
    shuffles : int
        The null: the other network's clips in another order, matched afresh, since matching alone makes any two
        networks look alike.

    Raises
    ------
    ValueError
        `one` and `other` have different numbers of clips, or fewer than two.
    KeyError
        The maps of a clip lack the stage.
    """
    if len(one) != len(other) or len(one) < 2:
        raise ValueError(f"{len(one)} and {len(other)} clips: matching needs the same clips, two at least.")
    clips = [aligned(a, stage, b, other_stage) for a, b in zip(one, other, strict=True)]

    def matched(order: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        lengths = [min(len(clips[i][0]), len(clips[j][1])) for i, j in enumerate(order)]
        a = np.concatenate([clips[i][0][:n] for i, n in enumerate(lengths)])
        b = np.concatenate([clips[j][1][:n] for j, n in zip(order, lengths, strict=True)])
        correlation = _correlation(a, b)
        rows, columns = optimize.linear_sum_assignment(-np.abs(correlation))
        return np.stack([rows, columns], axis=1), correlation[rows, columns]

    pairs, correlation = matched(range(len(clips)))
    rng = np.random.default_rng(seed)
    orders = {tuple(_derangement(len(clips), rng)) for _ in range(shuffles)}  # few clips have few orders
    null = np.array([np.abs(matched(order)[1]).mean() for order in sorted(orders)])
    beaten = (null >= np.abs(correlation).mean()).sum()
    return Matching(pairs, correlation, null, float((beaten + 1) / (len(null) + 1)))


def _derangement(n: int, rng: np.random.Generator) -> np.ndarray:
    """An order in which no clip stays at its place."""
    order = rng.permutation(n)
    shifted = np.empty(n, int)
    shifted[order] = np.roll(order, 1)
    return shifted
