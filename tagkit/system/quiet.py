"""Standard streams: closed ones, and TensorFlow's notes."""

import io
import os
import sys
import tempfile
from pathlib import Path


def import_tensorflow() -> None:
    """Import TensorFlow without its notes on missing GPUs, which no setting silences; a failing import shows them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
            tf.get_logger().setLevel("ERROR")  # it warns of networks that are called for many lengths of sound
        except BaseException:
            notes.seek(0)
            os.write(stderr, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def open_standard_streams() -> None:
    """Give a process that was started with a closed standard stream one that leads nowhere.

    Otherwise the next file that is opened takes its number, and receives what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for the rest of the process


def discard_output() -> None:
    """Send what is still to be written to standard output nowhere: the pipe that it led to is closed."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def write_any_name() -> None:
    """Have both streams write names of files in any encoding, where they are real streams and not a notebook's."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
