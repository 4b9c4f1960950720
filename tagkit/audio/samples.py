"""What is done to samples between a file, or an array, and a network."""

import numpy as np

# An offset that nobody hears moves the scores of a network that reads the waveform: see docs/datasets.md.
MOST_OFFSET = 1e-3
BLOCK_SAMPLES = 1 << 20


def remove_offset(y: np.ndarray) -> np.ndarray:
    """Subtract, in place, the mean of a clip if it is more than a thousandth of full scale; else change nothing.

    Parameters
    ----------
    y : array (samples,) of int16
        The whole of a clip.

    Returns
    -------
    y : the same array
        What would lie beyond the range of int16 is clipped.
    """
    offset = round(float(y.mean(dtype=np.float64)))
    if abs(offset) > MOST_OFFSET * 32_768:
        for start in range(0, len(y), BLOCK_SAMPLES):
            block = y[start : start + BLOCK_SAMPLES]
            np.clip(block.astype(np.int32) - offset, -32_768, 32_767, out=block, casting="unsafe")
    return y
