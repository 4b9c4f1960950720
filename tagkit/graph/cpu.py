"""Where the layers of `tagkit.graph` may take the ways that TensorFlow is faster by on a CPU."""

import keras


def on_cpu():
    """Whether the backend is TensorFlow, and sees no GPU, on which these ways would be slower."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf  # the network itself needs no TensorFlow

    return not tf.config.list_physical_devices("GPU")
