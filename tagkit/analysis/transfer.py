"""Filters of a stage by comparison with the level before: three of the four labelled estimators.

`weights` reads them from the network (exact), `ratio` divides spectra (descriptive: never call it "the filter"), `h1`
identifies the best linear filter from signals, with its coherence. The fourth is `spectra.tone_probe`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from tagkit import graph
from tagkit.analysis import geometry

SEGMENTS_PER_INPUT = 10


class TooFewSegments(ValueError):  # noqa: N818 - it reads as the sentence that it is
    """There is not enough audio for a multi-input estimate; the message says what is needed."""


@dataclass(frozen=True)
class ConvFilter:
    """One convolution with the batch norm behind it folded in.

    Attributes
    ----------
    layer : str
    weights : ndarray (taps, inputs, outputs)
        A kernel's bands, where it has a frequency axis, count as inputs.
    bias : ndarray (outputs,)
    dilation : int
        Input frames from one tap to the next.
    rate_hz : float
        Frames per second of the input.
    """

    layer: str
    weights: np.ndarray
    bias: np.ndarray
    dilation: int
    rate_hz: float

    def response(self, frequencies: np.ndarray) -> np.ndarray:
        """Complex gain (frequencies, inputs, outputs): ``sum_tau w[tau] e^{+j 2 pi f tau / rate}``.

        The sign is plus because Keras correlates: tap tau looks tau frames ahead.
        """
        delays = np.arange(len(self.weights)) * self.dilation / self.rate_hz
        kernel = np.exp(2j * np.pi * np.asarray(frequencies)[:, None] * delays)
        return np.tensordot(kernel, self.weights, axes=1)


def weights(model: keras.Model, stage: str) -> list[ConvFilter]:
    """Every convolution of a stage, relative to its own input maps: for the first stage, to the sound itself.

    Returns
    -------
    list of ConvFilter
        One for each convolution: several in a stage with branches or a residual path.

    Raises
    ------
    ValueError
        The stage has no convolution over time, or there is no such stage.
    """
    span_of, sr, found = geometry.walk(model), graph.sampling_rate(model), []
    for layer in model.layers:
        if layer.name.split("_")[0] == stage and hasattr(layer, "kernel_size") and span_of(layer.input).axis == 1:
            kernel, bias = _folded(layer)
            dilation = layer.dilation_rate if isinstance(layer.dilation_rate, int) else layer.dilation_rate[0]
            found.append(ConvFilter(layer.name, kernel, bias, dilation, sr / span_of(layer.input).stride))
    if not found:
        raise ValueError(f"{stage} of {model.name} has no convolution over time, so it has no weights to read.")
    return found


def _folded(layer: keras.Layer) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (taps, inputs, outputs) and bias (outputs,) of a convolution and the batch norm that follows it."""
    kernel = np.asarray(layer.kernel, np.float64)
    kernel = kernel.reshape(kernel.shape[0], -1, kernel.shape[-1])
    bias = np.asarray(layer.bias, np.float64) if layer.use_bias else np.zeros(kernel.shape[-1])
    followers = [node.operation for node in layer._outbound_nodes]
    norms = [op for op in followers if isinstance(op, keras.layers.BatchNormalization)]
    if norms:
        norm = norms[0]
        gain = 1 / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
        gain = gain * (np.asarray(norm.gamma) if norm.scale else 1)
        bias = (bias - np.asarray(norm.moving_mean)) * gain + (np.asarray(norm.beta) if norm.center else 0)
        kernel = kernel * gain
    return kernel, bias


@dataclass(frozen=True)
class Ratio:
    """Output over input spectrum of a stage; descriptive, not a filter.

    Attributes
    ----------
    frequencies : ndarray (bins,)
        Hz, of the output map.
    gain : ndarray (bins, outputs)
        ``sqrt(P_y / mean_c P_xc)``, the input's spectrum folded to the output's rate.
    source : ndarray (input_bins,)
        The input's mean power spectrum, not folded, from 0 Hz to its own Nyquist frequency; its peak is 1.
    """

    frequencies: np.ndarray
    gain: np.ndarray
    source: np.ndarray


def segments(x: np.ndarray, length: int) -> np.ndarray:
    """Hann-windowed, demeaned segments (segments, length, channels) of ``(frames, channels)``, 50 % overlap."""
    starts = range(0, len(x) - length + 1, max(length // 2, 1))
    stack = np.stack([x[start : start + length] for start in starts])
    window = np.hanning(length + 1)[:-1]
    return (stack - stack.mean(axis=1, keepdims=True)) * window[:, None]


class PowerSpectra:
    """Power spectra of a stage's inputs and outputs, added up clip by clip: `ratio` with one clip in memory at a time.

    Parameters
    ----------
    stride, length : int
        Frames of the input to one of the output, and output frames in one segment.
    """

    def __init__(self, stride: int, length: int):
        self.stride, self.length = stride, length
        self._source, self._power, self._segments = 0, 0, 0

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Add one clip: input (frames, inputs) and output (frames / stride, outputs); too short ones add nothing."""
        frames = min(len(x) // self.stride, len(y))
        if frames < self.length:
            return
        parts = segments(x[: frames * self.stride], self.length * self.stride), segments(y[:frames], self.length)
        into, out = (np.square(np.abs(np.fft.rfft(part, axis=1))).sum(axis=0) for part in parts)
        self._source = self._source + into.mean(axis=1)
        self._power = self._power + self.stride**2 * out  # the shorter transform and the lower rate
        self._segments += len(parts[1])

    def ratio(self, rate_hz: float) -> Ratio:
        """Output over folded input.

        Parameters
        ----------
        rate_hz : float
            Frames per second of the input.

        Raises
        ------
        TooFewSegments
            No clip that was added is as long as one segment.
        """
        if not self._segments:
            raise TooFewSegments(f"no clip gives one segment of {self.length} output frames; take longer clips.")
        # What the stride folds: bins of the input, of both signs, that fall on one bin of the output.
        bins = np.arange(self.stride * self.length)
        both = self._source[np.minimum(bins, len(bins) - bins)]
        folded = both.reshape(self.stride, self.length).sum(axis=0)[: self.length // 2 + 1]
        gain = np.sqrt(self._power / np.maximum(folded[:, None], 1e-30))
        out_rate = rate_hz / self.stride
        return Ratio(np.arange(self.length // 2 + 1) * out_rate / self.length, gain, self._source / self._source.max())


def ratio(x: np.ndarray, y: np.ndarray, stride: int, rate_hz: float, length: int = 128) -> Ratio:
    """Spectrum of a stage's output over that of its input.

    Parameters
    ----------
    x : ndarray (frames, inputs)
        Input maps, or the waveform as one channel.
    y : ndarray (frames / stride, outputs)
    stride : int
        Frames of `x` to one of `y`.
    rate_hz : float
        Frames per second of `x`.
    length : int
        Frames of `y` in one segment.

    Raises
    ------
    TooFewSegments
        With less audio than one segment.
    """
    sums = PowerSpectra(stride, length)
    sums.add(x, y)
    return sums.ratio(rate_hz)


@dataclass(frozen=True)
class Transfer:
    """The best linear filters from all inputs of a stage to its outputs.

    Attributes
    ----------
    frequencies : ndarray (bins,)
        Hz, from 0 to the Nyquist frequency of the INPUT.
    response : ndarray (bins, inputs, outputs), complex
    coherence_hz : ndarray (out_bins,)
        Hz, from 0 to the Nyquist frequency of the output.
    coherence : ndarray (out_bins, outputs)
        Share of the output's power that the linear filters explain; biased upwards by inputs / segments.
    adjusted : ndarray (out_bins, outputs)
        ``1 - (1 - coherence) K / (K - Q)``.
    power : ndarray (out_bins, outputs)
        Of the output, in arbitrary units.
    segments, inputs : int
        K and Q.
    """

    frequencies: np.ndarray
    response: np.ndarray
    coherence_hz: np.ndarray
    coherence: np.ndarray
    adjusted: np.ndarray
    power: np.ndarray
    segments: int
    inputs: int

    def linear_fraction(self) -> np.ndarray:
        """Share of each output's power above 0 Hz that the linear filters explain (outputs,); NaN for a dead output."""
        power = self.power[1:].sum(axis=0)
        explained = (np.clip(self.adjusted[1:], 0, 1) * self.power[1:]).sum(axis=0)
        return np.where(power > 0, explained / np.where(power > 0, power, 1), np.nan)


def h1(
    x: np.ndarray | Sequence[np.ndarray],
    y: np.ndarray | Sequence[np.ndarray],
    stride: int,
    rate_hz: float,
    *,
    length: int = 64,
    ridge: float = 1e-9,
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

    Raises
    ------
    TooFewSegments
        Unless there are 10 segments for each of the ``stride * inputs`` inputs.
    """
    xs, ys = ([x], [y]) if isinstance(x, np.ndarray) else (x, y)
    sums = CrossSpectra(xs[0].shape[1], stride, length)
    sums.refuse(sum(sums.segments_of(min(len(a) // stride, len(b))) for a, b in zip(xs, ys, strict=True)))
    for a, b in zip(xs, ys, strict=True):
        sums.add(a, b)
    return sums.transfer(rate_hz, ridge)


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
        self._sums: list = [0, 0, 0]

    def segments_of(self, frames: int) -> int:
        """How many segments a clip with so many output frames gives."""
        return max((frames - self.length) // (self.length // 2) + 1, 0)

    def refuse(self, segments: int) -> None:
        """TooFewSegments unless there are 10 segments for each input."""
        needed = SEGMENTS_PER_INPUT * self.inputs
        if segments < needed:
            raise TooFewSegments(
                f"{self.channels} inputs in {self.stride} phases need {needed} segments of {self.length} frames and "
                f"there are {segments}; take more audio, or the weights, the ratio or the tone probe."
            )

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        """Add one clip: input (frames, inputs) and output (frames / stride, outputs)."""
        u, v = _polyphase(x, y, self.stride)
        if len(v) >= self.length:
            self._sums = [total + part for total, part in zip(self._sums, _spectra(u, v, self.length), strict=True)]
            self.segments += self.segments_of(len(v))

    def transfer(self, rate_hz: float, ridge: float = 1e-9) -> Transfer:
        """The best linear filters for what was added; refuses as `h1` does."""
        self.refuse(self.segments)
        (g_xx, g_xy, g_yy), k, q, length = self._sums, self.segments, self.inputs, self.length
        power = np.trace(g_xx, axis1=1, axis2=2).real / q
        h = np.linalg.solve(g_xx + ridge * power[:, None, None] * np.eye(q), g_xy)
        explained = np.einsum("fqo,fqo->fo", g_xy.conj(), h).real
        coherence = np.clip(explained / np.maximum(g_yy, 1e-30), 0, 1)
        return Transfer(
            frequencies=np.arange(self.stride * length // 2 + 1) * rate_hz / (self.stride * length),
            response=_unfold(h, self.stride, self.channels, length),
            coherence_hz=np.arange(length // 2 + 1) * rate_hz / self.stride / length,
            coherence=coherence,
            adjusted=1 - (1 - coherence) * k / (k - q),
            power=g_yy / k,
            segments=k,
            inputs=q,
        )


def _polyphase(x: np.ndarray, y: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (frames, inputs * stride), channel by channel, and outputs of the same number of frames."""
    frames = min(len(x) // stride, len(y))
    phases = x[: frames * stride].reshape(frames, stride, x.shape[1])
    return phases.transpose(0, 2, 1).reshape(frames, -1), y[:frames]


def _spectra(u: np.ndarray, v: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums over segments of U* U^T, U* V and |V|^2, by frequency."""
    big_u = np.fft.rfft(segments(u, length), axis=1).transpose(1, 0, 2)
    big_v = np.fft.rfft(segments(v, length), axis=1).transpose(1, 0, 2)
    hermitian = big_u.conj().transpose(0, 2, 1)
    return hermitian @ big_u, hermitian @ big_v, np.square(np.abs(big_v)).sum(axis=1)


def _unfold(h: np.ndarray, stride: int, channels: int, length: int) -> np.ndarray:
    """Filters over the input's frequencies: ``sum_p H_p(f mod out_rate) e^{j 2 pi f p / rate}``."""
    bins = np.arange(stride * length // 2 + 1)
    h = np.concatenate([h, h[1 : (length + 1) // 2][::-1].conj()])  # the maps are real
    turn = np.exp(2j * np.pi * bins[:, None] * np.arange(stride) / (stride * length))
    return np.einsum("fcpo,fp->fco", h[bins % length].reshape(len(bins), channels, stride, -1), turn)
