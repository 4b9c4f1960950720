"""The gradient of a bias ahead of a batch norm, as the 0 that it is.

The norm subtracts the bias again, so its gradient is 0 but for rounding: to sum that up, the whole map is read, and
Adam makes whole steps of it. It applies ahead of norms that train, on every processor; not ahead of a frozen one.
"""

from keras import KerasTensor, ops


@ops.custom_gradient
def add_still_bias(x: KerasTensor, bias: KerasTensor) -> KerasTensor:
    """Add `bias`, (filters,), to `x`, (..., filters); its gradient is 0."""

    def gradients(*given, upstream=None):  # PyTorch names it, and passes x and bias as well
        return given[0] if upstream is None else upstream, ops.zeros_like(bias)

    return ops.add(x, bias), gradients
