"""From a channel back to the waveform: saliency, and the part of a clip that it may have heard.

Gradients are taken with TensorFlow, Keras' backend here; everything else is numpy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from scipy import signal

from tagkit import graph
from tagkit.analysis import geometry
from tagkit.analysis.feature_maps import Swap, frames_by_channels, select, trunk

MASK_N_FFT, MASK_HOP = 1024, 256
Score = Callable[[tf.Tensor], tf.Tensor]  # a channel's maps (batch, frames) -> one number each (batch,)


@dataclass(frozen=True)
class Masked:
    """A clip behind the mask of one channel.

    Attributes
    ----------
    y : ndarray (samples,)
    mask : ndarray (bins, frames)
        In [0, 1], of an STFT with `MASK_N_FFT` and `MASK_HOP`.
    error : float
        ``||a(y) - a(x)|| / ||a(x)||``: 0 where the masked clip excites the channel as the clip did.
    turned_down, silence : float
        The controls, which point at nothing in the clip: the error of the whole clip, turned down to the masked clip's
        energy, and that of silence.
    """

    y: np.ndarray
    mask: np.ndarray
    error: float
    turned_down: float
    silence: float

    @property
    def control(self) -> float:
        """The smaller error of the two controls."""
        return min(self.turned_down, self.silence)

    @property
    def score(self) -> float:
        """How much better the mask does than its control; at 0 or below, it says nothing about the channel."""
        return self.control - self.error


class Channel:
    """One channel as a function of the waveform, differentiable, in inference mode.

    Parameters
    ----------
    samples : int
        Length of the waveform.
    swap : callable, optional
        As in `feature_maps.trunk`.

    Raises
    ------
    ValueError
        There is no such stage, or the waveform is too short for it.
    IndexError
        The stage has no such channel.
    """

    def __init__(self, model: keras.Model, stage: str, channel: int, samples: int, swap: Swap = lambda layer: None):
        self.network = trunk(model, samples, [stage], swap)
        (self.stage,) = select(geometry.stages(self.network), [stage])
        if not 0 <= channel < self.stage.channels:
            raise IndexError(f"{stage} has channels 0 to {self.stage.channels - 1}, not {channel}")
        self.channel = channel

    def field(self, output: tf.Tensor) -> tf.Tensor:
        """The channel's part of a stage's output, with its frequency axis where it has one."""
        output = output[0] if isinstance(output, (list, tuple)) else output
        if output.shape[-1] == 1 < self.stage.channels:  # bands are the channels
            return output[..., self.channel, 0]
        return output[..., self.channel]

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """The channel's map (batch, frames) for waveforms (batch, samples, 1)."""
        output = self.network(x, training=False)
        output = output[0] if isinstance(output, (list, tuple)) else output
        return frames_by_channels(output, self.stage.axis, keras.ops)[..., self.channel]

    def slope(self, x: tf.Tensor, score: Score) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores (batch,) and the gradient of their sum with respect to `x` (batch, samples, 1)."""
        with tf.GradientTape() as tape:
            tape.watch(x)
            scores = score(self(x))
            total = tf.reduce_sum(scores)
        return scores, tape.gradient(total, x)


def energy(a: tf.Tensor) -> tf.Tensor:
    """Mean of a^2 over frames (batch,), of a channel's maps (batch, frames)."""
    return tf.reduce_mean(tf.square(a), axis=-1)


def saliency(model: keras.Model, y: np.ndarray, stage: str, channel: int) -> np.ndarray:
    """Sensitivity of one channel to every sample of a clip: the gradient of the mean of a^2 (samples,).

    It says which change of the waveform would change the channel's energy most, and may sound like something that is
    not in the clip at all. Times the waveform, it says which samples the energy hangs on.

    Raises
    ------
    ValueError, IndexError
        As for `Channel`.
    """
    _, gradient = Channel(model, stage, channel, len(y)).slope(tf.constant(y, tf.float32)[None, :, None], energy)
    return gradient.numpy()[0, :, 0]


@keras.saving.register_keras_serializable(package="tagkit")
class DeconvActivation(keras.layers.Layer):
    """An activation whose backward pass is a deconvnet's: only what is positive flows back (Zeiler & Fergus 2014)."""

    def __init__(self, activation: str | Callable, **kwargs: object):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Apply the activation to `x`."""

        @tf.custom_gradient
        def forward(inner: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            return self.activation(inner), tf.nn.relu

        return forward(x)


def _deconv(layer: keras.Layer) -> keras.Layer | None:
    if isinstance(layer, keras.layers.Activation):
        return DeconvActivation(layer.activation, name=layer.name)
    if isinstance(layer, (keras.layers.ReLU, keras.layers.ELU, keras.layers.LeakyReLU)):
        kind, settings = type(layer), layer.get_config()
        return DeconvActivation(lambda x: kind.from_config(settings)(x), name=layer.name)
    return None


def deconvnet(model: keras.Model, y: np.ndarray, stage: str, channel: int) -> np.ndarray:
    """Project a channel's map back into the waveform, as a deconvnet does (samples,).

    The positive part of the map flows back through transposed convolutions, the switches of the poolings, and
    rectified activations (Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", 2014).

    Parameters
    ----------
    y : ndarray (samples,)

    Raises
    ------
    ValueError, IndexError
        As for `Channel`.
    """
    unit = Channel(model, stage, channel, len(y), _deconv)
    return _flow_back(unit, unit.network, np.asarray(y, np.float32)[None, :, None])[0, :, 0]


def _flow_back(unit: Channel, network: keras.Model, x: np.ndarray) -> np.ndarray:
    """What reaches `x` of the positive part of the channel's map at the end of `network`."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = 0.5 * tf.reduce_sum(tf.square(tf.nn.relu(unit.field(network(x, training=False)))))
    return tape.gradient(score, x).numpy()


def stft(sr: int) -> signal.ShortTimeFFT:
    """The transform that masks are made for: periodic Hann, 1024 samples, hop 256."""
    window = signal.windows.hann(MASK_N_FFT, sym=False)
    return signal.ShortTimeFFT(window, MASK_HOP, sr, fft_mode="onesided")


def apply_mask(y: np.ndarray, mask: np.ndarray, sr: int) -> np.ndarray:
    """The clip behind a mask (bins, frames) in [0, 1]: ``iSTFT(M X)`` (samples,)."""
    transform = stft(sr)
    return transform.istft(transform.stft(np.asarray(y, np.float64)) * mask, k1=len(y))


def mask_of(magnitude: np.ndarray) -> np.ndarray:
    """``clip(max(D, 0) / P99, 0, 1)``, with the peak instead where less than one value in a hundred is positive."""
    positive = np.maximum(magnitude, 0)
    scale = np.percentile(positive, 99) or positive.max() or 1.0
    return np.clip(positive / scale, 0, 1)


def masked(model: keras.Model, y: np.ndarray, stage: str, channel: int) -> Masked:
    """The parts of a clip that a channel may have heard.

    Parameters
    ----------
    y : ndarray (samples,)

    Returns
    -------
    Masked
        With the re-encoding errors of mask and controls, which belong beside the player. The mask is 0 everywhere
        where the channel's map never rises above 0 in the clip: nothing flows back then.

    Raises
    ------
    ValueError, IndexError
        As for `Channel`.

    Notes
    -----
    For a waveform network the mask comes from the STFT of the deconvnet's waveform; behind a spectrogram, from the
    deconvnet's map of the spectrogram, spread from bands to frequencies.
    """
    front, sr = _frontend(model), graph.sampling_rate(model)
    transform = stft(sr)
    if front is None:
        magnitude = np.abs(transform.stft(deconvnet(model, y, stage, channel).astype(np.float64)))
    else:
        magnitude = _spectrogram_deconvnet(model, front, y, stage, channel, sr)
    mask = mask_of(magnitude)
    heard = apply_mask(y, mask, sr)
    gain = np.linalg.norm(heard) / max(np.linalg.norm(y), 1e-12)
    sounds = np.stack([y, heard, gain * y, 0 * y]).astype(np.float32)
    before, *others = Channel(model, stage, channel, len(y))(sounds[..., None]).numpy()
    errors = (np.linalg.norm(after - before) / max(np.linalg.norm(before), 1e-12) for after in others)
    return Masked(heard, mask, *map(float, errors))


def _frontend(model: keras.Model) -> keras.Layer | None:
    """The layer that turns the waveform into bands, if the network has one."""
    return next((layer for layer in model.layers if hasattr(layer, "bands") and hasattr(layer, "hop_length")), None)


def _spectrogram_deconvnet(
    model: keras.Model, front: keras.Layer, y: np.ndarray, stage: str, channel: int, sr: int
) -> np.ndarray:
    """The deconvnet's map at the output of the frontend, on the bins and frames of the mask."""
    unit = Channel(model, stage, channel, len(y), _deconv)
    bands = unit.network.get_layer(front.name)
    head = keras.Model(unit.network.inputs[0], bands.output)
    head.sr = sr
    tail = keras.Model(bands.output, unit.network.outputs[0])
    spectrogram = head(np.asarray(y, np.float32)[None, :, None], training=False)
    field = _flow_back(unit, tail, spectrogram)[0]  # (frames, bands)
    weights = np.asarray(front.bands())
    spread = np.maximum(field, 0) @ (weights / np.maximum(weights.max(axis=1, keepdims=True), 1e-12))
    transform = stft(sr)
    (placed,) = geometry.stages(head)
    own_f = np.linspace(0, sr / 2, spread.shape[1])
    own_t = placed.time(np.arange(len(spread)))
    in_frequency = np.stack([np.interp(transform.f, own_f, row) for row in spread])
    return np.stack([np.interp(transform.t(len(y)), own_t, row) for row in in_frequency.T])
