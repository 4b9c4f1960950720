"""The pool of a listening page: short excerpts of music that excite its channels most, middling and least.

Hundreds of channels share one pool that a page can carry: an excerpt is chosen because it is among the most exciting
ones of many channels, and every channel points at the excerpts that are its own.
"""

import heapq
import io
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import soundfile as sf

from tagkit.analysis import excerpts, sonify
from tagkit.analysis.portrait import Portrait
from tagkit.data.records import Records
from tagkit.listening.html import MAX_POOL_BYTES
from tagkit.listening.packing import MP3_RATES, Packed, extended

STEP_S, MARGIN_S = 0.25, 0.25  # where excerpts may start, and how far from its ends the moment lies at least
WANTED = {"most": 2, "median": 1, "least": 1}  # excerpts of each channel
TOP = 6  # any of so many pieces is one that excites a channel most
SHARE = 0.1  # of the pieces are middling, and so many are the last ones

Wish = tuple[int, str, int, str]  # network, stage, channel, kind
Place = tuple[int, int]  # clip (row of the portraits), start in steps


def accepted(kind: str, pieces: int) -> range:
    """The ranks (from 0) of pieces that pass for "most", "median" or "least"."""
    few = min(TOP, max(pieces // 3, 1))
    return excerpts.ranks(kind, pieces, few if kind == "most" else max(round(SHARE * pieces), few))


def choose(
    reached: Mapping[Place, Iterable[tuple[Wish, int]]], fits: Callable[[Place], bool]
) -> dict[Wish, dict[int, Place]]:
    """Choose places that together grant as many wishes as possible, until one no longer fits.

    Parameters
    ----------
    reached : dict of Place -> iterable of (Wish, rank)
        Which wishes a place would grant, and with a piece of which rank.
    fits : callable
        Asked once of each place that is about to be chosen.

    Returns
    -------
    dict of Wish -> dict of int -> Place
        By rank, the places for each wish that is granted: as many as `WANTED` says, at most.

    Notes
    -----
    Greedy: each next place is the one that grants most of what is still wished for.
    """
    granted: dict[Wish, dict[int, Place]] = {}
    options = {place: set(wishes) for place, wishes in reached.items()}

    def new(place: Place) -> list[tuple[Wish, int]]:
        found = {}
        for wish, rank in sorted(options[place]):
            had = granted.get(wish, {})
            if len(had) < WANTED[wish[-1]] and rank not in had:
                found.setdefault(wish, rank)
        return list(found.items())

    queue = [(-len(wishes), place) for place, wishes in options.items()]
    heapq.heapify(queue)
    while queue:
        _, place = heapq.heappop(queue)  # what it grants can only have shrunk: look again before it is taken
        gains = new(place)
        if queue and len(gains) < -queue[0][0]:
            heapq.heappush(queue, (-len(gains), place))
        elif gains:
            if not fits(place):
                break
            for wish, rank in gains:
                granted.setdefault(wish, {})[rank] = place
    return granted


def add(packed: Packed, portraits: Sequence[Portrait], records: Records, max_bytes: int = MAX_POOL_BYTES) -> Packed:
    """Add to a page's data the excerpts that its channels point at.

    Parameters
    ----------
    packed : Packed
    portraits : sequence of Portrait
        Of the page's networks, in their order, all of the same clips.
    records : Records
        Hold the portraits' clips.
    max_bytes : int
        Of the excerpts in the page.

    Raises
    ------
    ValueError
        The portraits are not of the same clips.
    """
    if any(not np.array_equal(each.clips, portraits[0].clips) for each in portraits):
        raise ValueError("The portraits of a page must be of the same clips; measure them with the same settings.")
    contents: dict[Place, bytes] = {}

    def fits(place: Place) -> bool:
        content = encode(_sound(records, portraits[0], place), records.sr)
        if sum(map(len, contents.values())) + len(content) > max_bytes * 3 // 4:  # base64 makes four bytes of three
            return False
        contents[place] = content
        return True

    granted = choose(_reached(packed.header, portraits), fits)
    starts, blob = extended(packed, list(contents.values()))
    pool = [
        _described(records, portraits[0], place) | {"mp3": {"at": at, "bytes": len(content)}}
        for (place, content), at in zip(contents.items(), starts, strict=True)
    ]
    models = [_pointing(m, model, granted, list(contents)) for m, model in enumerate(packed.header["models"])]
    pieces = len(set(portraits[0].pieces))
    return Packed(packed.header | {"models": models, "pool": pool, "pool_pieces": pieces}, blob)


def encode(y: np.ndarray, sr: int) -> bytes:
    """A short sound (samples,) as MP3, levelled: about 32 kbit/s at 16 kHz, with what lies below 7.2 kHz."""
    buffer = io.BytesIO()
    settings = {"format": "MP3", "subtype": "MPEG_LAYER_III", "compression_level": 0.7, "bitrate_mode": "VARIABLE"}
    if sr not in MP3_RATES:
        raise ValueError(f"An MP3 cannot have a rate of {sr} Hz; prepare records at 16000 Hz.")
    sf.write(buffer, sonify.level(y), sr, **settings)
    return buffer.getvalue()


def _reached(header: Mapping, portraits: Sequence[Portrait]) -> dict[Place, list[tuple[Wish, int]]]:
    """By place, the wishes that an excerpt from there grants, each with the rank of its piece."""
    reached: dict[Place, list[tuple[Wish, int]]] = {}
    for m, (model, portrait) in enumerate(zip(header["models"], portraits, strict=True)):
        heard = portrait.trained.heard
        for stage in model["stages"]:
            name, shown = stage["name"], [each["index"] for each in stage["channels"]]
            rows = excerpts.strongest(heard.maxima[name][:, shown], portrait.pieces)
            for column, channel in enumerate(shown):
                for kind in excerpts.KINDS:
                    for rank in accepted(kind, len(rows)):
                        row = rows[rank, column]
                        time_s = portrait.trained.probe.geometry[name].time(heard.peaks[name][row, channel])
                        for start in _starts(float(time_s)):
                            reached.setdefault((int(row), start), []).append(((m, name, channel, kind), rank))
    return reached


def _starts(time_s: float) -> range:
    """The starts, in steps, of excerpts that have a moment well inside; from 0 where it lies near a clip's start."""
    first = int(np.ceil((time_s - excerpts.SECONDS + MARGIN_S) / STEP_S))
    return range(max(first, 0), max(int((time_s - MARGIN_S) // STEP_S), 0) + 1)


def _sound(records: Records, portrait: Portrait, place: Place) -> np.ndarray:
    row, start = place
    y = records.waveform(portrait.clips[row])
    return excerpts.cut(y, records.sr, start * STEP_S + excerpts.SECONDS / 2)


def _described(records: Records, portrait: Portrait, place: Place) -> dict:
    clip = records.catalog[portrait.clips[place[0]]]
    return {"title": clip.name, "tags": list(clip.tags), "start_s": place[1] * STEP_S}


def _pointing(m: int, model: Mapping, granted: Mapping[Wish, Mapping[int, Place]], places: Sequence[Place]) -> dict:
    """The description of a network whose channels point into the pool: [excerpt, rank from 1], the extreme first."""
    number = {place: i for i, place in enumerate(places)}

    def pointers(stage: str, channel: int, kind: str) -> list[list[int]]:
        found = granted.get((m, stage, channel, kind), {})
        ranked = sorted(found.items(), reverse=kind == "least")
        return [[number[place], rank + 1] for rank, place in ranked]

    stages = [
        stage
        | {
            "channels": [
                each | {"moments": {kind: pointers(stage["name"], each["index"], kind) for kind in excerpts.KINDS}}
                for each in stage["channels"]
            ]
        }
        for stage in model["stages"]
    ]
    return dict(model) | {"stages": stages}
