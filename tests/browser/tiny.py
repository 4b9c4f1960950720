"""Tiny networks of every family with random weights, and what Keras makes of a sound with them."""

import base64
import dataclasses

import keras
import numpy as np

from tagkit.graph import stages, zoo
from tagkit.graph.specs import Bank, Conv, Dense, Gru, Residual

SR, TAGS = 16_000, 5
FAMILIES = {
    "dm16": 16_384,
    "ds256rc": 20_000,
    "samplecnn": 2_187,
    "samplecnn_se": 2_187,
    "samplecnn_rese_multi": 2_187,
    "res13": 16_384,
    "dilated_res": 16_384,
    "mul16c": 32_768,
    "crnn_bi": 13_122,
    "crnn_mel": 70_000,
    "tdfbank": 20_000,
    "logmel": 20_000,
    "ds256fa": 20_000,
    "dm16_stochastic": 16_384,
    "musicnn": 16_000,
    "shortchunk_res": 16_000,
    "won_musicnn": 16_000,
    "won_samplecnn_se": 2_187,
    "crepe_tiny": 1_024,
}


def narrow(table: object) -> object:
    """The same table with a sixteenth of the width, at least three channels."""
    if isinstance(table, tuple):
        return tuple(narrow(part) for part in table)
    if not dataclasses.is_dataclass(table):
        return table
    changes = {field.name: narrow(getattr(table, field.name)) for field in dataclasses.fields(table)}
    if isinstance(table, Conv | Residual | Dense):
        changes["width"] = max(table.width // 16, 3)
    if isinstance(table, Gru):
        changes["units"] = max(table.units // 16, 3)
    if isinstance(table, Bank):
        changes["n_filters"] = 32
    return type(table)(**changes)


def network(name: str, seed: int = 0) -> keras.Model:
    """A narrow network of a row of the zoo, its norms as if it had learned."""
    row = zoo.ROWS[name]
    if "samplecnn" in name:  # six blocks are as good a test as nine
        row = dataclasses.replace(row, stages=row.stages[:7])
    return shaken(zoo.build(narrow(row), TAGS, FAMILIES[name]), seed)


def shaken(model: keras.Model, seed: int = 0) -> keras.Model:
    """The network with random norms and biases, which a new network has at 1 and 0."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed_generator" in weight.path:
            continue
        if weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) == 1 or weight.path.endswith("bias"):
            weight.assign(rng.normal(0, 0.2, weight.shape))
    return model


def sound(samples: int, seed: int = 0) -> np.ndarray:
    """Tones that come and go in noise."""
    rng, t = np.random.default_rng(seed), np.arange(samples) / SR
    tones = sum(np.sin(2 * np.pi * f * t) * (0.5 + 0.5 * np.sin(2 * np.pi * f / 150 * t)) for f in (220, 700, 2400))
    return (0.1 * tones + 0.05 * rng.standard_normal(samples)).astype(np.float32)


def golden(model: keras.Model, y: np.ndarray) -> dict[str, np.ndarray]:
    """Every stage's output for one window, as Keras computes it, without the batch axis; the logits come last."""
    outputs = stages(model)
    found = keras.Model(model.inputs[0], list(outputs.values()))(y[None, :, None], training=False)
    return {name: np.asarray(output)[0] for name, output in zip(outputs, found, strict=True)}


def text(values: np.ndarray | bytes) -> str:
    """Numbers or bytes in base64."""
    return base64.b64encode(values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes()).decode()


def numbers(text: str) -> np.ndarray:
    """Float32 numbers from base64."""
    return np.frombuffer(base64.b64decode(text), np.float32)
