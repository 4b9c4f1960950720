"""Which scores are the same music, and which part of the split each piece stands in.

Bach's chorales recur under several numbers, in other keys and with other passing notes; the corpus also holds some
files twice. Scores are one *piece* when

- they are movements of one work (a folder of the corpus), or
- any melodic line of one shares a passage of `PASSAGE` intervals with any line of the other, whatever the key, the
  rhythm and the place, repeated notes counted once and mere patterns (period up to half the passage) not counted, or
- their top lines, heard on the beats only, share a fifth of their groups of eight intervals: the same tune with other
  ornaments.
"""

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from tagkit.data.demo import scores
from tagkit.data.demo.scores import Score

PASSAGE = 16
TUNE = 8
SAME_TUNE = 0.2
# Dealt to the pieces in turn: 13 train, 2 valid and 5 test of 20, mixed so that each composer gets its share.
DEAL = tuple({"T": "train", "V": "valid", "E": "test"}[letter] for letter in "TETTVTTETTETTETVTTET")
LARGE = 10  # a piece of so many scores stands in train: one piece must not fill the test part


def find(pool: Sequence[Score]) -> np.ndarray:
    """Number of the piece of each score (scores,), counted from 0 in the order of the pool."""
    n = len(pool)
    links = sparse.coo_array((n, n), dtype=bool).tocsr()
    for keys in (_works(pool), [passages(score.notes) for score in pool]):
        links = links + (_shared(keys) > 0)
    tunes = [_tune(score.notes) for score in pool]
    shared = _shared(tunes).tocoo()
    sizes = np.array([max(len(tune), 1) for tune in tunes])
    same = shared.data >= SAME_TUNE * np.minimum(sizes[shared.row], sizes[shared.col])
    links = links + sparse.coo_array((same, (shared.row, shared.col)), shape=(n, n)).tocsr()
    return connected_components(links, directed=False)[1]


def split(pool: Sequence[Score], piece: np.ndarray) -> dict[int, str]:
    """Part (train, valid or test) of each piece: about 65, 10 and 25 %, the same for every seed and number of clips."""
    first = {number: pool[int(np.flatnonzero(piece == number)[0])] for number in np.unique(piece)}
    order = sorted(first, key=lambda number: (first[number].composer, first[number].name))
    parts = {int(number): DEAL[turn % len(DEAL)] for turn, number in enumerate(order)}
    counts = np.bincount(piece)
    return {number: "train" if counts[number] >= LARGE else part for number, part in parts.items()}


def passages(notes: np.ndarray, length: int = PASSAGE) -> np.ndarray:
    """Keys of all passages of `length` intervals in all lines, sorted and unique; key and rhythm do not matter."""
    keys = [_groups(line[:, 3], length) for part in scores.parts(notes) for line in _outer_lines(part)]
    return np.unique(np.concatenate(keys)) if keys else np.empty(0, np.int64)


def _outer_lines(part: np.ndarray) -> list[np.ndarray]:
    return [scores.line(part), scores.line(part, lowest=True)]


def _tune(notes: np.ndarray) -> np.ndarray:
    """Keys of the groups of `TUNE` intervals between the pitches of the highest part on each beat."""
    top = scores.line(max(scores.parts(notes), key=lambda part: part[:, 3].mean()))
    beats = np.arange(np.ceil(top[0, 1]), top[-1, 1] + 1)
    sounding = np.searchsorted(top[:, 1], beats + 1e-3) - 1
    return np.unique(_groups(top[sounding, 3], TUNE))


def _groups(pitch: np.ndarray, length: int) -> np.ndarray:
    """One int64 key for each group of `length` successive intervals, repeated pitches and mere patterns left out."""
    intervals = np.diff(pitch.astype(np.int64))
    intervals = intervals[intervals != 0]
    if len(intervals) < length:
        return np.empty(0, np.int64)
    groups = np.lib.stride_tricks.sliding_window_view(intervals, length)
    pattern = np.zeros(len(groups), bool)
    for period in range(1, length // 2 + 1):
        pattern |= (groups[:, period:] == groups[:, :-period]).all(axis=1)
    factors = np.random.default_rng(0).integers(1, 2**62, length, dtype=np.int64) | 1
    return (groups[~pattern] * factors).sum(axis=1)  # int64 wraps around: a hash of the group


def _works(pool: Sequence[Score]) -> list[np.ndarray]:
    """One key for each score: its folder where that is a work, else itself."""
    folders = [score.name.rsplit("/", 1)[0] for score in pool]
    works = {folder: number for number, folder in enumerate(sorted({f for f in folders if "/" in f}))}
    return [np.array([works.get(folder, -1 - number)]) for number, folder in enumerate(folders)]


def _shared(keys: Sequence[np.ndarray]) -> sparse.csr_array:
    """How many keys each pair of scores shares (scores, scores)."""
    lengths = [len(each) for each in keys]
    _, column = np.unique(np.concatenate(keys), return_inverse=True)
    row = np.repeat(np.arange(len(keys)), lengths)
    table = sparse.coo_array((np.ones(len(row), np.int32), (row, column))).tocsr()
    return (table @ table.T).tocsr()
