"""What a training would take: built and tried for some seconds in a folder that is thrown away."""

import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tagkit.data.batches import training_batches
from tagkit.data.records import Records
from tagkit.graph.describe import describe_model
from tagkit.training import start
from tagkit.training.config import TrainingConfig
from tagkit.training.devices import Devices, choose

WARM_UP, MEASURED_S = 2, 3.0
CLIPS = 16  # validated, and extrapolated to all


@dataclass(frozen=True)
class Rehearsal:
    """What a training would take on this machine, as it is now.

    Attributes
    ----------
    config : TrainingConfig
        As a run would hold it.
    parameters : int
    window_s : float
        Length of a window, in seconds.
    windows : int or None
        Windows that make an example; None: an example is one window.
    train, valid : int
        Clips.
    tags : int
    step_s, validation_s : float
        Seconds of one step, with reading its batch, and of one validation.
    memory : dict of str -> float
        Most memory in use so far in GB, of this process and of each GPU.
    """

    config: TrainingConfig
    parameters: int
    window_s: float
    windows: int | None
    train: int
    valid: int
    tags: int
    step_s: float
    validation_s: float
    memory: dict[str, float]

    @property
    def validations(self) -> int:
        """How many there are if no patience ends the training sooner."""
        return -(-self.config.steps // self.config.eval_every)

    @property
    def total_s(self) -> float:
        """Seconds of all steps and validations."""
        return self.config.steps * self.step_s + self.validations * self.validation_s


def rehearse(config: TrainingConfig, records: Records, devices: Devices | None = None) -> Rehearsal:
    """Build a training, take some steps, validate some clips, and throw it all away.

    Parameters
    ----------
    devices
        Default: whatever is there.

    Raises
    ------
    TrainingError
        As for `tagkit.training.loop.train`.
    """
    devices = devices or choose()
    with tempfile.TemporaryDirectory(prefix="tagkit-") as folder:
        plan = start.decide(config, records, Path(folder), devices)
        training = start.build(plan)
        clips = plan.valid[np.linspace(0, len(plan.valid) - 1, min(CLIPS, len(plan.valid))).round().astype(int)]
        training.scorer(records, clips[:1])  # traces its graph
        started = time.perf_counter()
        training.scorer(records, clips)
        validation_s = (time.perf_counter() - started) * len(plan.valid) / len(clips)
        return Rehearsal(
            config=plan.config,
            parameters=describe_model(training.model)["parameters"],
            window_s=plan.run.windowing.samples / records.sr,
            windows=plan.run.windowing.windows,
            train=len(training.windows.indices),
            valid=len(plan.valid),
            tags=len(plan.run.tags),
            step_s=_step_seconds(training),
            validation_s=validation_s,
            memory=_memory(),
        )


def _step_seconds(training: start.Training) -> float:
    """Seconds of one step, as training takes them: with batches read ahead."""
    devices, size = training.plan.devices, training.plan.config.batch_size
    batches = iter(training_batches(training.windows, 0, 1 << 20, devices.rows(size)))
    for _ in range(WARM_UP):
        float(training.take_step(*next(batches)))
    steps, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < MEASURED_S or not steps:
        float(training.take_step(*next(batches)))  # waits for the result
        steps += 1
    return passed / steps


def _memory() -> dict[str, float]:
    unit = 1 if sys.platform == "darwin" else 1024  # of getrusage: bytes there, kilobytes elsewhere
    found = {"this process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9}
    for gpu in tf.config.list_logical_devices("GPU"):
        name = gpu.name.removeprefix("/device:")
        found[name] = tf.config.experimental.get_memory_info(name)["peak"] / 1e9
    return found
