"""A trained network written with nothing but Keras' own layers and operations, so that it loads without tagkit."""

import keras
import numpy as np
from keras import layers, ops

from tagkit.graph.layers.features import LogFilterbank, LogMel, Spectral

# Of these we have our own, with the same numbers up to rounding.
KERAS_OWN = (layers.BatchNormalization, layers.Conv1D, layers.MaxPooling1D)


def portable(model: keras.Model, exclusive: bool = False, unroll: bool = False) -> keras.Model:
    """The same network, from plain waveforms to scores.

    Spectrograms become convolutions with sines and cosines, which every runtime has (a real FFT is in few), and other
    layers of tagkit's become the operations that they consist of.

    Parameters
    ----------
    model : keras.Model
        Waveform (batch, window, 1) -> logits (batch, tags).
    exclusive : bool
        Whether scores are probabilities of classes that sum to 1.
    unroll : bool
        Write recurrences out frame by frame, for runtimes without loops over lists of tensors.

    Returns
    -------
    keras.Model
        Input ``waveform`` (batch, window), float32 in [-1, 1); output ``scores`` (batch, tags) in [0, 1].
    """
    window = model.input_shape[1]
    source = keras.Input((window, 1), name=model.inputs[0].name)

    def copy(layer: keras.Layer) -> keras.Layer:
        settings = layer.get_config()
        if unroll and isinstance(layer, layers.RNN):
            settings["unroll"] = True
        if unroll and isinstance(layer, layers.Bidirectional):
            for direction in ("layer", "backward_layer"):
                settings[direction]["config"]["unroll"] = True
        for kind in KERAS_OWN:
            if isinstance(layer, kind):
                settings.pop("bias_learns", None)
                return kind.from_config(settings)
        return type(layer).from_config(settings)

    body = keras.models.clone_model(model, input_tensors=source, clone_function=copy, call_function=_call)
    trained = {layer.name: layer for layer in model.layers}
    for layer in body.layers:
        if layer.name in trained and layer.weights:
            layer.set_weights(trained[layer.name].get_weights())
    waveform = keras.Input((window,), name="waveform")
    logits = body(layers.Reshape((window, 1), name="waveform_channel")(waveform))
    scores = layers.Activation("softmax" if exclusive else "sigmoid", dtype="float32", name="scores")(logits)
    return keras.Model(waveform, scores, name=model.name)


def _is_ours(layer: keras.Layer) -> bool:
    return type(layer).__module__.partition(".")[0] == "tagkit"


def _call(layer: keras.Layer, *inputs: keras.KerasTensor, **options: object) -> keras.KerasTensor:
    if isinstance(layer, Spectral):
        return _spectrogram(layer, *inputs)
    if _is_ours(layer):
        return layer.call(*inputs)  # symbolic: the operations themselves become part of the graph
    return layer(*inputs, **options)


def _spectrogram(layer: Spectral, x: keras.KerasTensor) -> keras.KerasTensor:
    """What a spectrogram layer computes of `x` (batch, samples, 1), with convolutions in place of FFTs."""
    if isinstance(layer, LogMel):
        if layer.reflect:
            y = ops.pad(x, ((0, 0), (layer.pad, layer.pad), (0, 0)), mode="reflect")
        else:
            y = layers.ZeroPadding1D(layer.pad, name=f"{layer.name}_pad")(x)
        bands = _bands(layer, y)
        if layer.log == "db":
            return 10.0 * ops.log10(ops.maximum(bands, 1e-10))
        return ops.log10(1.0 + 10_000.0 * bands)
    if isinstance(layer, LogFilterbank):
        y = 32768.0 * x
        y = ops.concatenate([y[:, :1], y[:, 1:] - layer.preemphasis * y[:, :-1]], axis=1)
        samples = x.shape[1]
        fill = (layer.frames(samples) - 1) * layer.hop_length + layer.frame_length - samples
        energy = _bands(layer, layers.ZeroPadding1D((0, fill), name=f"{layer.name}_pad")(y)) / layer.n_fft
        return ops.log(ops.where(energy > 0, energy, float(np.finfo(float).eps)))
    raise NotImplementedError(f"{layer.name} is a {type(layer).__name__}, which has not been written out here yet.")


def _bands(layer: Spectral, y: keras.KerasTensor) -> keras.KerasTensor:
    """Band energies (batch, frames, bands) of `y` (batch, samples, 1)."""
    angles = 2 * np.pi * np.outer(np.arange(layer.frame_length), np.arange(layer.n_fft // 2 + 1)) / layer.n_fft
    kernel = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * np.asarray(layer.window())[:, None]
    fourier = layers.Conv1D(
        kernel.shape[1], layer.frame_length, strides=layer.hop_length, use_bias=False, name=f"{layer.name}_fourier"
    )
    parts = fourier(y)
    fourier.set_weights([kernel[:, None, :].astype(np.float32)])
    weights = np.asarray(layer.bands()).T
    energies = layers.Dense(weights.shape[1], use_bias=False, name=f"{layer.name}_bands")
    result = energies(ops.square(parts))
    energies.set_weights([np.concatenate([weights, weights]).astype(np.float32)])  # |X|^2 is the sum of two squares
    return result
