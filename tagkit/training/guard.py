"""What surrounds a training: its folder is locked, Ctrl-C waits for the end of a step, and errors are sentences."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import tensorflow as tf

from tagkit.system import files
from tagkit.training.config import TrainingConfig
from tagkit.training.devices import Devices
from tagkit.training.runs import TrainingError

# What the remaining processes see when one is lost.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C or SIGTERM after its state had been saved; the same call resumes it."""


@contextmanager
def guarded(config: TrainingConfig, out: Path, devices: Devices) -> Iterator[threading.Event]:
    """Hold the run folder `out`, made if missing, and give the event that Ctrl-C and SIGTERM set.

    Raises
    ------
    TrainingError
        Another process trains there, the memory does not suffice, or another process of this training was lost.
    """
    out.mkdir(parents=True, exist_ok=True)
    taken = TrainingError(f"{out} is being trained by another process; choose another folder.")
    try:
        with ExitStack() as stack:
            if devices.chief:
                stack.enter_context(files.exclusive(out / ".lock", taken))
                files.sweep(out)
            yield stack.enter_context(_stop_signal())
    except tf.errors.ResourceExhaustedError as error:
        raise TrainingError(
            f"Batches of {config.batch_size} of {config.network} need more memory than there is; train into another "
            "folder with a smaller --batch-size."
        ) from error
    except _LOST as error:
        if devices.processes == 1:
            raise
        raise TrainingError(
            f"{out} is trained by {devices.processes} processes, and one was lost ({error.message.splitlines()[0]}); "
            "restart all of them to resume from the last checkpoint."
        ) from error


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, instead of breaking off in the middle of a step."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
