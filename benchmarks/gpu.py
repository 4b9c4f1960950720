"""GPU: the training step on one, in TensorFlow and in PyTorch, or the command that measures it where there is one."""

import subprocess
import sys

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
    """Steps on a batch that lies on the GPU."""
    step, row = build_step(name)
    import tensorflow as tf

    x, y = map(tf.constant, batch(row))

    def job():
        for _ in range(STEPS):
            loss = step(x, y)
        return float(loss)

    return job


def pytorch_job(name: str):
    """The same in PyTorch."""
    from benchmarks.pytorch import Network, Step
    from tagkit.graph import zoo

    step, (x, y) = Step(Network(name), "cuda"), batch(zoo.find(name))
    return lambda: [step(x, y) for _ in range(STEPS)]
