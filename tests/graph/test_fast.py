"""Networks with and without the tricks of `tagkit.graph.fast` compute the same."""

import functools
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tagkit.graph import fast, zoo
from tagkit.graph.literature import samplecnn
from tagkit.graph.specs import Row
from tagkit.training import losses, optimizers
from tagkit.training.config import TrainingConfig


def step(row):
    """One training step of a row: its maps' results by name, gradients by path, and steps of the weights by path."""
    model, config = zoo.build(row, n_tags=5), TrainingConfig(model=row, warmup=0)
    optimizer = optimizers.build_optimizer(config, config.schedule[0])
    # The last maps have one frame: of two examples, a norm makes 1 and -1, and its gradient is nothing but rounding.
    rng, n = np.random.default_rng(0), 8
    x = rng.normal(0, 0.1, (n, model.input_shape[1], 1)).astype("float32")
    y = (rng.random((n, 5)) < 0.4).astype("float32")
    learned = {v.path: v for v in model.trainable_variables}
    before = {path: v.numpy() for path, v in learned.items()}
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(losses.sigmoid_cross_entropy(y, logits))
    gradients = tape.gradient(loss, {path: v.value for path, v in learned.items()})
    optimizer.apply(list(gradients.values()), list(learned.values()))
    maps = {"logits": logits} | {v.path: v for v in model.non_trainable_variables if "moving" in v.path}
    steps = {path: v.numpy() - before[path] for path, v in learned.items()}
    numbers = ({name: np.asarray(a) for name, a in group.items()} for group in (maps, gradients, steps))
    return [w.path for w in model.weights], *numbers


fast_step = functools.cache(step)


SHORT_RESE = samplecnn("rese_3_8", n=8, block="rese")


@pytest.mark.parametrize(
    ("row", "tricks"),
    [
        # All of them are at work in it: its first map, of 6,561 frames, is a long one.
        *(("samplecnn_3_8", (trick,)) for trick in fast.TRICKS),
        *((row, ()) for row in ("dm16", "ds256ra", "mul16b", SHORT_RESE)),
    ],
    ids=lambda value: value.name if isinstance(value, Row) else None,
)
def test_a_step_is_the_same_with_and_without(row, tricks):
    with fast.without(*tricks):
        order, *plain = step(row)
    fast_order, *ours = fast_step(row)
    assert order == fast_order, "weights of either load into the other"
    for kind, a, b in zip(("maps", "gradients", "steps"), ours, plain, strict=True):
        for name, theirs in b.items():
            if kind != "maps" and name.endswith("conv/bias"):
                continue  # ahead of a norm: what Adam makes a step of is rounding
            difference = a[name] - theirs
            if kind == "steps":  # likewise where a gradient is next to nothing
                size = np.abs(plain[1][name])
                difference = difference * (size > 0.01 * size.max())
            difference = np.linalg.norm(difference) / max(np.linalg.norm(theirs), 1e-6)
            # In float32 SampleCNN's gradients are 1.5e-2 from those in float64, with the tricks and without.
            assert difference < {"maps": 1e-4, "gradients": 5e-3, "steps": 5e-2}[kind], (kind, name)


def test_without_tricks_operations_are_those_of_keras():
    def norms():
        model = zoo.build("dm16", n_tags=5)
        call = tf.function(lambda x: model(x, training=True), autograph=False)
        kinds = [op.type for op in call.get_concrete_function(tf.zeros((2, 38_832, 1))).graph.get_operations()]
        return kinds.count("FusedBatchNormV3"), kinds.count("Conv2D")

    assert norms() == (7, 6)  # the first convolution is a product
    with fast.without():
        assert norms() == (0, 7)


def test_a_trick_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no trick 'magic': take one of fold"), fast.without("magic"):
        pass


@pytest.mark.parametrize(("value", "used"), [("0", "False"), ("1", "True")])
def test_an_environment_variable_turns_all_off(value, used):
    code = "from tagkit.graph import fast; print({fast.uses(trick) for trick in fast.TRICKS})"
    environment = os.environ | {"TAGKIT_FAST": value}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{{{used}}}\n"
