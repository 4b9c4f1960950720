"""The best linear filters of a stage, from signals: polyphase multi-input H1, validated on pieces it has not seen.

All estimates come from sums over eight folds of the pieces. What a filter explains is measured on the fold that was
left out. Gains are products of the estimates from two halves of the folds, which share no piece: noise adds to the
square of an estimate, but not to the product of two independent ones. The spread over seven ways of halving, balanced
against each other, gives their intervals (McCarthy 1969).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from tagkit.analysis.transfer import TooFewSegments, segments, starts_of

SEGMENTS_PER_INPUT = 10
FOLDS = 8
HALVES = linalg.hadamard(FOLDS)[1:] > 0  # (ways, folds): each a half of the folds, balanced against the others


@dataclass(frozen=True)
class Transfer:
    """The best linear filters from all inputs of a stage to its outputs.

    Attributes
    ----------
    frequencies : ndarray (bins,)
        Hz, from 0 to the Nyquist frequency of the INPUT.
    response : ndarray (bins, inputs, outputs), complex
        From all segments. The noise of so many estimates adds up: for gains, see `gain`.
    gain, low, high : ndarray (bins, outputs)
        Root sum of squares of the response over the inputs, freed of the estimates' noise, with its 95 % interval over
        pieces; 0 where no response can be told from none.
    coherence_hz : ndarray (out_bins,)
        Hz, from 0 to the Nyquist frequency of the output.
    coherence : ndarray (out_bins, outputs)
        Share of the output's power that the linear filters explain; biased upwards by inputs / segments.
    adjusted : ndarray (out_bins, outputs)
        ``1 - (1 - coherence) K / (K - Q)``, which is right for independent segments.
    held_out : ndarray (folds, outputs)
        Share of the output's power above 0 Hz, in the pieces of each fold, that the filters of the others explain. It
        is below 0 where they predict worse than silence would, and NaN for a dead output.
    power : ndarray (folds, outputs)
        Of the output above 0 Hz, in arbitrary units.
    segments, inputs : int
        K and Q.
    """

    frequencies: np.ndarray
    response: np.ndarray
    gain: np.ndarray
    low: np.ndarray
    high: np.ndarray
    coherence_hz: np.ndarray
    coherence: np.ndarray
    adjusted: np.ndarray
    held_out: np.ndarray
    power: np.ndarray
    segments: int
    inputs: int

    def linear_fraction(self) -> np.ndarray:
        """Share of each output's power above 0 Hz in held-out pieces that the filters explain (outputs,); at least 0.

        NaN for a dead output.
        """
        total = self.power.sum(axis=0)
        explained = np.nansum(self.held_out * self.power, axis=0)
        return np.where(total > 0, np.maximum(explained / np.where(total > 0, total, 1), 0), np.nan)

    def median_fraction(self) -> tuple[float, float, float]:
        """The median of `linear_fraction` over outputs, with its 95 % interval over the folds' pieces."""
        with np.errstate(invalid="ignore"):
            each = np.nanmedian(np.maximum(self.held_out, 0), axis=1)
        reach = stats.t.ppf(0.975, FOLDS - 1) * each.std(ddof=1) / np.sqrt(FOLDS)
        value = float(np.nanmedian(self.linear_fraction()))
        return value, max(value - reach, 0.0), min(value + reach, 1.0)


def h1(
    x: np.ndarray | Sequence[np.ndarray],
    y: np.ndarray | Sequence[np.ndarray],
    stride: int,
    rate_hz: float,
    *,
    length: int = 64,
    ridge: float = 1e-9,
    pieces: Sequence | None = None,
) -> Transfer:
    """Polyphase multi-input H1: linear identification that stays exact through a stride.

    Parameters
    ----------
    x : ndarray (frames, inputs), or a sequence of them
        Input maps, clip by clip.
    y : ndarray (frames / stride, outputs), or a sequence of them
    stride : int
        Frames of `x` to one of `y`. Every input is split into this many phases ``u_{c,p}[n] = x_c[s n + p]``;
        without that, a linear strided stage would show a coherence far below 1.
    rate_hz : float
        Frames per second of `x`.
    length : int
        Frames of `y` in one segment.
    ridge : float
        Relative to the mean power of the inputs.
    pieces : sequence, optional
        The piece of each clip; default: each is its own. Fewer than eight pieces are cut into eighths, and then what is
        held out is only another part of the same pieces.

    Raises
    ------
    TooFewSegments
        Unless there are 10 segments for each of the ``stride * inputs`` inputs, and some in each of eight folds.
    """
    xs, ys = ([x], [y]) if isinstance(x, np.ndarray) else (x, y)
    sums = CrossSpectra(xs[0].shape[1], stride, length)
    frames = [min(len(a) // stride, len(b)) for a, b in zip(xs, ys, strict=True)]
    sums.refuse(sum(sums.segments_of(n) for n in frames))
    folds = folds_of(range(len(frames)) if pieces is None else pieces)
    for a, b, fold in zip(xs, ys, folds, strict=True):
        sums.add(a, b, fold)
    return sums.transfer(rate_hz, ridge)


def folds_of(pieces: Sequence) -> list[int | None]:
    """The fold of every clip, the same for all clips of a piece; None, for a part in each, where pieces are too few."""
    order = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    return [order[piece] % FOLDS if len(order) >= FOLDS else None for piece in pieces]


class CrossSpectra:
    """Cross-spectra of a stage's inputs and outputs, added up clip by clip: `h1` with one clip in memory at a time.

    Parameters
    ----------
    channels, stride, length : int
        Inputs, frames of theirs to one of the output, and output frames in one segment.
    """

    def __init__(self, channels: int, stride: int, length: int):
        self.channels, self.stride, self.length = channels, stride, length
        self.inputs, self.segments = stride * channels, 0
        self._folds: list[list | None] = [None] * FOLDS

    def segments_of(self, frames: int) -> int:
        """How many segments a clip with so many output frames gives."""
        return len(starts_of(frames, self.length))

    def refuse(self, segments: int) -> None:
        """TooFewSegments unless there are 10 segments for each input, and 8 at least."""
        needed = max(SEGMENTS_PER_INPUT * self.inputs, FOLDS)
        if segments < needed:
            raise TooFewSegments(
                f"{self.channels} inputs in {self.stride} phases need {needed} segments of {self.length} frames and "
                f"there are {segments}; take more audio, or the weights, the ratio or the tone probe."
            )

    def add(self, x: np.ndarray, y: np.ndarray, fold: int | None, most: int | None = None) -> None:
        """Add one clip: input (frames, inputs) and output (frames / stride, outputs).

        Parameters
        ----------
        fold : int or None
            From `folds_of`.
        most : int, optional
            Take so many segments at most, spread over the clip.
        """
        u, v = _polyphase(x, y, self.stride)
        starts = starts_of(len(v), self.length)
        if most is not None and len(starts) > most:
            starts = starts[np.linspace(0, len(starts) - 1, most).round().astype(int)]
        self.segments += len(starts)
        parts = np.array_split(starts, FOLDS) if fold is None else [starts]
        for number, part in enumerate(parts, fold or 0):
            if len(part):
                found, before = _spectra(u, v, self.length, part), self._folds[number]
                self._folds[number] = found if before is None else [a + b for a, b in zip(before, found, strict=True)]

    def transfer(self, rate_hz: float, ridge: float = 1e-9) -> Transfer:
        """The best linear filters for what was added; refuses as `h1` does."""
        self.refuse(self.segments)
        if None in self._folds:
            raise TooFewSegments(
                f"some of the {FOLDS} folds of pieces hold no segment of {self.length} frames; take longer clips."
            )
        total = _sum(self._folds)
        k, q, length = self.segments, self.inputs, self.length
        h = _solve(total, ridge)
        coherence = np.clip(_explained(h, total) / np.maximum(total[2], 1e-30), 0, 1)
        held_out = [self._share(total, fold, ridge) for fold in self._folds]
        return Transfer(
            frequencies=np.arange(self.stride * length // 2 + 1) * rate_hz / (self.stride * length),
            response=_unfold(h, self.stride, self.channels, length),
            **self._gains(total, ridge),
            coherence_hz=np.arange(length // 2 + 1) * rate_hz / self.stride / length,
            coherence=coherence,
            adjusted=1 - (1 - coherence) * k / (k - q),
            held_out=np.array(held_out),
            power=np.array([fold[2][1:].sum(axis=0) for fold in self._folds]),
            segments=k,
            inputs=q,
        )

    def _share(self, total: list, fold: list, ridge: float) -> np.ndarray:
        """Share of one fold's output power above 0 Hz that the filters of all others explain (outputs,)."""
        h = _solve([a - b for a, b in zip(total, fold, strict=True)], ridge)
        rest = fold[2] - _explained(h, fold)
        power = fold[2][1:].sum(axis=0)
        return np.where(power > 0, 1 - rest[1:].sum(axis=0) / np.where(power > 0, power, 1), np.nan)

    def _gains(self, total: list, ridge: float) -> dict[str, np.ndarray]:
        """Gain, low and high (bins, outputs)."""
        products, differences = [], []
        for half in HALVES:
            one = _sum([fold for fold, inside in zip(self._folds, half, strict=True) if inside])
            other = [a - b for a, b in zip(total, one, strict=True)]
            a, b = (_unfold(_solve(each, ridge), self.stride, self.channels, self.length) for each in (one, other))
            products.append((a.conj() * b).real.sum(axis=1))
            differences.append((np.square(np.abs(a)) - np.square(np.abs(b))).sum(axis=1) / 2)
        square = np.mean(products, axis=0)
        reach = stats.t.ppf(0.975, len(HALVES)) * np.sqrt(np.square(differences).mean(axis=0))
        names = {"gain": square, "low": square - reach, "high": square + reach}
        return {name: np.sqrt(np.maximum(each, 0)) for name, each in names.items()}


def _sum(folds: Sequence[list]) -> list:
    return [sum(parts) for parts in zip(*folds, strict=True)]


def _solve(sums: list, ridge: float) -> np.ndarray:
    """The filters (out_bins, inputs, outputs) that fit best."""
    g_xx, g_xy, _ = sums
    power = np.trace(g_xx, axis1=1, axis2=2).real / g_xx.shape[1]
    return np.linalg.solve(g_xx + ridge * power[:, None, None] * np.eye(g_xx.shape[1]), g_xy)


def _explained(h: np.ndarray, sums: list) -> np.ndarray:
    """By how much any filters reduce the output's power (out_bins, outputs): below 0 where they add to it."""
    g_xx, g_xy, _ = sums
    return np.einsum("fqo,fqo->fo", h.conj(), 2 * g_xy - g_xx @ h).real


def _polyphase(x: np.ndarray, y: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (frames, inputs * stride), channel by channel, and outputs of the same number of frames."""
    frames = min(len(x) // stride, len(y))
    phases = x[: frames * stride].reshape(frames, stride, x.shape[1])
    return phases.transpose(0, 2, 1).reshape(frames, -1), y[:frames]


def _spectra(u: np.ndarray, v: np.ndarray, length: int, starts: np.ndarray) -> list[np.ndarray]:
    """Sums over segments of U* U^T, U* V and |V|^2, by frequency."""
    big_u = np.fft.rfft(segments(u, length, starts), axis=1).transpose(1, 0, 2)
    big_v = np.fft.rfft(segments(v, length, starts), axis=1).transpose(1, 0, 2)
    hermitian = big_u.conj().transpose(0, 2, 1)
    return [hermitian @ big_u, hermitian @ big_v, np.square(np.abs(big_v)).sum(axis=1)]


def _unfold(h: np.ndarray, stride: int, channels: int, length: int) -> np.ndarray:
    """Filters over the input's frequencies: ``sum_p H_p(f mod out_rate) e^{j 2 pi f p / rate}``."""
    bins = np.arange(stride * length // 2 + 1)
    h = np.concatenate([h, h[1 : (length + 1) // 2][::-1].conj()])  # the maps are real
    turn = np.exp(2j * np.pi * bins[:, None] * np.arange(stride) / (stride * length))
    return np.einsum("fcpo,fp->fco", h[bins % length].reshape(len(bins), channels, stride, -1), turn)
