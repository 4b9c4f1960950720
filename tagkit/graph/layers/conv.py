"""Convolution along time as a Keras layer that is as fast on waveforms as the processor allows."""

import keras
from keras import layers, ops

from tagkit.graph.fast.cpu import on_cpu

# oneDNN sums a weight gradient row by row of a map, and a waveform's map is one row, longer than any cache. In pieces
# of so many frames it runs up to four times as fast; maps below `SHORTEST` frames gain less than the seams cost.
PIECES = range(64, 257)
SHORTEST = 1024


@keras.saving.register_keras_serializable(package="tagkit")
class Conv1D(layers.Conv1D):
    """Keras' convolution, with the same numbers up to rounding, computed in other ways where they are faster.

    - One whose stride is its kernel, on a map that it divides evenly, is one matrix product.
    - The weight gradient of a long map is summed over pieces of it: on TensorFlow without a GPU, without stride and
      dilation.

    Everywhere else this is the base class. It keeps its base's name, by which Keras files the weights: those saved of
    either load into the other.

    Parameters
    ----------
    bias_learns : bool
        False: the bias has gradient 0. Ahead of a batch norm that trains, which takes it out again, it has that anyway,
        but for rounding, and to sum it up reads the whole map. Not for a norm that is frozen.
    """

    def __init__(self, *args, bias_learns=True, **kwargs):
        super().__init__(*args, **kwargs)
        self.bias_learns = bias_learns

    def call(self, inputs):
        """Maps (batch, frames, width) of `inputs` (batch, frames, channels)."""
        if self.padding == "causal" or self.data_format != "channels_last":
            return super().call(inputs)
        inputs = ops.convert_to_tensor(inputs)
        kernel = ops.reshape(self.kernel, self.kernel.shape)  # a tensor: gradients of one's own refuse variables
        folds = self.folds(inputs.shape[1])
        y = _fold(inputs, kernel) if folds else self._convolve(inputs, kernel)
        if self.use_bias:
            y = (ops.add if self.bias_learns else _add_still)(y, ops.reshape(self.bias, (-1,)))
        if folds:  # now: TensorFlow makes product and bias one operation if nothing stands between them
            y = ops.reshape(y, (-1, inputs.shape[1] // self.strides[0], self.filters))
        return y if self.activation is None else self.activation(y)

    def _convolve(self, inputs, kernel):
        piece = self.piece(inputs.shape[1])
        if piece is not None and on_cpu():
            return _convolve_in_pieces(inputs, kernel, piece)
        how = {"strides": self.strides, "padding": self.padding, "dilation_rate": self.dilation_rate}
        return ops.conv(inputs, kernel, **how, data_format="channels_last")

    def folds(self, frames):
        """Whether every frame of a map of `frames` is read by one frame of the result."""
        plain = self.dilation_rate == (1,) and self.groups == 1
        return plain and self.strides == self.kernel_size and frames is not None and frames % self.strides[0] == 0

    def piece(self, frames):
        """Frames of a piece, the fewest of `PIECES` that cut a map of `frames` evenly; None: better left whole.

        A piece is no shorter than the kernel, which reaches into its neighbours and not beyond them.
        """
        plain = self.strides == (1,) and self.dilation_rate == (1,) and self.groups == 1 and self.padding == "same"
        if not plain or frames is None or frames < SHORTEST:
            return None
        lengths = range(max(PIECES.start, self.kernel_size[0]), PIECES.stop)
        return next((length for length in lengths if frames % length == 0), None)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "bias_learns": self.bias_learns}


@ops.custom_gradient
def _add_still(x, bias):
    def gradients(*given, upstream=None):  # PyTorch names it, and gives x and bias, too
        return given[0] if upstream is None else upstream, ops.zeros_like(bias)

    return ops.add(x, bias), gradients


def _fold(x, w):
    """Convolution by taps that neither overlap nor leave a gap, as a matrix product: (batch x frames, width)."""
    taps, channels, width = w.shape
    return ops.reshape(x, (-1, taps * channels)) @ ops.reshape(w, (taps * channels, width))


def _convolve_in_pieces(x, w, piece):
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(x, w):
        def gradients(dy):
            dx = _input_gradient(tf, x, w, dy)
            with tf.control_dependencies([dx]):  # both at once would share the cores, and the cache
                return dx, _kernel_gradient(tf, x, w, dy, piece)

        return ops.conv(x, w, padding="same", data_format="channels_last"), gradients

    return convolve(x, w)


def _input_gradient(tf, x, w, dy):
    """Gradient of the maps, as TensorFlow has it: a map is an image of one row."""
    shape = tf.concat([tf.shape(x)[:1], [1], tf.shape(x)[1:]], 0)
    image = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=shape, filter=w[None], out_backprop=dy[:, None], strides=[1, 1, 1, 1], padding="SAME"
    )
    return image[:, 0]


def _kernel_gradient(tf, x, w, dy, piece):
    """Gradient of the kernel: that of pieces on their own, and what taps add that reach over a seam between two."""
    taps, channels, width = w.shape
    x, dy = (tf.reshape(maps, (-1, maps.shape[1] // piece, piece, maps.shape[2])) for maps in (x, dy))
    within = tf.raw_ops.Conv2DBackpropFilter(
        input=tf.reshape(x, (-1, 1, piece, channels)),
        filter_sizes=[1, taps, channels, width],
        out_backprop=tf.reshape(dy, (-1, 1, piece, width)),
        strides=[1, 1, 1, 1],
        padding="SAME",
    )
    across = []
    for reach in range(-((taps - 1) // 2), taps // 2 + 1):  # frames from one of `dy` to the one of `x` under this tap
        if reach < 0:
            seen, at = x[:, :-1, reach:], dy[:, 1:, :-reach]
        else:
            seen, at = x[:, 1:, :reach], dy[:, :-1, piece - reach :]
        across.append(tf.matmul(tf.reshape(seen, (-1, channels)), tf.reshape(at, (-1, width)), transpose_a=True))
    return within[0] + tf.stack(across)
