"""Filters of a stage by comparison with the level before: two of the four labelled estimators.

`weights` reads them from the network (exact), `ratio` divides spectra (descriptive: never call it "the filter"). The
others are `identification.h1`, the best linear filter, and `spectra.tone_probe`.
"""

from dataclasses import dataclass

import keras
import numpy as np

from tagkit import graph
from tagkit.analysis import geometry


class TooFewSegments(ValueError):  # noqa: N818 - it reads as the sentence that it is
    """There is not enough audio for an estimate; the message says what is needed."""


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


def starts_of(frames: int, length: int) -> np.ndarray:
    """First frames of the segments of a signal, which overlap by half."""
    return np.arange(0, frames - length + 1, max(length // 2, 1))


def segments(x: np.ndarray, length: int, starts: np.ndarray | None = None) -> np.ndarray:
    """Hann-windowed, demeaned segments (segments, length, channels) of ``(frames, channels)``; default: all of them."""
    starts = starts_of(len(x), length) if starts is None else starts
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
