"""Groups of clips that belong together, such as an artist's: their numbers, and what each holds of every tag."""

import numpy as np
import pandas as pd


def numbered(groups: pd.Series) -> tuple[np.ndarray, int]:
    """The number of each clip's group, (clips,), in the order of the groups' names, and how many groups there are.

    Parameters
    ----------
    groups : Series (clips,) of str
        Clips without a group ("") are each their own.
    """
    named = [group or f"\0{clip}" for clip, group in groups.items()]
    codes, names = pd.factorize(np.array(named, object), sort=True)
    return codes, len(names)


def tag_counts(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many clips with each tag a group holds, and, last, how many clips: (groups, tags that some clip has + 1).

    Parameters
    ----------
    codes : ndarray of int (clips,)
        From `numbered`.
    labels : ndarray of bool (clips, tags)
    """
    flags = np.column_stack([labels, np.ones(len(codes), bool)])
    counts = np.stack([np.bincount(codes, flag, codes.max() + 1) for flag in flags.T], axis=1)
    return counts[:, counts.any(axis=0)]
