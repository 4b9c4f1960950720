"""Whether layers compute in the ways that are faster where TensorFlow runs on a CPU."""

import keras


def on_cpu():
    """Whether the backend is TensorFlow, and sees no GPU, on which these ways would be slower."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf  # the network itself needs no TensorFlow

    return not tf.config.list_physical_devices("GPU")
