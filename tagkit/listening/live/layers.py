"""What a layer computes, in the words of the page's JavaScript (static/live/ops.js): an operation with its numbers.

Each function takes a layer and returns the operation's name, its settings, and its weights. A layer is looked up by its
very class: a subclass may compute something else.
"""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from tagkit.graph.fast.conv import Conv1D
from tagkit.graph.fast.norm import BatchNormalization
from tagkit.graph.fast.pooling import MaxPooling1D
from tagkit.graph.layers.banks import LogEnergy
from tagkit.graph.layers.features import LogFilterbank, LogMel, Spectral, Standardize
from tagkit.graph.layers.pooling import StochasticPooling

Described = tuple[str, dict, dict[str, np.ndarray]]
STILL = 1e-8  # the least standard deviation that Standardize divides by
ACTIVATIONS = ("linear", "relu", "elu", "sigmoid", "tanh", "softmax")


class UnknownLayerError(ValueError):
    """The page cannot compute a layer; the message names it."""


def describe(layer: keras.Operation) -> Described:
    """An operation of the page that computes what a layer does at inference.

    Returns
    -------
    str
        The operation.
    dict
        Its settings, ready for JSON.
    dict of str -> ndarray
        Its weights.

    Raises
    ------
    UnknownLayerError
        The page has no such operation, or not with these settings.
    """
    if type(layer) not in _DESCRIBED:
        known = ", ".join(sorted({kind.__name__ for kind in _DESCRIBED}))
        raise UnknownLayerError(
            f"{layer.name} is a layer of the kind {type(layer).__name__}, which the live page cannot compute; it knows "
            f"{known}."
        )
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise UnknownLayerError(f"{layer.name} is in the order {layer.data_format}; the live page takes channels_last.")
    return _DESCRIBED[type(layer)](layer)


def _weight(value: keras.KerasTensor) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(value), np.float32)


def _pair(value: int | tuple[int, ...]) -> list[int]:
    """A setting along (frames, bands); maps without bands are a single row, (1, frames)."""
    values = [int(value)] if isinstance(value, int) else [int(each) for each in value]
    return values if len(values) == 2 else [1, *values]


def _activation(layer: keras.Layer) -> str:
    name = keras.activations.serialize(layer.activation)
    if name not in ACTIVATIONS:
        raise UnknownLayerError(
            f"{layer.name} has the activation {name}, which the live page cannot compute; it knows "
            f"{', '.join(ACTIVATIONS)}."
        )
    return name


def _padding(layer: keras.Layer) -> str:
    if layer.padding not in ("same", "valid"):
        raise UnknownLayerError(f"{layer.name} pads {layer.padding!r}; the live page knows 'same' and 'valid'.")
    return layer.padding


def _conv(layer: keras.Layer) -> Described:
    kernel = _weight(layer.kernel)
    kernel = kernel if kernel.ndim == 4 else kernel[None]
    settings = {
        "stride": _pair(layer.strides),
        "dilation": _pair(layer.dilation_rate),
        "padding": _padding(layer),
        "groups": layer.groups,
        "activation": _activation(layer),
    }
    return "conv", settings, {"kernel": kernel} | ({"bias": _weight(layer.bias)} if layer.use_bias else {})


def _dense(layer: layers.Dense) -> Described:
    weights = {"kernel": _weight(layer.kernel)} | ({"bias": _weight(layer.bias)} if layer.use_bias else {})
    return "dense", {"activation": _activation(layer)}, weights


def _norm(layer: layers.BatchNormalization) -> Described:
    rank = len(layer.input.shape)
    if layer.axis not in (-1, rank - 1):
        raise UnknownLayerError(f"{layer.name} normalises axis {layer.axis}; the live page knows the last axis alone.")
    scale = 1 / np.sqrt(_weight(layer.moving_variance).astype(np.float64) + layer.epsilon)
    if layer.scale:
        scale = scale * _weight(layer.gamma)
    offset = -_weight(layer.moving_mean) * scale + (_weight(layer.beta) if layer.center else 0)
    return "scale", {}, {"scale": scale.astype(np.float32), "offset": offset.astype(np.float32)}


def _pool(kind: str) -> Callable[[keras.Layer], Described]:
    def described(layer: keras.Layer) -> Described:
        size, stride, padding = _pair(layer.pool_size), _pair(layer.strides), _padding(layer)
        if kind == "stochastic" and (size != stride or padding != "valid"):
            raise UnknownLayerError(f"{layer.name} pools overlapping regions, which the live page cannot compute.")
        return "pool", {"kind": kind, "size": size, "stride": stride, "padding": padding}, {}

    return described


def _reduce(kind: str) -> Callable[[keras.Layer], Described]:
    return lambda layer: ("reduce", {"kind": kind, "keepdims": bool(layer.keepdims)}, {})


def _gru(layer: layers.GRU) -> Described:
    if (layer.activation, layer.recurrent_activation) != (keras.activations.tanh, keras.activations.sigmoid):
        raise UnknownLayerError(f"{layer.name} has activations other than tanh and sigmoid; the live page has these.")
    if layer.stateful or layer.return_state:
        raise UnknownLayerError(f"{layer.name} keeps or returns its state, which the live page cannot do.")
    cell, units = layer.cell, layer.units
    bias = _weight(cell.bias) if layer.use_bias else np.zeros((2 if cell.reset_after else 1, 3 * units), np.float32)
    bias = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    settings = {
        "units": units,
        "sequences": layer.return_sequences,
        "backwards": layer.go_backwards,
        "reset_after": cell.reset_after,
    }
    weights = {"kernel": _weight(cell.kernel), "recurrent": _weight(cell.recurrent_kernel), "bias": bias.ravel()}
    return "gru", settings, weights


def _bidirectional(layer: layers.Bidirectional) -> Described:
    for direction in (layer.forward_layer, layer.backward_layer):
        if type(direction) is not layers.GRU or layer.merge_mode != "concat":
            raise UnknownLayerError(f"{layer.name} is bidirectional, but not two GRUs side by side.")
    _, forward, weights = _gru(layer.forward_layer)
    _, _, backward = _gru(layer.backward_layer)
    return "gru", forward | {"both": True}, weights | {f"back_{name}": value for name, value in backward.items()}


def _spectral(layer: Spectral, **settings: float) -> Described:
    settings = {
        "frame": layer.frame_length,
        "hop": layer.hop_length,
        "n_fft": layer.n_fft,
        "pad": layer.pad,
        **settings,
    }
    weights = {"bands": np.asarray(layer.bands(), np.float32), "window": np.asarray(layer.window(), np.float32)}
    return "spectral", settings, weights


# y = gain ln(times max(energy, floor) + plus)
_LOGARITHMS = {
    "db": {"gain": 10 / np.log(10), "floor": 1e-10, "times": 1.0, "plus": 0.0},
    "log10": {"gain": 1 / np.log(10), "floor": 0.0, "times": 10_000.0, "plus": 1.0},
}


def _mel(layer: LogMel) -> Described:
    return _spectral(layer, reflect=layer.reflect, fill=False, level=1.0, preemphasis=0.0, **_LOGARITHMS[layer.log])


def _filterbank(layer: LogFilterbank) -> Described:
    floor = layer.n_fft * float(np.finfo(float).eps)
    return _spectral(
        layer,
        reflect=False,
        fill=True,
        level=32768.0,
        preemphasis=layer.preemphasis,
        gain=1.0,
        floor=floor,
        times=1 / layer.n_fft,
        plus=0.0,
    )


def _log_energy(layer: LogEnergy) -> Described:
    return "log_energy", {"pool": layer.pool, "floor": layer.floor}, {}


def _pad(layer: keras.Layer) -> Described:
    pads = layer.padding if isinstance(layer.padding[0], list | tuple) else (layer.padding,)
    pads = [[int(a), int(b)] for a, b in pads]
    return "pad", {"pads": pads if len(pads) == 2 else [[0, 0], *pads]}, {}


def _concatenate(layer: layers.Concatenate) -> Described:
    if layer.axis not in (-1, len(layer.output.shape) - 1):
        raise UnknownLayerError(f"{layer.name} joins along axis {layer.axis}; the live page joins the last axis alone.")
    return "concat", {}, {}


def _reshape(layer: layers.Reshape) -> Described:
    return "reshape", {"shape": [int(n) for n in layer.get_config()["target_shape"]]}, {}


def _same(layer: keras.Layer) -> Described:
    """Computes nothing at inference."""
    return "same", {}, {}


_DESCRIBED: dict[type, Callable[[keras.Layer], Described]] = {
    layers.Conv1D: _conv,
    Conv1D: _conv,
    layers.Conv2D: _conv,
    layers.Dense: _dense,
    layers.BatchNormalization: _norm,
    BatchNormalization: _norm,
    layers.Activation: lambda layer: ("activation", {"activation": _activation(layer)}, {}),
    layers.MaxPooling1D: _pool("max"),
    MaxPooling1D: _pool("max"),
    layers.MaxPooling2D: _pool("max"),
    layers.AveragePooling1D: _pool("mean"),
    layers.AveragePooling2D: _pool("mean"),
    StochasticPooling: _pool("stochastic"),
    layers.GlobalMaxPooling1D: _reduce("max"),
    layers.GlobalMaxPooling2D: _reduce("max"),
    layers.GlobalAveragePooling1D: _reduce("mean"),
    layers.GlobalAveragePooling2D: _reduce("mean"),
    layers.GRU: _gru,
    layers.Bidirectional: _bidirectional,
    LogMel: _mel,
    LogFilterbank: _filterbank,
    LogEnergy: _log_energy,
    Standardize: lambda layer: ("standardize", {"floor": STILL}, {}),
    layers.ZeroPadding1D: _pad,
    layers.ZeroPadding2D: _pad,
    layers.Concatenate: _concatenate,
    layers.Add: lambda layer: ("add", {}, {}),
    layers.Multiply: lambda layer: ("multiply", {}, {}),
    layers.Reshape: _reshape,
    layers.Flatten: lambda layer: ("flatten", {}, {}),
    layers.Dropout: _same,
    layers.Identity: _same,
}
