"""Filters of a stage by comparison with the level before: three of the four labelled estimators.

`weights` reads them from the network (exact), `ratio` divides spectra (descriptive: never call it "the filter"), `h1`
identifies the best linear filter from signals, with its coherence. The fourth is `spectra.tone_probe`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from tagkit.analysis import geometry
from tagkit.analysis.feature_maps import FeatureMaps

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


def weights(model: keras.Model, stage: str, sr: int = 16000) -> list[ConvFilter]:
    """Every convolution of a stage, relative to its own input maps: for the first stage, to the sound itself.

    Parameters
    ----------
    model : keras.Model
    stage : str
    sr : int

    Returns
    -------
    list of ConvFilter
        One for each convolution: several in a stage with branches or a residual path.
    """
    span_of = geometry.walk(model)
    found = []
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
    """

    frequencies: np.ndarray
    gain: np.ndarray


def segments(x: np.ndarray, length: int) -> np.ndarray:
    """Hann-windowed, demeaned segments (segments, length, channels) of ``(frames, channels)``, 50 % overlap."""
    starts = range(0, len(x) - length + 1, max(length // 2, 1))
    stack = np.stack([x[start : start + length] for start in starts])
    window = np.hanning(length + 1)[:-1]
    return (stack - stack.mean(axis=1, keepdims=True)) * window[:, None]


def _power(x: np.ndarray, length: int, rate_hz: float) -> np.ndarray:
    """Two-sided power density (length, channels)."""
    spectrum = np.fft.fft(segments(x, length), axis=1)
    return np.square(np.abs(spectrum)).mean(axis=0) / (rate_hz * np.square(np.hanning(length + 1)[:-1]).sum())


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
    """
    if min(len(y), len(x) // stride) < length:
        raise TooFewSegments(f"{len(y)} output frames are fewer than one segment of {length}; take more audio.")
    out_rate = rate_hz / stride
    folded = _power(x, length * stride, rate_hz).reshape(stride, length, -1).sum(axis=0)
    bins = slice(0, length // 2 + 1)
    source = np.maximum(folded.mean(axis=1)[bins, None], 1e-30)
    gain = np.sqrt(_power(y, length, out_rate)[bins] / source)
    return Ratio(np.arange(length // 2 + 1) * out_rate / length, gain)


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
    segments, inputs : int
        K and Q.
    """

    frequencies: np.ndarray
    response: np.ndarray
    coherence_hz: np.ndarray
    coherence: np.ndarray
    adjusted: np.ndarray
    segments: int
    inputs: int


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

    Returns
    -------
    Transfer

    Raises
    ------
    TooFewSegments
        Unless there are 10 segments for each of the ``stride * inputs`` inputs.
    """
    xs, ys = ([x], [y]) if isinstance(x, np.ndarray) else (x, y)
    channels = xs[0].shape[1]
    q = stride * channels
    pairs = [_polyphase(a, b, stride) for a, b in zip(xs, ys, strict=True)]
    k = sum(max((len(b) - length) // (length // 2) + 1, 0) for _, b in pairs)
    if k < SEGMENTS_PER_INPUT * q:
        raise TooFewSegments(
            f"{channels} inputs in {stride} phases need {SEGMENTS_PER_INPUT * q} segments of {length} frames and there "
            f"are {k}; take more audio, or the weights, the ratio or the tone probe."
        )
    g_xx, g_xy, g_yy = (sum(parts) for parts in zip(*(_spectra(u, v, length) for u, v in pairs), strict=True))
    power = np.trace(g_xx, axis1=1, axis2=2).real / q
    h = np.linalg.solve(g_xx + ridge * power[:, None, None] * np.eye(q), g_xy)
    coherence = np.clip(np.einsum("fqo,fqo->fo", g_xy.conj(), h).real / np.maximum(g_yy, 1e-30), 0, 1)
    half = slice(0, length // 2 + 1)
    return Transfer(
        frequencies=np.arange(stride * length // 2 + 1) * rate_hz / (stride * length),
        response=_unfold(h, stride, channels, length),
        coherence_hz=np.arange(length // 2 + 1) * rate_hz / stride / length,
        coherence=coherence[half],
        adjusted=1 - (1 - coherence[half]) * k / (k - q),
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
    if len(u) < length:
        q, outputs = u.shape[1], v.shape[1]
        return np.zeros((length, q, q), complex), np.zeros((length, q, outputs), complex), np.zeros((length, outputs))
    big_u = np.fft.fft(segments(u, length), axis=1).transpose(1, 0, 2)
    big_v = np.fft.fft(segments(v, length), axis=1).transpose(1, 0, 2)
    hermitian = big_u.conj().transpose(0, 2, 1)
    return hermitian @ big_u, hermitian @ big_v, np.square(np.abs(big_v)).sum(axis=1)


def _unfold(h: np.ndarray, stride: int, channels: int, length: int) -> np.ndarray:
    """Filters over the input's frequencies: ``sum_p H_p(f mod out_rate) e^{j 2 pi f p / rate}``."""
    bins = np.arange(stride * length // 2 + 1)
    turn = np.exp(2j * np.pi * bins[:, None] * np.arange(stride) / (stride * length))
    return np.einsum("fcpo,fp->fco", h[bins % length].reshape(len(bins), channels, stride, -1), turn)


def between(maps: Sequence[FeatureMaps], below: str | None, stage: str, *, length: int = 64) -> Transfer:
    """`h1` from one stage to the next over several clips; `below` None is the waveform."""
    rate = maps[0].sr if below is None else maps[0].stage(below).frame_rate(maps[0].sr)
    stride = maps[0].stage(stage).stride // (1 if below is None else maps[0].stage(below).stride)
    inputs = [m.y[:, None] if below is None else m.maps[below] for m in maps]
    return h1(inputs, [m.maps[stage] for m in maps], stride, rate, length=length)


@dataclass(frozen=True)
class LevelComparison:
    """A stage's filters by comparison with the level before, by every estimator that is valid there.

    Attributes
    ----------
    stage : str
    below : str or None
        None is the waveform.
    weights : list of ConvFilter
        Empty for a stage without a convolution over time.
    ratio : Ratio or None
    h1 : Transfer or None
    refused : dict of str -> str
        Why an estimator is missing.
    """

    stage: str
    below: str | None
    weights: list[ConvFilter]
    ratio: Ratio | None
    h1: Transfer | None
    refused: dict[str, str]


def compare_levels(
    model: keras.Model, maps: Sequence[FeatureMaps], below: str | None, stage: str, *, length: int = 64
) -> LevelComparison:
    """Compare a stage with the level before by weights, ratio and H1; the tone probe stands beside them.

    Parameters
    ----------
    model : keras.Model
    maps : sequence of FeatureMaps
        Of as many clips as there are; `h1` needs them.
    below : str or None
        The stage before; None is the waveform.
    stage : str
    length : int
        Frames of the stage's map in one segment.
    """
    first = maps[0]
    rate = first.sr if below is None else first.stage(below).frame_rate(first.sr)
    stride = round(rate / first.stage(stage).frame_rate(first.sr))
    attempts = {
        "weights": lambda: weights(model, stage, first.sr),
        "ratio": lambda: ratio(*_joined(maps, below, stage, stride), stride, rate, length),
        "h1": lambda: between(maps, below, stage, length=length),
    }
    found, refused = {}, {}
    for name, attempt in attempts.items():
        try:
            found[name] = attempt()
        except ValueError as error:  # each of them refuses with a reason for people
            refused[name] = str(error)
    return LevelComparison(stage, below, found.get("weights", []), found.get("ratio"), found.get("h1"), refused)


def _joined(maps: Sequence[FeatureMaps], below: str | None, stage: str, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and outputs of all clips, one after the other, cut to whole strides."""
    pairs = []
    for m in maps:
        x, y = m.y[:, None] if below is None else m.maps[below], m.maps[stage]
        frames = min(len(x) // stride, len(y))
        pairs.append((x[: frames * stride], y[:frames]))
    return np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs])
