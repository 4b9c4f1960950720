"""The published architectures once more, written from their papers' code in numpy; and PyTorch's files by hand.

Maps are (channels, frequency, time) or (channels, time), as in PyTorch; weights go by the names in the files.
"""

import io
import itertools
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np

EPSILON = 1e-5


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def conv(x, w, b, pad, stride=1):
    """Correlation of `x` (in, ...) with `w` (out, in, ...), zeros of `pad` on both sides of each axis."""
    x = np.pad(x, [(0, 0), *((p, p) for p in pad)])
    axes = tuple(range(1, x.ndim))
    cut = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axes)
    cut = cut[:, ::stride] if x.ndim == 2 else cut
    names = "ft"[2 - len(axes) :]
    return np.einsum(f"c{names}{names.upper()},oc{names.upper()}->o{names}", cut, w, optimize=True) + b.reshape(
        -1, *[1] * len(axes)
    )


def max_pool(x, *sizes):
    """Without overlap, over the last axes."""
    for axis, size in enumerate(sizes, start=1):
        n = x.shape[axis] // size
        x = np.moveaxis(x, axis, -1)[..., : n * size]
        x = np.moveaxis(x.reshape(*x.shape[:-1], n, size).max(-1), -1, axis)
    return x


class Network:
    """A state dict that computes; `w` has the arrays by name."""

    def __init__(self, weights):
        self.w = weights

    def norm(self, x, name):
        g, b, m, v = (
            self.w[f"{name}.{part}"].reshape(-1, *[1] * (x.ndim - 1))
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - m) / np.sqrt(v + EPSILON) * g + b

    def conv(self, x, name, stride=1, pad=None):
        w = self.w[f"{name}.weight"]
        return conv(x, w, self.w[f"{name}.bias"], pad or [k // 2 for k in w.shape[2:]], stride)

    def dense(self, x, name):
        return self.w[f"{name}.weight"] @ x + self.w[f"{name}.bias"]

    def decibels(self, y):
        """The spectrogram with the file's own window and bands, in decibels and normalised: (1, bands, frames)."""
        frames = np.lib.stride_tricks.sliding_window_view(np.pad(y, 256, mode="reflect"), 512)[::256]
        power = np.abs(np.fft.rfft(frames * self.w["spec.spectrogram.window"])) ** 2
        mel = (power @ self.w["spec.mel_scale.fb"]).T
        return self.norm(10 * np.log10(np.maximum(mel, 1e-10))[None], "spec_bn")

    def gru(self, x, name, layer):
        """Over `x` (frames, inputs): all states (frames, units)."""
        w, u, b, c = (self.w[f"{name}.{kind}_l{layer}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        h, states = np.zeros(u.shape[1]), []
        for frame in x:
            (ri, zi, ni), (rh, zh, nh) = np.split(w @ frame + b, 3), np.split(u @ h + c, 3)
            r, z = sigmoid(ri + rh), sigmoid(zi + zh)
            h = (1 - z) * np.tanh(ni + r * nh) + z * h
            states.append(h)
        return np.array(states)

    def image(self, x, k, pool):
        return max_pool(relu(self.norm(self.conv(x, f"layer{k}.conv"), f"layer{k}.bn")), *pool)


def won_fcn(w, y):
    net = Network(w)
    x = net.decibels(y)
    for k, pool in enumerate([(2, 4), (2, 4), (2, 4), (3, 5), (4, 4)], start=1):
        x = net.image(x, k, pool)
    return sigmoid(net.dense(x[:, 0, 0], "dense"))


def won_crnn(w, y):
    net = Network(w)
    x = net.decibels(y)
    for k, pool in enumerate([(2, 2), (3, 3), (4, 4), (4, 4)], start=1):
        x = net.image(x, k, pool)
    x = net.gru(net.gru(x[:, 0].T, "layer5", 0), "layer5", 1)
    return sigmoid(net.dense(x[-1], "dense"))


def won_musicnn(w, y):
    net = Network(w)
    x = net.decibels(y)
    branches = [
        relu(net.norm(net.conv(x, f"layers.{k}.conv", pad=(0, 3)), f"layers.{k}.bn")).max(1, keepdims=True)[:, 0]
        for k in (0, 1)
    ]
    branches += [relu(net.norm(net.conv(x.mean(1), f"layers.{k}.conv"), f"layers.{k}.bn")) for k in (2, 3, 4)]
    levels = [np.concatenate(branches)]
    for k in (1, 2, 3):
        y = relu(net.norm(net.conv(levels[-1], f"layer{k}.conv"), f"layer{k}.bn"))
        levels.append(y if k == 1 else y + levels[-1])
    x = np.concatenate(levels)
    x = relu(net.norm(net.dense(np.concatenate([x.max(1), x.mean(1)]), "dense1"), "bn"))
    return sigmoid(net.dense(x, "dense2"))


def won_samplecnn(w, y):
    net, x = Network(w), y[None]
    for k in range(1, 12):
        x = relu(net.norm(net.conv(x, f"layer{k}.conv", stride=3 if k == 1 else 1), f"layer{k}.bn"))
        x = max_pool(x, 3) if 1 < k < 11 else x
    return sigmoid(net.dense(x[:, 0], "dense"))


def won_samplecnn_se(w, y):
    net, x = Network(w), y[None]
    for k in range(1, 12):
        stride, name = 3 if k == 1 else 1, f"layer{k}"
        out = relu(net.norm(net.conv(x, f"{name}.conv_1", stride), f"{name}.bn_1"))
        out = net.norm(net.conv(out, f"{name}.conv_2"), f"{name}.bn_2")
        gate = sigmoid(net.dense(relu(net.dense(out.mean(1), f"{name}.dense1")), f"{name}.dense2"))
        if f"{name}.conv_3.weight" in w:
            x = net.norm(net.conv(x, f"{name}.conv_3", stride), f"{name}.bn_3")
        x = relu(x + out * gate[:, None])
        x = max_pool(x, 3) if 1 < k < 11 else x
    return sigmoid(net.dense(relu(net.norm(net.dense(x[:, 0], "dense1"), "bn")), "dense2"))


def samplecnn_weights(squeeze, seed=0):
    """A state dict with the names and shapes of Won's SampleCNN, with or without squeeze-and-excitation."""
    rng, w = np.random.default_rng(seed), {}

    def layer(name, *shape):
        w[f"{name}.weight"] = rng.normal(0, 1.6 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        w[f"{name}.bias"] = rng.normal(0, 0.1, shape[0]).astype(np.float32)

    def norm(name, n):
        for part, low, high in (("weight", 0.8, 1.2), ("bias", -0.2, 0.2), ("running_mean", -0.1, 0.1)):
            w[f"{name}.{part}"] = rng.uniform(low, high, n).astype(np.float32)
        w[f"{name}.running_var"] = rng.uniform(0.5, 1.5, n).astype(np.float32)
        w[f"{name}.num_batches_tracked"] = np.array(7)

    widths = [1, 128, 128, 128, *[256] * 6, 512, 512]
    for k, (i, o) in enumerate(itertools.pairwise(widths), start=1):
        taps = 1 if k == 11 else 3
        if not squeeze:
            layer(f"layer{k}.conv", o, i, taps)
            norm(f"layer{k}.bn", o)
            continue
        for part, inputs in (("1", i), ("2", o), ("3", i))[: 3 if k == 1 or i != o else 2]:
            layer(f"layer{k}.conv_{part}", o, inputs, taps)
            norm(f"layer{k}.bn_{part}", o)
        layer(f"layer{k}.dense1", o, o)
        layer(f"layer{k}.dense2", o, o)
    if squeeze:
        layer("dense1", 512, 512)
        norm("bn", 512)
    layer("dense2" if squeeze else "dense", 50, 512)
    return w


class _Saved:
    """An array that pickles as PyTorch's tensors do."""

    def __init__(self, array, key):
        self.array, self.key = np.array(array, order="C"), key

    def __reduce__(self):
        a = self.array
        strides = tuple(s // a.itemsize for s in a.strides)
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (_Place(self), 0, a.shape, strides, False, OrderedDict())


class _Place:
    def __init__(self, saved):
        self.saved = saved


def _pickled(value):
    """Pickled with what PyTorch would name; its modules are stood in for while that is done."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for module, name in ((torch, "FloatStorage"), (torch, "LongStorage"), (utils, "_rebuild_tensor_v2")):
        exec(f"def {name}(): pass", module.__dict__)
        getattr(module, name).__module__ = module.__name__
    held = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules |= {"torch": torch, "torch._utils": utils}

    class Pickler(pickle._Pickler):
        def persistent_id(self, obj):
            if not isinstance(obj, _Place):
                return None
            kind = torch.LongStorage if obj.saved.array.dtype == np.int64 else torch.FloatStorage
            return "storage", kind, obj.saved.key, "cpu", obj.saved.array.size, None

    try:
        stream = io.BytesIO()
        Pickler(stream, protocol=2).dump(value)
        return stream.getvalue()
    finally:
        for name, module in held.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def save_torch(path, weights, zipped=False):
    """Write a state dict as `torch.save` does, in its format before 1.6 or, zipped, since."""
    saved = OrderedDict((name, _Saved(array, str(k))) for k, (name, array) in enumerate(weights.items()))
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", _pickled(saved))
            for each in saved.values():
                archive.writestr(f"archive/data/{each.key}", each.array.tobytes())
        return path
    with path.open("wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            file.write(pickle.dumps(value, protocol=2))
        file.write(_pickled(saved) + pickle.dumps([each.key for each in saved.values()], protocol=2))
        for each in saved.values():
            file.write(struct.pack("<q", each.array.size) + each.array.tobytes())
    return path
