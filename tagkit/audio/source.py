"""What decoders give: blocks of samples at a file's own rate."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

# Half a megabyte of floats stays in a core's cache from decoding to rounding, and malloc gives it again for the next
# block; an hour of audio is never in memory at its source rate.
BLOCK_VALUES = 1 << 17


@dataclass(frozen=True)
class Source:
    """An open file as one of the two decoders reads it.

    Attributes
    ----------
    sr : int
        Its own sampling rate in Hz.
    channels : int
    blocks : iterator of ndarray
        (frames, channels) of float32, or (frames,) of int16 where nothing is left to be done.
    lossy : bool
        Whether wild samples can only come from damage.
    complaints : list of str
        What the decoder said of this file; grows while blocks are read.
    """

    sr: int
    channels: int
    blocks: Iterator[np.ndarray]
    lossy: bool = False
    complaints: list[str] = field(default_factory=list)
