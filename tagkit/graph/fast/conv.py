"""Keras' convolution along time, with three tricks."""

import keras
from keras import KerasTensor, layers, ops

from tagkit.graph import fast
from tagkit.graph.fast import pieces
from tagkit.graph.fast.bias import add_still_bias
from tagkit.graph.fast.fold import fold


@keras.saving.register_keras_serializable(package="tagkit")
class Conv1D(layers.Conv1D):
    """Keras' convolution, with `fold`, `pieces` and `still_bias`.

    It keeps the name of its base, by which Keras files weights: either loads those of the other.

    Parameters
    ----------
    bias_learns : bool
        False where a batch norm that trains comes next.
    """

    def __init__(self, *args: object, bias_learns: bool = True, **kwargs: object):
        super().__init__(*args, **kwargs)
        self.bias_learns = bias_learns

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """Convolve `inputs`, (batch, frames, channels), to (batch, frames, filters)."""
        still = self.use_bias and not self.bias_learns and fast.uses("still_bias")
        folds, piece = self.folds(inputs.shape[1]), self.piece(inputs.shape[1])
        if not (still or folds or piece):
            return super().call(inputs)
        inputs = ops.convert_to_tensor(inputs)
        kernel = ops.reshape(self.kernel, self.kernel.shape)  # custom gradients take tensors, not variables
        if folds:
            y = fold(inputs, kernel)
        elif piece:
            y = pieces.convolve(inputs, kernel, piece)
        else:
            how = {"strides": self.strides, "padding": self.padding, "dilation_rate": self.dilation_rate}
            y = ops.conv(inputs, kernel, **how, data_format="channels_last")
        if self.use_bias:
            y = (add_still_bias if still else ops.add)(y, ops.reshape(self.bias, (-1,)))
        if folds:  # only now: TensorFlow joins product and bias if nothing stands between them
            y = ops.reshape(y, (-1, inputs.shape[1] // self.strides[0], self.filters))
        return y if self.activation is None else self.activation(y)

    def folds(self, frames: int | None) -> bool:
        """Whether a map of so many frames is folded: each of them is read by exactly one frame of the result."""
        plain = self._plain() and self.strides == self.kernel_size and frames is not None
        return plain and frames % self.strides[0] == 0 and fast.uses("fold")

    def piece(self, frames: int | None) -> int | None:
        """Frames of a piece in which the weights of a map of so many frames learn; None: the map is left whole."""
        plain = self._plain() and self.strides == (1,) and self.padding == "same" and frames is not None
        return pieces.length(frames, self.kernel_size[0]) if plain and fast.uses("pieces") else None

    def _plain(self) -> bool:
        ordered = self.padding != "causal" and self.data_format == "channels_last"
        return ordered and self.dilation_rate == (1,) and self.groups == 1

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {**super().get_config(), "bias_learns": self.bias_learns}
