"""tagkit's training step as contestants run it."""

import os
from collections.abc import Callable

import numpy as np

from tagkit.graph import specs

BATCH = 16


def batch(row: specs.Row, size: int = BATCH, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise as music has it in 16 bits, (size, samples) int16, and labels (size, 50) float32."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 3000, (size, row.samples)).astype(np.int16)
    return x, (rng.random((size, 50)) < 0.1).astype(np.float32)


def build_step(name: str) -> tuple[Callable, specs.Row]:
    """The step that `tagkit train` takes with its default settings, for a row of the zoo."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    from tagkit.graph import zoo
    from tagkit.training import losses, optimizers, step
    from tagkit.training.config import TrainingConfig
    from tagkit.training.devices import Devices

    tf.config.experimental.enable_op_determinism()  # as in training
    model, config = zoo.build(name), TrainingConfig().settled("multi-label")
    optimizer = optimizers.build_optimizer(config, config.schedule[0])
    optimizer.build(model.trainable_variables)
    one = Devices(tf.distribute.get_strategy())
    return step.build(model, optimizer, losses.named(config.loss), one, BATCH), zoo.find(name)


def keras_job(name: str, steps: int) -> Callable:
    """Some steps on one batch in memory."""
    step, row = build_step(name)
    import tensorflow as tf

    x, y = map(tf.constant, batch(row))
    return lambda: [float(step(x, y)) for _ in range(steps)]


def pytorch_job(name: str, steps: int) -> Callable:
    """The same network, batch, loss and optimizer in PyTorch."""
    # Its threads wait for each other by spinning, which on a machine that others use too costs it most of its speed.
    os.environ["OMP_WAIT_POLICY"] = "passive"
    import torch

    from benchmarks.pytorch import Network, Step
    from tagkit.graph import zoo

    step, (x, y) = Step(Network(name)), map(torch.from_numpy, batch(zoo.find(name)))
    return lambda: [float(step(x, y)) for _ in range(steps)]


def matmul_job(size: int, times: int) -> Callable:
    """Float32 matrix products (size, size), by the library that also computes the networks."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    a = tf.random.normal((size, size))
    product = tf.function(lambda a: tf.matmul(a, a))
    return lambda: [product(a).numpy()[0, 0] for _ in range(times)]


def differences(name: str) -> tuple[float, int, int]:
    """Largest difference of both networks' logits with the same weights, and the trainable parameters of each."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import torch

    from benchmarks.pytorch import Network
    from tagkit.graph import zoo

    model, twin = zoo.build(name), Network(name).eval()
    twin.adopt(model)
    x = np.random.default_rng(0).normal(0, 0.1, (2, model.input_shape[1], 1)).astype("f4")
    theirs = twin(torch.from_numpy(x.transpose(0, 2, 1).copy())).detach().numpy()
    ours = np.asarray(model(x, training=False))
    sizes = (
        sum(int(np.prod(w.shape)) for w in model.trainable_variables),
        sum(p.numel() for p in twin.parameters() if p.requires_grad),
    )
    return float(np.abs(ours - theirs).max()), *sizes


def profile(name: str, most: int = 12) -> str:
    """Where a step's time goes, by kind of operation: thread milliseconds, calls."""
    import collections
    import tempfile
    from pathlib import Path

    step, row = build_step(name)
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    x, y = map(tf.constant, batch(row))
    for _ in range(2):
        float(step(x, y))
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            float(step(x, y))
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    spent, calls = collections.Counter(), collections.Counter()
    for plane in space.planes:
        for event in (e for line in plane.lines for e in line.events):
            name = plane.event_metadata[event.metadata_id].name
            if ":" in name:  # NAME:OPERATION; all others are the runtime's own brackets around these
                kind = name.rpartition(":")[2].removeprefix("_MklNative")
                spent[kind] += event.duration_ps / 1e9
                calls[kind] += 1
    return "\n".join(f"{ms:8.1f} ms {calls[kind]:5d} x {kind}" for kind, ms in spent.most_common(most))
