"""A convolution whose stride is its kernel, as one matrix product.

Its taps meet edge to edge, so a map that the stride divides evenly is cut into rows without copying. It applies to
first layers such as dm16's (16 samples every 16) and to kernels of one tap, on every processor.
"""

from keras import KerasTensor, ops


def fold(x: KerasTensor, kernel: KerasTensor) -> KerasTensor:
    """Convolve `x`, (batch, frames, channels), with `kernel`, (taps, channels, filters).

    Returns
    -------
    tensor (batch * frames / taps, filters)
    """
    taps, channels, filters = kernel.shape
    return ops.reshape(x, (-1, taps * channels)) @ ops.reshape(kernel, (taps * channels, filters))
