"""TensorFlow, imported without its notes."""

import os
import pickle
import sys
import tempfile


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


def call(pickled: bytes, environment: dict[str, str]) -> None:
    """Call a function in a process that was just spawned, with TensorFlow imported first.

    Parameters
    ----------
    pickled : bytes
        The function and its arguments. Given as objects they would import TensorFlow, with its notes, on arriving.
    environment : dict
        Variables to set before, such as those by which TensorFlow chooses its threads and devices.
    """
    os.environ |= environment
    import_tensorflow()
    function, arguments = pickle.loads(pickled)  # noqa: S301 (its parent's, as all that multiprocessing hands over)
    function(*arguments)
