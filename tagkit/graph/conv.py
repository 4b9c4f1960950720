"""Convolution along time as a Keras layer that learns faster on long maps."""

import keras
from keras import layers, ops

# oneDNN sums a weight gradient row by row of a map, and a waveform's map is one row, longer than any cache. In pieces
# of so many frames it runs up to four times as fast; maps below `SHORTEST` frames gain less than the cutting costs.
PIECES = range(64, 257)
SHORTEST = 1024


@keras.saving.register_keras_serializable(package="tagkit")
class Conv1D(layers.Conv1D):
    """Keras' convolution, with the same numbers up to rounding, whose weight gradient is summed over pieces of a map.

    Wherever that does not pay or apply (another backend, a GPU, short maps, strides, dilation) this is the base class.
    It keeps its base's name, by which Keras files the weights: those saved of either load into the other.
    """

    def call(self, inputs):
        """Maps (batch, frames, width) of `inputs` (batch, frames, channels)."""
        piece = self.piece(inputs.shape[1])
        if piece is None or not _on_cpu():
            return super().call(inputs)
        y = _convolve(ops.convert_to_tensor(inputs), ops.convert_to_tensor(self.kernel), piece)
        y = ops.add(y, self.bias) if self.use_bias else y
        return y if self.activation is None else self.activation(y)

    def piece(self, frames):
        """Frames of a piece, the fewest of `PIECES` that cut a map of `frames` evenly; None: better left whole.

        A piece is no shorter than the kernel, which reaches into its neighbours and not beyond them.
        """
        plain = self.strides == (1,) and self.dilation_rate == (1,) and self.groups == 1 and self.padding == "same"
        if not plain or self.data_format != "channels_last" or frames is None or frames < SHORTEST:
            return None
        lengths = range(max(PIECES.start, self.kernel_size[0]), PIECES.stop)
        return next((length for length in lengths if frames % length == 0), None)


def _on_cpu():
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def _convolve(x, w, piece):
    import tensorflow as tf  # the network itself needs no TensorFlow

    @tf.custom_gradient
    def convolve(x, w):
        def gradients(dy):
            dx = _input_gradient(tf, x, w, dy)
            with tf.control_dependencies([dx]):  # both at once would share the cores, and the cache
                return dx, _kernel_gradient(tf, x, w, dy, piece)

        return ops.conv(x, w, padding="same", data_format="channels_last"), gradients

    return convolve(x, tf.convert_to_tensor(w))  # Keras hands over the variable, which custom_gradient refuses


def _input_gradient(tf, x, w, dy):
    """Gradient of the maps, as TensorFlow has it: a map is an image of one row."""
    shape = tf.concat([tf.shape(x)[:1], [1], tf.shape(x)[1:]], 0)
    image = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=shape, filter=w[None], out_backprop=dy[:, None], strides=[1, 1, 1, 1], padding="SAME"
    )
    return image[:, 0]


def _kernel_gradient(tf, x, w, dy, piece):
    """Gradient of the kernel: each piece of `dy` against its piece of `x` and the frames that taps reach beyond."""
    taps, channels, width = w.shape
    before, after = (taps - 1) // 2, taps // 2
    pieces = tf.reshape(x, (-1, x.shape[1] // piece, piece, channels))
    left = tf.pad(pieces[:, :-1, piece - before :], [[0, 0], [1, 0], [0, 0], [0, 0]])
    right = tf.pad(pieces[:, 1:, :after], [[0, 0], [0, 1], [0, 0], [0, 0]])
    wide = tf.concat([left, pieces, right], 2)
    gradient = tf.raw_ops.Conv2DBackpropFilter(
        input=tf.reshape(wide, (-1, 1, before + piece + after, channels)),
        filter_sizes=[1, taps, channels, width],
        out_backprop=tf.reshape(dy, (-1, 1, piece, width)),
        strides=[1, 1, 1, 1],
        padding="VALID",
    )
    return gradient[0]
