"""Decide whether to use the CPU-optimised kernels."""

import keras


def on_cpu() -> bool:
    """Whether TensorFlow is the backend and sees no GPU: on a GPU, these kernels would be slower."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf  # networks run without TensorFlow, too

    return not tf.config.list_physical_devices("GPU")
