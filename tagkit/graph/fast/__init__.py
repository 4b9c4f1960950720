"""Faster ways to compute the same numbers, up to rounding: one file for each trick, and one switch for all of them.

- `fold` (fold.py): a convolution whose stride is its kernel, by one matrix product
- `pieces` (pieces.py): the weight gradient of a long map, by the sum over pieces of it
- `still_bias` (bias.py): the gradient of a bias ahead of a batch norm, by the 0 that it is
- `fused_norm` (norm.py): batch norm from elementary operations, by TensorFlow's one kernel
- `compiled_pooling` (pooling.py): the gradient of max pooling on a long map, by a compiled function
- `pooling_first` (order.py): pooling behind ELU or ReLU, by pooling ahead of them
- `one_kernel_adam` (training.optimizers): Adam from elementary operations, by TensorFlow's one kernel

Layers and blocks ask `uses` when they are built or traced. To see whether a trick explains a difference, turn all of
them off with the environment variable TAGKIT_FAST=0, or some of them with `without`. Each is held against the plain
computation in `tests/graph/test_fast.py`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

TRICKS = (
    "fold",
    "pieces",
    "still_bias",
    "fused_norm",
    "compiled_pooling",
    "pooling_first",
    "one_kernel_adam",
)

_off = frozenset(TRICKS if os.environ.get("TAGKIT_FAST") == "0" else ())


def uses(trick: str) -> bool:
    """Whether networks that are built or traced now use this one of `TRICKS`."""
    return trick not in _off


@contextmanager
def without(*tricks: str) -> Iterator[None]:
    """Build and trace networks without these tricks, or without any of them if none is named.

    Raises
    ------
    ValueError
        There is no such trick.
    """
    global _off
    if unknown := sorted(set(tricks) - set(TRICKS)):
        raise ValueError(f"There is no trick {unknown[0]!r}: take one of {', '.join(TRICKS)}.")
    before, _off = _off, _off | frozenset(tricks or TRICKS)
    try:
        yield
    finally:
        _off = before
