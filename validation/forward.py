"""A convolutional network computed with numpy alone, from its weights: what the analysis measures is checked by it."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def forward(model, x: np.ndarray, stage: str) -> np.ndarray:
    """The maps (batch, frames, channels) of one stage for waveforms (batch, samples), in double precision."""
    ends = [i for i, layer in enumerate(model.layers) if layer.name.split("_")[0] == stage]
    a = np.asarray(x, np.float64)[..., None]
    for layer in model.layers[1 : ends[-1] + 1]:
        a = _STEPS[type(layer).__name__](layer, layer.get_config(), a)
    return a


def _convolve(layer, settings: dict, a: np.ndarray) -> np.ndarray:
    weights = [np.asarray(w, np.float64) for w in layer.get_weights()]
    taps, stride = settings["kernel_size"][0], settings["strides"][0]
    if settings["padding"] == "same":
        frames = -(-a.shape[1] // stride)
        extra = max((frames - 1) * stride + taps - a.shape[1], 0)
        a = np.pad(a, ((0, 0), (extra // 2, extra - extra // 2), (0, 0)))
    windows = sliding_window_view(a, taps, axis=1)[:, ::stride]  # (batch, frames, inputs, taps)
    out = np.einsum("bfct,tco->bfo", windows, weights[0], optimize=True)
    return _activate(layer, settings, out + (weights[1] if settings["use_bias"] else 0))


def _normalise(layer, settings: dict, a: np.ndarray) -> np.ndarray:
    weights = [np.asarray(w, np.float64) for w in layer.get_weights()]
    gamma = weights.pop(0) if settings["scale"] else 1.0
    beta = weights.pop(0) if settings["center"] else 0.0
    mean, variance = weights
    return (a - mean) / np.sqrt(variance + settings["epsilon"]) * gamma + beta


def _activate(layer, settings: dict, a: np.ndarray) -> np.ndarray:
    return {
        "linear": lambda z: z,
        "relu": lambda z: np.maximum(z, 0),
        "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    }[settings["activation"]](a)


def _pool(layer, settings: dict, a: np.ndarray) -> np.ndarray:
    size = settings["pool_size"][0]
    frames = a.shape[1] // size
    return a[:, : frames * size].reshape(len(a), frames, size, -1).max(axis=2)


_STEPS = {"Conv1D": _convolve, "BatchNormalization": _normalise, "Activation": _activate, "MaxPooling1D": _pool}


def tones(frequencies: np.ndarray, phases: int, samples: int, rms: float, sr: int = 16_000) -> np.ndarray:
    """Pure tones (tones * phases, samples) of this RMS in evenly spaced phases."""
    turn = np.arange(samples) / sr
    angle = 2 * np.pi * (frequencies[:, None, None] * turn + (np.arange(phases) / phases)[:, None])
    return (rms * np.sqrt(2) * np.sin(angle)).reshape(-1, samples)
