"""Keras as the networks need it, whatever ~/.keras/keras.json, KERAS_BACKEND or a notebook asked for."""

import logging
import os

BACKEND, PRECISION = "tensorflow", "float32"
_asked: list[str] = []


def claim_backend() -> None:
    """Have Keras run on TensorFlow when it is imported, here and in child processes; `settle` says so."""
    asked = os.environ.get("KERAS_BACKEND") or BACKEND
    if asked != BACKEND:
        _asked.append(f"backend {asked}")
    os.environ["KERAS_BACKEND"] = BACKEND


def settle() -> None:
    """Set Keras' precision and data format, and log what was set aside.

    Raises
    ------
    ValueError
        Keras was imported with another backend before tagkit was.
    """
    import keras

    if keras.config.backend() != BACKEND:
        raise ValueError(
            f"Keras already runs on {keras.config.backend()} in this process, and tagkit needs {BACKEND}: import "
            f"tagkit before keras, or set KERAS_BACKEND={BACKEND}."
        )
    found = {
        "floatx": (keras.config.floatx(), PRECISION),
        "dtype policy": (keras.config.dtype_policy().name, PRECISION),
        "image_data_format": (keras.config.image_data_format(), "channels_last"),
        "epsilon": (keras.config.epsilon(), 1e-7),
    }
    if found["dtype policy"][0] == found["floatx"][0]:  # the one follows the other
        del found["dtype policy"]
    keras.config.set_floatx(PRECISION)
    keras.config.set_dtype_policy(PRECISION)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_epsilon(1e-7)
    aside = _asked + [f"{name} {there}" for name, (there, wanted) in found.items() if there != wanted]
    _asked.clear()
    if aside:
        logging.getLogger(__name__).warning(
            "tagkit sets aside your settings of Keras (%s): its networks run on %s in %s, channels last.",
            ", ".join(aside),
            BACKEND,
            PRECISION,
        )


def in_force() -> dict[str, str]:
    """The settings that a network is trained with, for its record."""
    import keras

    names = ("backend", "floatx", "image_data_format")
    return {name: getattr(keras.config, name)() for name in names} | {"keras": keras.__version__}
