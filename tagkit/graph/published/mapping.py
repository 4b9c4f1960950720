"""Published weights, renamed and reordered for the layers of their rows.

Each function takes a `Taken` of the file's arrays and returns the weights of every layer, by its name.
"""

from collections.abc import Mapping
from string import ascii_lowercase

import keras
import numpy as np

from tagkit.graph.blocks import NORM_EPSILON
from tagkit.graph.layers import features
from tagkit.graph.published.tensors import WeightsError

Weights = dict[str, list[np.ndarray]]
KERAS_EPSILON = 1e-3  # of batch norm in TensorFlow's and Keras' own layers
WON_BANDS = {"sr": 16_000, "n_fft": 512, "hop_length": 256, "n_mels": 96, "fmin": 0.0, "fmax": 8000.0}
SAME_BANDS = 1e-4  # torchaudio works them out in float32
MUSICNN_LEVELS = (561, 64, 64, 64)  # channels whose maxima and means musicnn pools


class Taken:
    """Arrays of a file, each to be taken once.

    Parameters
    ----------
    ignored
        Ends of the names of arrays that no layer needs.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], ignored: tuple[str, ...] = ()):
        self._arrays = {name: array for name, array in arrays.items() if not name.endswith(ignored)}

    def __call__(self, name: str) -> np.ndarray:
        """The array of this name; WeightsError where there is none."""
        if name not in self._arrays:
            raise WeightsError(f"it has no {name}")
        return self._arrays.pop(name)

    @property
    def left(self) -> list[str]:
        """Names of those that were not taken."""
        return sorted(self._arrays)


def assign(model: keras.Model, weights: Weights) -> None:
    """Give every layer its weights.

    Raises
    ------
    WeightsError
        A layer is missing among them, or has another shape.
    """
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    if missing := sorted(layers.keys() ^ weights.keys()):
        raise WeightsError(f"it does not fit {model.name} at {missing[0]}")
    for name, layer in layers.items():
        ours, theirs = ([tuple(w.shape) for w in both] for both in (layer.weights, weights[name]))
        if ours != theirs:
            raise WeightsError(f"it has {name} as {theirs}, but {model.name} needs {ours}")
        layer.set_weights(weights[name])


def _keras(taken: Taken, name: str, suffix: str = "") -> list[np.ndarray]:
    return [taken(f"{name}/{part}{suffix}") for part in ("kernel", "bias")]


def _keras_norm(taken: Taken, name: str, suffix: str = "") -> list[np.ndarray]:
    """Scale, offset, mean and variance; the variance makes up for the smaller epsilon of the rows."""
    parts = ("gamma", "beta", "moving_mean", "moving_variance")
    *rest, variance = (taken(f"{name}/{part}{suffix}") for part in parts)
    return [*rest, variance + np.float32(KERAS_EPSILON - NORM_EPSILON)]


def pooled_order(levels: tuple[int, ...], interleaved: bool) -> np.ndarray:
    """Where each entry of the rows' pooled vector (maxima, then means, level after level) lies in the original's.

    `interleaved`: maximum and mean of channel 0, of channel 1, ...; else the maxima of all channels, then their means.
    """
    channels, total = np.arange(sum(levels)), sum(levels)
    maxima, means = (2 * channels, 2 * channels + 1) if interleaved else (channels, channels + total)
    ends = np.cumsum(levels)[:-1]
    split = zip(np.split(maxima, ends), np.split(means, ends), strict=True)
    return np.concatenate([part for level in split for part in level])


def musicnn(taken: Taken) -> Weights:
    """Pons & Serra's musicnn, from a TensorFlow checkpoint."""
    places = [f"conv1_{letter}" for letter in ascii_lowercase[:5]] + ["conv2", "conv3", "conv4"]
    found = {"logmel_norm": _keras_norm(taken, "batch_normalization")}
    for k, place in enumerate(places):
        kernel, bias = _keras(taken, f"conv2d_{k}" if k else "conv2d")
        found[f"{place}_conv"] = [kernel if k < 5 else kernel[:, :, 0], bias]
        found[f"{place}_norm"] = _keras_norm(taken, f"batch_normalization_{k + 1}")
    order = pooled_order(MUSICNN_LEVELS, interleaved=True)
    kernel, bias = _keras(taken, "dense")
    found["dense1_pooled_norm"] = [part[order] for part in _keras_norm(taken, "batch_normalization_9")]
    found["dense1_dense"] = [kernel[order], bias]
    found["dense1_norm"] = _keras_norm(taken, "batch_normalization_10")
    return found | {"logits_dense": _keras(taken, "dense_1")}


def musicnn_vgg(taken: Taken) -> Weights:
    """The vggs of the same package."""
    found = {"logmel_norm": _keras_norm(taken, "batch_normalization")}
    for k in range(1, 6):
        found[f"conv{k}_conv"] = _keras(taken, f"{k}CNN")
        found[f"conv{k}_norm"] = _keras_norm(taken, f"batch_normalization_{k}")
    return found | {"logits_dense": _keras(taken, "dense")}


def crepe_tiny(taken: Taken) -> Weights:
    """CREPE's tiny network, from Keras' HDF5."""
    found = {}
    for k in range(1, 7):
        found[f"conv{k}_conv"] = _keras(taken, f"conv{k}/conv{k}_3", ":0")
        found[f"conv{k}_norm"] = _keras_norm(taken, f"conv{k}-BN/conv{k}-BN_3", ":0")
    return found | {"logits_dense": _keras(taken, "classifier/classifier_3", ":0")}


def _torch(taken: Taken, name: str) -> list[np.ndarray]:
    """A convolution or dense layer: PyTorch's axes (out, in[, frequency][, time]) turned round."""
    return [taken(f"{name}.weight").T, taken(f"{name}.bias")]


def _torch_norm(taken: Taken, name: str) -> list[np.ndarray]:
    return [taken(f"{name}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]


def _torch_gru(taken: Taken, name: str, layer: int) -> list[np.ndarray]:
    """Gates in Keras' order (update, reset, new) from PyTorch's (reset, update, new)."""

    def gates(kind: str) -> np.ndarray:
        reset, update, new = np.split(taken(f"{name}.{kind}_l{layer}"), 3)
        return np.concatenate([update, reset, new])

    return [gates("weight_ih").T, gates("weight_hh").T, np.stack([gates("bias_ih"), gates("bias_hh")])]


def _torch_stages(taken: Taken, stages: int) -> Weights:
    found = {}
    for k in range(1, stages + 1):
        found[f"conv{k}_conv"] = _torch(taken, f"layer{k}.conv")
        found[f"conv{k}_norm"] = _torch_norm(taken, f"layer{k}.bn")
    return found


def _torch_mel(taken: Taken) -> Weights:
    """The norm of the spectrogram; the window and the bands, which PyTorch's file holds too, must be the row's."""
    ours = features.LogMel(**WON_BANDS, htk=True)
    drawn = {"spec.spectrogram.window": ours.window(), "spec.mel_scale.fb": ours.bands().T}
    for name, array in drawn.items():
        theirs = taken(name)
        if theirs.shape != array.shape or np.abs(theirs - array).max() > SAME_BANDS:
            raise WeightsError(f"its spectrogram is another one ({name})")
    return {"logmel_norm": _torch_norm(taken, "spec_bn")}


def won_fcn(taken: Taken) -> Weights:
    """Won et al.'s FCN."""
    found = _torch_mel(taken) | _torch_stages(taken, 5)
    return found | {"logits_dense": _torch(taken, "dense")}


def won_crnn(taken: Taken) -> Weights:
    """Won et al.'s CRNN."""
    found = _torch_mel(taken) | _torch_stages(taken, 4)
    found |= {f"gru{k}_gru": _torch_gru(taken, "layer5", k - 1) for k in (1, 2)}
    return found | {"logits_dense": _torch(taken, "dense")}


def won_musicnn(taken: Taken) -> Weights:
    """Won et al.'s MusiCNN."""
    found = _torch_mel(taken)
    for k, branch in enumerate(("conv1_a", "conv1_b", "conv1_c_2", "conv1_d_2", "conv1_e_2")):
        found[f"{branch}_conv"] = _torch(taken, f"layers.{k}.conv")
        found[f"{branch}_norm"] = _torch_norm(taken, f"layers.{k}.bn")
    for k in (1, 2, 3):
        found[f"conv{k + 1}_conv"] = _torch(taken, f"layer{k}.conv")
        found[f"conv{k + 1}_norm"] = _torch_norm(taken, f"layer{k}.bn")
    kernel, bias = _torch(taken, "dense1")
    found["dense1_dense"] = [kernel[pooled_order(MUSICNN_LEVELS, interleaved=False)], bias]
    return found | {"dense1_norm": _torch_norm(taken, "bn"), "logits_dense": _torch(taken, "dense2")}


def won_samplecnn(taken: Taken) -> Weights:
    """Won et al.'s SampleCNN."""
    return _torch_stages(taken, 11) | {"logits_dense": _torch(taken, "dense")}


def won_samplecnn_se(taken: Taken) -> Weights:
    """Won et al.'s SampleCNN with squeeze-and-excitation; layers 1, 4 and 10 change the width and have a shortcut."""
    found = {}
    for k in range(1, 12):
        for part, ours in (("1", "1"), ("2", "2"), ("3", "skip"))[: 3 if k in (1, 4, 10) else 2]:
            found[f"conv{k}_{ours}_conv"] = _torch(taken, f"layer{k}.conv_{part}")
            found[f"conv{k}_{ours}_norm"] = _torch_norm(taken, f"layer{k}.bn_{part}")
        for part in ("1", "2"):
            found[f"conv{k}_squeeze_{part}_dense"] = _torch(taken, f"layer{k}.dense{part}")
    found["dense1_dense"], found["dense1_norm"] = _torch(taken, "dense1"), _torch_norm(taken, "bn")
    return found | {"logits_dense": _torch(taken, "dense2")}


BY_ROW = {
    each.__name__: each
    for each in (musicnn, musicnn_vgg, crepe_tiny, won_fcn, won_crnn, won_musicnn, won_samplecnn, won_samplecnn_se)
} | {"musicnn_vgg_msd": musicnn_vgg}
