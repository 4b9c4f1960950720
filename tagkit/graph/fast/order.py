"""Max pooling ahead of ELU and ReLU instead of behind them.

The maximum of what never falls is that of its argument: the same maps and gradients, from a third or a quarter of the
activations. It applies on every processor. Only a deconvnet sees a difference: where every ReLU of a region is off, its
switch is the greatest frame, where it was the first.
"""

from tagkit.graph import fast

RISING = ("elu", "relu")


def pools_first(pooling: str, activation: str) -> bool:
    """Whether this kind of pooling is built ahead of this activation."""
    return pooling == "max" and activation in RISING and fast.uses("pooling_first")
