"""The weight gradient of a convolution on a long map, summed over pieces of it.

To oneDNN, TensorFlow's library for CPUs, a map is an image of one row. It sums weight gradients row by row, and a row
that is longer than any cache takes 42 GFLOP/s a core where forward pass and input gradient reach 240. Pieces of 64 to
256 frames, as rows of their own, take 190; what taps see across the seam of two pieces is added by small products.

It applies to TensorFlow without a GPU, to 'same' convolutions without stride and dilation, and to maps of at least
`SHORTEST` frames that a length in `LENGTHS` divides; below, the seams cost more than the pieces gain.
"""

from keras import KerasTensor, ops

from tagkit.graph.fast.cpu import on_cpu

LENGTHS = range(64, 257)
SHORTEST = 1024


def length(frames: int, taps: int) -> int | None:
    """The shortest piece that divides a map of so many frames and is no shorter than the kernel; None: none pays."""
    if frames < SHORTEST or not on_cpu():
        return None
    return next((n for n in range(max(LENGTHS.start, taps), LENGTHS.stop) if frames % n == 0), None)


def convolve(x: KerasTensor, kernel: KerasTensor, piece: int) -> KerasTensor:
    """Convolve `x`, (batch, frames, channels), with `kernel`, (taps, channels, filters), padded 'same'."""
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(x, kernel):
        def gradients(dy):
            dx = _input_gradient(tf, x, kernel, dy)
            with tf.control_dependencies([dx]):  # both at once would share the cores, and the cache
                return dx, _kernel_gradient(tf, x, kernel, dy, piece)

        return ops.conv(x, kernel, padding="same", data_format="channels_last"), gradients

    return convolve(x, kernel)


def _input_gradient(tf, x: KerasTensor, kernel: KerasTensor, dy: KerasTensor) -> KerasTensor:
    """Gradient of the maps, as TensorFlow computes it: a map is an image of one row."""
    shape = tf.concat([tf.shape(x)[:1], [1], tf.shape(x)[1:]], 0)
    image = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=shape, filter=kernel[None], out_backprop=dy[:, None], strides=[1, 1, 1, 1], padding="SAME"
    )
    return image[:, 0]


def _kernel_gradient(tf, x: KerasTensor, kernel: KerasTensor, dy: KerasTensor, piece: int) -> KerasTensor:
    """Gradient of the kernel: that of the pieces, and what taps add that reach across a seam between two."""
    taps, channels, filters = kernel.shape
    x, dy = (tf.reshape(maps, (-1, maps.shape[1] // piece, piece, maps.shape[2])) for maps in (x, dy))
    within = tf.raw_ops.Conv2DBackpropFilter(
        input=tf.reshape(x, (-1, 1, piece, channels)),
        filter_sizes=[1, taps, channels, filters],
        out_backprop=tf.reshape(dy, (-1, 1, piece, filters)),
        strides=[1, 1, 1, 1],
        padding="SAME",
    )
    across = []
    for reach in range(-((taps - 1) // 2), taps // 2 + 1):  # frames from one of `dy` to the one of `x` under this tap
        if reach < 0:
            seen, at = x[:, :-1, reach:], dy[:, 1:, :-reach]
        else:
            seen, at = x[:, 1:, :reach], dy[:, :-1, piece - reach :]
        across.append(tf.matmul(tf.reshape(seen, (-1, channels)), tf.reshape(at, (-1, filters)), transpose_a=True))
    return within[0] + tf.stack(across)
