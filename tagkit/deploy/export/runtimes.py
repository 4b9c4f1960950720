"""The formats of model packages: how each is written, and opened by a runtime of its own."""

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tagkit.system import extras

Score = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes
    ----------
    file : str
        Name in the package.
    needs : tuple of str
        Modules beyond TensorFlow and Keras that writing and checking take.
    write : callable (model, path)
    open : callable (path) -> function from waveforms (batch, window) to scores (batch, tags)
    runtime : str
        What a user installs, for the card.
    """

    file: str
    needs: tuple[str, ...]
    write: Callable[[keras.Model, Path], None]
    open: Callable[[Path], Score]
    runtime: str


def check(form: str) -> None:
    """ValueError, with the command that installs them, where a format's modules are missing."""
    missing = [name for name in FORMATS[form].needs if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"Exporting {form} needs {', '.join(missing)}; {extras.install('export')}.")


def _write_keras(model: keras.Model, path: Path) -> None:
    model.save(path)


def _open_keras(path: Path) -> Score:
    return keras.saving.load_model(path, compile=False).predict_on_batch


def _open_savedmodel(path: Path) -> Score:
    loaded = tf.saved_model.load(path)
    return lambda x: loaded.serve(x).numpy()


def _open_onnx(path: Path) -> Score:
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return lambda x: session.run(None, {"waveform": x})[0]


def _open_litert(path: Path) -> Score:
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(str(path))
    source, result = net.get_input_details()[0]["index"], net.get_output_details()[0]["index"]

    def score(x: np.ndarray) -> np.ndarray:
        net.resize_tensor_input(source, x.shape)
        net.allocate_tensors()
        net.set_tensor(source, x)
        net.invoke()
        return net.get_tensor(result)

    return score


def _export(form: str) -> Callable[[keras.Model, Path], None]:
    def write(model: keras.Model, path: Path) -> None:
        with _quiet():
            model.export(path, format=form, verbose=False)

    return write


@contextlib.contextmanager
def _quiet():
    """The converters' chatter and deprecations, of which a user can do nothing; errors are raised as ever."""
    loggers = [logging.getLogger(name) for name in ("tensorflow", "tf2onnx", "absl")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


FORMATS = {
    "keras": Format("model.keras", (), _write_keras, _open_keras, "keras tensorflow"),
    "savedmodel": Format("savedmodel", (), _export("tf_saved_model"), _open_savedmodel, "tensorflow"),
    "onnx": Format("model.onnx", ("onnx", "tf2onnx", "onnxruntime"), _export("onnx"), _open_onnx, "onnxruntime"),
    "litert": Format("model.tflite", ("ai_edge_litert",), _export("litert"), _open_litert, "ai-edge-litert"),
}
