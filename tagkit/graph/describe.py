"""What a network costs and what it is made of, read off its graph."""

import math

import keras
from keras import layers

from tagkit import graph
from tagkit.graph.layers.features import Spectral


def describe_model(model: keras.Model, source: str = "") -> dict:
    """Describe a network.

    Parameters
    ----------
    model
        From waveforms (batch, samples, 1); layers named `{stage}_{op}`.
    source
        Where it comes from.

    Returns
    -------
    dict
        name, input_samples, parameters (trainable), macs (of one window: see `macs`), stages (a list of name and shape
        without the batch axis) and source; JSON-ready.
    """
    return {
        "name": model.name,
        "input_samples": model.input_shape[-2],
        "parameters": sum(math.prod(w.shape) for w in model.trainable_variables),
        "macs": macs(model),
        "stages": [{"name": name, "shape": list(out.shape[1:])} for name, out in graph.stages(model).items()],
        "source": source,
    }


def macs(model: keras.Model) -> int:
    """Count the multiply-accumulates of one window: convolutions, dense and recurrent layers, and the spectrogram.

    Norms, activations and pooling are left out; a spectrogram counts its FFT as n_fft log2(n_fft) a frame, and the
    non-zero weights of its bands.
    """
    return clip_macs(model, windows=1)


def clip_macs(model: keras.Model, windows: int) -> int:
    """Count the multiply-accumulates of a clip of so many windows; what merges them (super-pooling) counts once."""
    merging = ("merge", "logits_") if len(model.input_shape) == 4 else ()
    return sum(_macs(layer) * (1 if layer.name.startswith(merging) else windows) for layer in model.layers)


def _macs(layer: keras.Layer) -> int:
    if isinstance(layer, Spectral):
        return layer.macs(layer.output.shape[1])
    if isinstance(layer, layers.Bidirectional):
        frames = layer.input.shape[1]
        return frames * (_cell_weights(layer.forward_layer) + _cell_weights(layer.backward_layer))
    if isinstance(layer, layers.GRU):
        return layer.input.shape[1] * _cell_weights(layer)
    if isinstance(layer, layers.Conv1D | layers.Conv2D | layers.Dense):
        return math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
    return 0


def _cell_weights(layer: layers.GRU) -> int:
    return math.prod(layer.cell.kernel.shape) + math.prod(layer.cell.recurrent_kernel.shape)
