"""Where a network trains: one device, several in one process, or several machines, through `tf.distribute`.

The batch size is that of a whole step: its rows are shared out, gradients are added up, batch norm sees all of them.
So the layout changes the speed, and the result only by rounding. Dropout masks do differ between layouts.
"""

import json
import os
import re
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import ops

KINDS = ("all", "cpu", "gpu")


class DevicesError(ValueError):
    """The devices asked for are not there, or cannot be chosen any more."""


@dataclass(frozen=True)
class Devices:
    """Replicas of a network that train in step.

    Attributes
    ----------
    strategy : tf.distribute.Strategy
    process, processes : int
        Which of the processes of this training this is; process 0, the chief, is the one that writes.
    """

    strategy: tf.distribute.Strategy
    process: int = 0
    processes: int = 1

    @property
    def replicas(self) -> int:
        """Copies of the network in all processes."""
        return self.strategy.num_replicas_in_sync

    @property
    def chief(self) -> bool:
        """Whether this process is the one that writes."""
        return self.process == 0

    def check(self, batch_size: int) -> None:
        """DevicesError where a batch is too small to be shared out."""
        if batch_size < self.replicas:
            raise DevicesError(f"A batch of {batch_size} cannot be shared by {self.replicas} devices; make it larger.")

    def rows(self, size: int) -> slice:
        """The rows of something of this size (a batch, the clips to score) that this process deals with."""
        edges = self._edges(size)
        return slice(edges[0], edges[-1])

    def deal(self, batch: tuple[tf.Tensor, ...], size: int) -> tuple:
        """Give each replica of this process its part of `batch`: the process' rows of a batch of `size`."""
        if self.replicas == 1:
            return batch
        counts = np.diff(self._edges(size))
        first = self.process * len(counts)

        def spread(tensor: tf.Tensor) -> tf.distribute.DistributedValues:
            parts = tf.split(tensor, counts)
            values = self.strategy.experimental_distribute_values_from_function
            return values(lambda replica: parts[replica.replica_id_in_sync_group - first])

        return tuple(map(spread, batch))

    def total(self, values: np.ndarray) -> np.ndarray:
        """The sum of an array over all processes; every one of them has to ask, and is given the same."""
        if self.processes == 1:
            return values
        here, nothing = tf.constant(values), tf.zeros_like(values)
        first = self.process * (self.replicas // self.processes)
        dealt = self.strategy.experimental_distribute_values_from_function(
            lambda replica: here if replica.replica_id_in_sync_group == first else nothing
        )
        return self.strategy.reduce("SUM", dealt, axis=None).numpy()

    def share(self, values: np.ndarray) -> np.ndarray:
        """The chief's array; every process has to ask."""
        return self.total(values if self.chief else np.zeros_like(values))

    def any(self, condition: bool) -> bool:
        """Whether the condition holds in any of the processes."""
        return bool(self.total(np.float32([condition]))[0])

    def wait(self) -> None:
        """Return once all processes have come here."""
        self.total(np.zeros(1, np.float32))

    def part_seeds(self, model: keras.Model) -> None:
        """Let each replica draw random numbers of its own, from seeds that are the same so far."""
        states = [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]

        def shift():
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            for state in states:
                state.assign(state + ops.cast(ops.stack([number, 0]), state.dtype))

        if states and self.replicas > 1:
            tf.function(self.strategy.run, autograph=False)(shift)

    def _edges(self, size: int) -> list[int]:
        """Where the parts of this process' replicas begin, and where the last one ends."""
        each = self.replicas // self.processes
        edges = np.linspace(0, size, self.replicas + 1).round().astype(int)
        return edges[self.process * each : (self.process + 1) * each + 1].tolist()

    def describe(self) -> dict:
        """What a run's record says of its devices."""
        kind = "gpu" if tf.config.get_visible_devices("GPU") else "cpu"
        return {"kind": kind, "replicas": self.replicas, "processes": self.processes}


def choose(devices: str = "all") -> Devices:
    """The devices of a training; call it before TensorFlow computes anything.

    Parameters
    ----------
    devices : str
        "all": every GPU, or the CPU where there is none. "cpu", "gpu": only those; "gpu:2": so many of them; "cpu:2"
        makes two devices of the processor, which trains no faster but as two GPUs would.
        Where the environment variable TF_CONFIG names several machines, as managed training services and
        `tagkit launch` set it, the devices of all of them, as many on each.

    Raises
    ------
    DevicesError
        There are not so many devices, TF_CONFIG is not what TensorFlow expects, or TensorFlow is already at work.
    """
    match = re.fullmatch(rf"({'|'.join(KINDS)})(?::([1-9]\d*))?", devices)
    if not match or (match[1] == "all" and match[2]):
        raise DevicesError(f"devices is {devices!r}; choose all, cpu, gpu, or a number of them such as gpu:2.")
    process, processes = _place()
    try:
        replicas = _limit(match[1], int(match[2] or 0))
        if processes > 1:
            return Devices(tf.distribute.MultiWorkerMirroredStrategy(), process, processes)
    except RuntimeError as error:
        raise DevicesError(f"{error}: choose devices before anything is computed, in a new process.") from error
    if replicas > 1:
        return Devices(tf.distribute.MirroredStrategy())
    return Devices(tf.distribute.get_strategy())


def _place() -> tuple[int, int]:
    """This process' number among those that TF_CONFIG names to train, and how many they are."""
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return 0, 1
    try:
        config = json.loads(text)
        order = [(kind, i) for kind in ("chief", "worker") for i in range(len(config["cluster"].get(kind, ())))]
        return order.index((config["task"]["type"], int(config["task"]["index"]))), len(order)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DevicesError(f"TF_CONFIG names no chief or worker that this process is: {text}") from error


def _limit(kind: str, count: int) -> int:
    """Let TensorFlow see only these devices; returns how many replicas they make."""
    gpus = tf.config.list_physical_devices("GPU")
    if kind == "gpu" and len(gpus) < max(count, 1):
        raise DevicesError(f"{max(count, 1)} GPUs were asked for, but TensorFlow sees {len(gpus)}; see `nvidia-smi`.")
    if kind == "gpu" and count:
        tf.config.set_visible_devices(gpus[:count], "GPU")
    if kind != "cpu" and gpus:
        return count or len(gpus)
    if gpus:
        tf.config.set_visible_devices([], "GPU")
    if count > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return max(count, 1)
