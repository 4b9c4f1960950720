"""Last.fm tags for tracks that have none: every answer is kept on disk, so an interrupted run resumes."""

import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tagkit.system import extras, files
from tagkit.system.progress import progress_bar

if TYPE_CHECKING:
    import pylast

KEY = "LASTFM_API_KEY"
CALL_INTERVAL_S = 0.2  # Last.fm's terms of use: at most 5 calls a second
ATTEMPTS = 6
LONGEST_WAIT_S = 300.0
NOT_FOUND = "6"  # "invalid parameters": how Last.fm says that it knows no such track
BAD_KEY = ("4", "10", "26")
TRANSIENT = ("8", "11", "16", "29", "500", "502", "503", "504")
_IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CONSTRAINT)
# fmt: off
_NO_ACCESS = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM,
)
# fmt: on


class LastfmError(ValueError):
    """Last.fm cannot be asked, or its answers not be used; the message is one sentence with what to do."""


def collect(
    tracks: pd.DataFrame,
    store: str | Path,
    network: "pylast.LastFMNetwork | None" = None,
    progress: bool = True,
    sleep: Callable[[float], None] = time.sleep,
) -> pd.DataFrame:
    """Ask Last.fm for the top tags of tracks, and of the album where a track has none.

    At most 5 calls a second (Last.fm's terms): 106,574 tracks take at least six hours. Every answer is kept in
    `store`; call it again to resume an interrupted run.

    Parameters
    ----------
    tracks : DataFrame (tracks,)
        Indexed by track id, with `artist`, `title` and `album` (str), as `fma.read_tracks` gives it.
    store : path
        An SQLite file of answers; created if missing. The key is never stored.
    network : pylast.LastFMNetwork, optional
        Default: Last.fm, with the key in the environment variable LASTFM_API_KEY.
    progress : bool
        Show a progress bar.
    sleep : callable
        Called with the seconds to wait between attempts.

    Returns
    -------
    DataFrame
        `coverage` of the tracks.

    Raises
    ------
    LastfmError
        There is no key, Last.fm refuses it, or does not answer several times in a row; another process collects into
        `store`, or it cannot be written. What was answered is kept.
    """
    network = network or _network()
    network.disable_rate_limit()  # pylast's own lets every other call pass early
    pace = _Pace(CALL_INTERVAL_S)
    with _to_write(Path(store)) as answers:
        wanted = [
            row for row in tracks[["artist", "title", "album"]].itertuples(index=False) if row.artist and row.title
        ]
        for row in progress_bar(dict.fromkeys(wanted), "ask Last.fm", unit="track", disable=not progress):
            found = _ask(answers, network, "track", row.artist, row.title, pace, sleep)
            if not found and row.album:
                _ask(answers, network, "album", row.artist, row.album, pace, sleep)
    return coverage(tracks, store)


def coverage(tracks: pd.DataFrame, store: str | Path) -> pd.DataFrame:
    """How many tracks have tags, and whose.

    Returns
    -------
    DataFrame (outcomes,)
        `tracks` and `share` for each of: track tagged, album tagged (the track is not), track found without tags,
        album found without tags (the track is unknown), nothing found, not asked yet, no artist or title.

    Raises
    ------
    LastfmError
        `store` is missing, no store of answers, or cannot be read.
    """
    names = (
        "track tagged",
        "album tagged",
        "track found without tags",
        "album found without tags",
        "nothing found",
        "not asked yet",
        "no artist or title",
    )
    with _to_read(Path(store)) as answers:
        outcomes = pd.Series([_outcome(answers, row) for row in tracks.itertuples(index=False)], dtype="str")
    counts = outcomes.value_counts().reindex(names, fill_value=0)
    return pd.DataFrame({"tracks": counts, "share": counts / max(1, len(tracks))}).rename_axis("outcome")


def labels(tracks: pd.DataFrame, store: str | Path, k: int = 50, min_weight: int = 50) -> pd.DataFrame:
    """Labels from the collected tags, for `fma.read(..., tags="lastfm", lastfm=...)`.

    Parameters
    ----------
    tracks, store
        As in `collect`.
    k : int
        Keep the most frequent tags.
    min_weight : int
        The lowest weight at which a tag counts (0 to 100).

    Returns
    -------
    DataFrame (tracks with an answer that has tags, tags) of bool
        Tags by frequency, most frequent first.

    Raises
    ------
    LastfmError
        See `coverage`; also where no track has a tag of that weight.
    """
    # Millions of (track, tag) pairs with a million tags: only those that count are held, and no table of all of them.
    carried: dict[str, set[str]] = {}
    for clip_id, found in _tagged(tracks, Path(store)):
        carried.setdefault(clip_id, set()).update(tag for tag, weight in found.items() if weight >= min_weight)
    counts = Counter(tag for tags in carried.values() for tag in tags)
    if not counts:
        raise LastfmError(
            f"{store} has no tag of weight {min_weight} or more for any of {len(tracks)} tracks; collect them with "
            "`tagkit lastfm`, or use genres."
        )
    index = pd.Index(sorted(carried), name="clip_id", dtype="str")
    chosen = pd.Index(sorted(counts, key=lambda tag: (-counts[tag], tag))[:k], dtype="str")
    flags = [[tag in carried[clip_id] for tag in chosen] for clip_id in index]
    return pd.DataFrame(flags, index=index, columns=chosen, dtype=bool)


def _network() -> "pylast.LastFMNetwork":
    try:
        import pylast
    except ImportError as error:
        raise LastfmError(f"asking Last.fm needs pylast; {extras.install('lastfm')}.") from error
    key = os.environ.get(KEY, "").strip()
    if not key:
        raise LastfmError(f"{KEY} is not set; get a key at https://www.last.fm/api/account/create and export it.")
    return pylast.LastFMNetwork(api_key=key)


@contextmanager
def _to_write(path: Path) -> Iterator[sqlite3.Connection]:
    """The store, created if missing, for one process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    busy = LastfmError(f"{path} is being collected into by another process; wait for it.")
    lock = path.with_name(f".{path.name}.lock")
    with files.exclusive(lock, busy), _named(path), closing(sqlite3.connect(path)) as answers:
        answers.execute(
            "CREATE TABLE IF NOT EXISTS answers (kind TEXT, artist TEXT, title TEXT, found INTEGER, tags TEXT, "
            "PRIMARY KEY (kind, artist, title))"
        )
        yield answers


@contextmanager
def _to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """The store, which has to be there; nothing can be written into it."""
    if not path.is_file():
        raise LastfmError(f"{path} is not a file; check its name, or collect it with `tagkit lastfm`.")
    # rw and not ro: SQLite cannot read what a killed run left before it has undone the half-written answer.
    with _named(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as answers:
        answers.execute("PRAGMA query_only = ON")
        yield answers


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of SQLite as one sentence with the store and what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # without SQLite's further details
        if code in _IN_USE:
            hint = f"is in use by another process ({error}); wait for it and rerun the command"
        elif code in _NO_ACCESS:
            hint = f"cannot be read or written ({error}); make room or check the permissions, and rerun the command"
        else:
            hint = f"is no store of Last.fm answers ({error}); move it away to start anew"
        raise LastfmError(f"{path} {hint}.") from error


def _tagged(tracks: pd.DataFrame, path: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """Track id and the tags' weights of each track that has tags: its own, else its album's."""
    with _to_read(path) as answers:
        for clip_id, row in zip(tracks.index, tracks.itertuples(index=False), strict=True):
            for kind, title in (("track", row.title), ("album", row.album)):
                _, found = _answer(answers, kind, row.artist, title) or (False, {})
                if found:
                    yield clip_id, found
                    break


def _answer(answers: sqlite3.Connection, kind: str, artist: str, title: str) -> tuple[bool, dict[str, int]] | None:
    """Whether Last.fm knew it, and its tags; None where it was not asked."""
    query = "SELECT found, tags FROM answers WHERE kind = ? AND artist = ? AND title = ?"
    row = answers.execute(query, (kind, artist, title)).fetchone()
    return None if row is None else (bool(row[0]), json.loads(row[1]))


def _ask(
    answers: sqlite3.Connection,
    network: "pylast.LastFMNetwork",
    kind: str,
    artist: str,
    title: str,
    pace: "_Pace",
    sleep: Callable[[float], None],
) -> dict[str, int]:
    """The tags of a track or album, from the store or from Last.fm; every answer is on disk before the next call."""
    known = _answer(answers, kind, artist, title)
    if known is not None:
        return known[1]
    item = network.get_track(artist, title) if kind == "track" else network.get_album(artist, title)
    found, tags = _call(item.get_top_tags, f"{kind} {artist!r}, {title!r}", pace, sleep)
    answers.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", (kind, artist, title, found, json.dumps(tags)))
    answers.commit()
    return tags


class _Pace:
    """Keeps calls at least so many seconds apart."""

    def __init__(self, interval_s: float):
        self._interval_s = interval_s
        self._next = time.monotonic()

    def wait(self) -> None:
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + self._interval_s


def _call(
    top_tags: Callable[[], list], what: str, pace: _Pace, sleep: Callable[[float], None]
) -> tuple[bool, dict[str, int]]:
    import pylast

    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            sleep(min(LONGEST_WAIT_S, 2.0**attempt))
        pace.wait()
        try:
            given = top_tags()
        except pylast.WSError as error:
            if str(error.status) == NOT_FOUND:
                return False, {}
            if str(error.status) in BAD_KEY:
                raise LastfmError(f"Last.fm refuses the key ({error.details}); check {KEY}.") from error
            if str(error.status) not in TRANSIENT:
                raise LastfmError(f"Last.fm refuses to answer for {what} ({error.details}).") from error
            reason = error.details
        except (pylast.NetworkError, pylast.MalformedResponseError) as error:
            reason = " ".join(str(error.underlying_error).split()) or type(error.underlying_error).__name__
        else:
            return True, {tag.item.get_name().strip().lower(): int(tag.weight) for tag in reversed(given)}
    raise LastfmError(
        f"Last.fm did not answer for {what} ({reason}, {ATTEMPTS} times in a row); rerun the command later to resume."
    )


def _outcome(answers: sqlite3.Connection, row: object) -> str:
    if not row.artist or not row.title:
        return "no artist or title"
    track = _answer(answers, "track", row.artist, row.title)
    if track is None:
        return "not asked yet"
    if track[1]:
        return "track tagged"
    album = _answer(answers, "album", row.artist, row.album) if row.album else (False, {})
    if album is None:
        return "not asked yet"
    if album[1]:
        return "album tagged"
    if track[0]:
        return "track found without tags"
    return "album found without tags" if album[0] else "nothing found"
