"""Folds for cross-validation: splits that follow from a name such as ``artist:2/5``, for any catalog.

In fold 2 of 5 the second fifth of the artists is the test part, the third fifth the validation part, and all others are
for training; every clip is in the test part of exactly one fold.
"""

import re

import numpy as np
import pandas as pd

from tagkit.data.groups import numbered, tag_counts

FEWEST = 3  # folds: one to test, one to validate, one to train
GROUPS = ("artist", "song", "clip")
_NAME = re.compile(r"(artist|song|clip):([1-9]\d*)/([1-9]\d*)")


def name(by: str, fold: int, folds: int) -> str:
    """The name of a fold's split; folds are counted from 1."""
    return f"{by}:{fold}/{folds}"


def names(by: str, folds: int) -> tuple[str, ...]:
    """The names of all folds' splits.

    Parameters
    ----------
    by : {"artist", "song", "clip"}
        What is never in two parts.
    folds
        At least 3.

    Raises
    ------
    ValueError
        There are too few folds, or none are made by this.

    Examples
    --------
    >>> names("artist", 3)
    ('artist:1/3', 'artist:2/3', 'artist:3/3')
    """
    if folds < FEWEST:
        raise ValueError(f"{folds} folds are too few: one tests, one validates, so at least {FEWEST} are needed.")
    if by not in GROUPS:
        raise ValueError(f"Folds cannot be made by {by!r}; choose {', '.join(GROUPS)}.")
    return tuple(name(by, fold, folds) for fold in range(1, folds + 1))


def is_fold(split: str) -> bool:
    """Whether a split's name is that of a fold."""
    return _NAME.fullmatch(split) is not None


def parts(split: str, clips: pd.DataFrame, labels: pd.DataFrame) -> pd.Series:
    """The part of each clip in a fold.

    Parameters
    ----------
    split
        Such as ``artist:2/5``.
    clips : DataFrame (clips,)
        With the columns `artist` and `song`; a clip without one is a group of its own.
    labels : DataFrame (clips, tags) of bool
        What is spread evenly over the folds.

    Returns
    -------
    Series (clips,) of str
        train, valid or test.

    Raises
    ------
    ValueError
        There is no such fold, or there are fewer groups than folds.
    """
    by, fold, folds = _NAME.fullmatch(split).groups()
    fold, folds = int(fold), int(folds)
    if split not in names(by, folds):
        raise ValueError(f"There is no fold {fold} of {folds}; folds are counted from 1 to {folds}.")
    codes, count = numbered(pd.Series("", clips.index) if by == "clip" else clips[by])
    if count < folds:
        raise ValueError(f"{count} groups by {by} cannot make {folds} folds; ask for fewer folds.")
    held = _dealt(codes, labels.to_numpy(bool), folds)[codes]
    named = np.full(len(clips), "train", object)
    named[held == fold % folds] = "valid"
    named[held == fold - 1] = "test"
    return pd.Series(named, clips.index, dtype="str")


def _dealt(codes: np.ndarray, labels: np.ndarray, folds: int) -> np.ndarray:
    """The fold of each group, (groups,), from 0: each goes where it leaves tags and clips spread most evenly.

    Groups that hold most are dealt first, as in scikit-learn's StratifiedGroupKFold, which takes one label a clip.
    """
    counts = tag_counts(codes, labels)
    shares = counts / counts.sum(axis=0)
    dealt, held = np.empty(len(counts), int), np.zeros((folds, shares.shape[1]))
    for group in np.argsort(-np.square(shares).sum(1), kind="stable"):
        # Adding to fold k changes the sum of squares over folds by 2 held_k . share + a constant.
        fold = int(np.argmin((held @ shares[group]).round(12)))
        held[fold] += shares[group]
        dealt[group] = fold
    return dealt
