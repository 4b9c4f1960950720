"""GPU: the training step on one, in TensorFlow and in PyTorch, or the command that measures it where there is one."""

import collections
import os
import subprocess
import sys
from collections.abc import Iterable

from benchmarks.keras_step import BATCH, batch, build_step
from benchmarks.pairs import Contestant, Reading, Result, in_turns, ratios
from benchmarks.setting import Setting

NETWORKS = ("dm16", "samplecnn", "crnn")
STEPS = 50
SEEN = """
import os; os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf, torch
print(int(bool(tf.config.list_physical_devices("GPU")) and torch.cuda.is_available()))
"""
COMMAND = 'pip install -e ".[gpu]" && pip install torch && python -m benchmarks gpu'


def run(setting: Setting) -> Result:
    """Nothing is measured where TensorFlow or PyTorch sees no GPU."""
    seen = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, check=True, text=True).stdout
    if not int(seen.split()[-1]):
        return Result(notes=[f"No GPU was found here. On a machine with one: `{COMMAND}`"])
    result = Result()
    for name in NETWORKS:
        with Contestant(keras_job, name) as keras, Contestant(pytorch_job, name) as torch:
            ours, theirs = zip(*in_turns([keras, torch], setting.rounds), strict=True)
        result.readings += [
            Reading(f"{name}, tagkit", tuple(BATCH * STEPS / s.wall for s in ours), "examples/s"),
            Reading(f"{name}, tagkit over PyTorch", ratios(theirs, ours)),
        ]
    return result


def keras_job(name: str):
    """Steps on a batch that lies on the GPU; only the last loss is fetched."""
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # else there would be no memory left for the other one
    step, row = build_step(name)
    import tensorflow as tf

    with tf.device("GPU:0"):
        x, y = (tf.identity(tf.constant(a)) for a in batch(row))
    return lambda: _last(step(x, y) for _ in range(STEPS))


def pytorch_job(name: str):
    """The same in PyTorch."""
    import torch

    from benchmarks.pytorch import Network, Step
    from tagkit.graph import zoo

    step = Step(Network(name), "cuda")
    x, y = (torch.from_numpy(a).to("cuda") for a in batch(zoo.find(name)))
    return lambda: _last(step(x, y) for _ in range(STEPS))


def _last(losses: Iterable) -> float:
    """The last loss; that it is known ends the turn, as GPUs work while Python goes on."""
    (loss,) = collections.deque(losses, maxlen=1)
    return float(loss)
