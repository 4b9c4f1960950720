"""What a teacher says of clips, window by window, and so of any stretch of them."""

from dataclasses import dataclass, field

import numpy as np


def starts(samples: int, window: int) -> np.ndarray:
    """Where a teacher's windows begin in a clip: every half window, and one that ends with the clip, (windows,).

    Parameters
    ----------
    samples, window
        Lengths in samples.
    """
    last = max(samples - window, 0)
    return np.unique(np.append(np.arange(0, last + 1, max(window // 2, 1)), last))


@dataclass(frozen=True)
class SoftLabels:
    """A teacher's scores for windows of clips.

    Attributes
    ----------
    scores : dict of int -> ndarray (windows, tags)
        By clip, in [0, 1]: of the windows that begin at `starts` of the clip's length.
    lengths : ndarray of int (all clips,)
        Samples.
    window : int
        Samples that the teacher hears at a time.
    """

    scores: dict[int, np.ndarray] = field(repr=False)
    lengths: np.ndarray = field(repr=False)
    window: int

    def of(self, clip: int, start: int, length: int) -> np.ndarray:
        """What the teacher says of a stretch of a clip, (tags,): the mean of its windows, weighted by their overlap."""
        begin = starts(int(self.lengths[clip]), self.window)
        overlap = np.minimum(begin + self.window, start + length) - np.maximum(begin, start)
        weights = np.maximum(overlap, 0)
        return (weights / weights.sum()) @ self.scores[clip].astype(np.float32)

    def whole(self, clips: np.ndarray) -> np.ndarray:
        """What it says of whole clips, (clips, tags)."""
        return np.stack([self.of(clip, 0, int(self.lengths[clip])) for clip in clips])
