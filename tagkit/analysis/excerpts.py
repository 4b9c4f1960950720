"""The moments of a portrait's clips that excite a channel most, as places in clips: what it sounds like to be heard.

Of every piece the strongest moment counts, so that one loud piece is not all that is heard. By these moments pieces
are ranked: "most" are the first, "median" the middle, and "least" the last, pieces that hardly excite the channel even
at their best.
"""

from dataclasses import dataclass

import numpy as np

from tagkit.analysis.portrait import Portrait

KINDS = ("most", "median", "least")
SECONDS = 1.5  # what one listens to


@dataclass(frozen=True)
class Moment:
    """The moment of a piece that excites a channel most.

    Attributes
    ----------
    clip_id, piece : str
    time_s : float
        The middle of what the channel saw, from the clip's start.
    seen_s : float
        How much of the clip it saw: the stage's receptive field.
    value : float
        Of the channel's map.
    rank : int
        Among the pieces, from 1.
    pieces : int
        How many there are.
    """

    clip_id: str
    piece: str
    time_s: float
    seen_s: float
    value: float
    rank: int
    pieces: int


def strongest(maxima: np.ndarray, pieces: np.ndarray) -> np.ndarray:
    """For every channel the clip of each piece with the highest maximum, the pieces ranked by it.

    Parameters
    ----------
    maxima : ndarray (clips, channels)
    pieces : ndarray of str (clips,)

    Returns
    -------
    ndarray of int (pieces, channels)
        Rows of `maxima`, the most exciting piece first.
    """
    best = []
    for piece in np.unique(pieces):
        own = np.flatnonzero(pieces == piece)
        best.append(own[maxima[own].argmax(axis=0)])
    rows = np.array(best)
    order = np.argsort(-np.take_along_axis(maxima, rows, axis=0), axis=0, kind="stable")
    return np.take_along_axis(rows, order, axis=0)


def ranks(kind: str, pieces: int, n: int) -> range:
    """Which ranks (from 0) "most", "median" or "least" are; ValueError for another `kind`."""
    n = min(n, pieces)
    if kind not in KINDS:
        raise ValueError(f"there is no kind of excerpt {kind!r}; use one of {', '.join(KINDS)}.")
    start = {"most": 0, "median": (pieces - n) // 2, "least": pieces - n}[kind]
    return range(start, start + n)


def moments(portrait: Portrait, stage: str, channel: int, kind: str = "most", n: int = 3) -> list[Moment]:
    """The moments of a portrait's clips that excite a channel most, middling or least, one of each piece.

    Parameters
    ----------
    kind : {"most", "median", "least"}
        The least of "least" comes first.
    n : int
        How many.

    Raises
    ------
    ValueError
        There is no such stage or kind.
    IndexError
        The stage has no such channel.
    """
    if stage not in portrait.stages:
        raise ValueError(f"{portrait.name} has no stage {stage!r}; choose one of {', '.join(portrait.stages)}.")
    heard, place = portrait.trained.heard, portrait.trained.probe.geometry[stage]
    if not 0 <= channel < place.channels:
        raise IndexError(f"{stage} has channels 0 to {place.channels - 1}, not {channel}")
    maxima, peaks = heard.maxima[stage][:, channel], heard.peaks[stage][:, channel]
    rows = strongest(maxima[:, None], portrait.pieces)[:, 0]
    chosen = ranks(kind, len(rows), n)
    return [
        Moment(
            clip_id=str(portrait.clips[row]),
            piece=str(portrait.pieces[row]),
            time_s=float(place.time(peaks[row])),
            seen_s=place.receptive_field / place.sr,
            value=float(maxima[row]),
            rank=rank + 1,
            pieces=len(rows),
        )
        for rank, row in ((rank, rows[rank]) for rank in (reversed(chosen) if kind == "least" else chosen))
    ]


def cut(y: np.ndarray, sr: int, time_s: float, seconds: float = SECONDS) -> np.ndarray:
    """What surrounds a moment of a clip `y` (samples,): `seconds` with it in the middle, or nearest to a border."""
    length = min(round(seconds * sr), len(y))
    start = int(np.clip(round((time_s - seconds / 2) * sr), 0, len(y) - length))
    return y[start : start + length]
