"""Music files of any format and length, cut into windows: what `tagkit tag` and `tagkit embed` share.

A file is cut into the windows of `tagkit.data.windows.window_starts` after rounding to 16 bits, as records are. Files
are decoded ahead, several at a time; windows of several files make up a batch; and a long file lies on disk, not in
memory.
"""

import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import joblib
import numpy as np

from tagkit import audio
from tagkit.data.windows import window_starts
from tagkit.graph.scorer import Scorer

# A sound of up to half an hour at 16 kHz is held in memory, a longer one in a nameless temporary file.
MOST_SAMPLES = 30 * 60 * 16_000

Source = str | Path | np.ndarray


@dataclass(frozen=True)
class Failed:
    """A file (or folder) that could not be used, and why: one sentence that names it."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Rows:
    """What a function of windows gave for all windows of one sound.

    Attributes
    ----------
    path : Path or None
        None where samples were given.
    samples : int
        Length of the sound.
    starts : ndarray of int (windows,)
        First sample of each window.
    rows : ndarray (windows, ...)
    """

    path: Path | None
    samples: int
    starts: np.ndarray
    rows: np.ndarray = field(repr=False)


class Sweep:
    """Scores every window of many sounds, with batches that span files.

    Parameters
    ----------
    scorer : Scorer
    sr : int
        Hz; files at other rates are resampled.
    """

    def __init__(self, scorer: Scorer, sr: int):
        self.scorer, self.window, self.sr = scorer, scorer.window, sr

    def one(self, source: Source, hop_s: float | None = None) -> Rows:
        """All windows of one sound.

        Parameters
        ----------
        source : path, or ndarray (samples,)
            A file, or samples at `sr`: float in [-1, 1), or int16.
        hop_s : float, optional
            A window every so many seconds; default: just those that cover the sound.

        Raises
        ------
        AudioError
            The file cannot be read.
        """
        y = self.samples(source)
        path = None if isinstance(source, np.ndarray) else Path(source)
        (result,) = self._all([_Waiting(path, y, self._starts(len(y), hop_s))])
        return result

    def samples(self, source: Source) -> np.ndarray:
        """A file, or samples at `sr`, as (samples,) of int16; AudioError where there are none."""
        if not isinstance(source, np.ndarray):
            return decode(source, self.sr)
        if source.ndim != 1 or not len(source):
            raise audio.AudioError(f"A sound is an array (samples,) of at least one, not one of shape {source.shape}.")
        return source if source.dtype == np.int16 else audio.to_int16(source)

    def each(self, sources: Iterable[str | Path | Failed], jobs: int | None = None) -> Iterator[Rows | Failed]:
        """All windows of many files; one result for each, in their order.

        Parameters
        ----------
        sources : iterable of paths
            As from `find_files`: what has failed there stays so.
        jobs : int, optional
            Files decoded at a time (default: one for each core). So many and as many again are decoded ahead.

        Yields
        ------
        Rows, or Failed where a file cannot be read
        """
        return self._all(
            sound if isinstance(sound, Failed) else _Waiting(path, sound, self._starts(len(sound)))
            for path, sound in _decode_ahead(sources, self.sr, jobs or joblib.cpu_count())
        )

    def _starts(self, samples: int, hop_s: float | None = None) -> np.ndarray:
        if hop_s is None:
            return window_starts(samples, self.window)
        hop = max(round(hop_s * self.sr), 1)
        return np.arange(0, max(samples - self.window, 0) + hop, hop)

    def _all(self, sounds: "Iterable[_Waiting | Failed]") -> Iterator[Rows | Failed]:
        """Fill batches with the windows of one sound after the other; give each result once its last window has one."""
        queue: deque[_Waiting | Failed] = deque()
        batch, owners = np.zeros((self.scorer.batch_size, self.window), np.int16), []
        for sound in sounds:
            queue.append(sound)
            for start in getattr(sound, "starts", ()):
                sound.cut(start, out=batch[len(owners)])
                owners.append(sound)
                if len(owners) == self.scorer.batch_size:
                    self._apply(batch, owners)
                    yield from _done(queue)
            yield from _done(queue)
        if owners:
            self._apply(batch, owners)
        yield from _done(queue)

    def _apply(self, batch: np.ndarray, owners: "list[_Waiting]") -> None:
        for owner, row in zip(owners, self.scorer.windows(batch), strict=False):  # the last batch may not be full
            owner.rows.append(row)
        owners.clear()


def find_files(sources: Iterable[str | Path]) -> Iterator[Path | Failed]:
    """Files as they are named, and the audio files below folders, sorted; hidden ones are passed over.

    Yields
    ------
    Path, or Failed for a folder that holds no file with an audio suffix
    """
    for source in map(Path, sources):
        if not source.is_dir():
            yield source
            continue
        names = sorted(p for p in source.rglob("*") if p.suffix.lower() in audio.SUFFIXES and p.is_file())
        shown = [p for p in names if not any(part.startswith(".") for part in p.relative_to(source).parts)]
        yield from shown or [Failed(source, f"{source} holds no audio file; name one, or a folder that holds some.")]


def decode(path: str | Path, sr: int, most_samples: int = MOST_SAMPLES) -> np.ndarray:
    """All samples of a file as int16, (samples,): what `audio.load_int16` gives, but in bounded memory.

    Beyond `most_samples` they lie in a temporary file without a name (below TMPDIR), and are mapped into memory.

    Raises
    ------
    AudioError
        As for `audio.load_int16`.
    """
    pieces, held = [], 0
    with tempfile.TemporaryFile() as spool:
        for piece in audio.stream(path, sr):
            pieces.append(piece)
            held += len(piece)
            if held > most_samples:
                spool.writelines(p.data for p in pieces)
                pieces.clear()
        if held <= most_samples:
            return np.concatenate(pieces)
        spool.flush()
        return np.memmap(spool, np.int16, "r")


@dataclass
class _Waiting:
    """A sound whose windows are on their way."""

    path: Path | None
    y: np.ndarray
    starts: np.ndarray
    rows: list[np.ndarray] = field(default_factory=list)

    def cut(self, start: int, out: np.ndarray) -> None:
        """Copy the window that begins at `start`, zero-padded, into `out` (window,)."""
        there = self.y[start : start + len(out)]
        out[: len(there)] = there
        out[len(there) :] = 0


def _done(queue: deque) -> Iterator[Rows | Failed]:
    """Take what is complete from the front of the queue."""
    while queue and (isinstance(queue[0], Failed) or len(queue[0].rows) == len(queue[0].starts)):
        first = queue.popleft()
        complete = isinstance(first, _Waiting)
        yield Rows(first.path, len(first.y), first.starts, np.stack(first.rows)) if complete else first


def _decode_ahead(
    sources: Iterable[str | Path | Failed], sr: int, jobs: int
) -> Iterator[tuple[Path, np.ndarray | Failed]]:
    """Decode files in threads (libsndfile, soxr and ffmpeg all work outside the interpreter's lock), in order."""
    futures: deque = deque()
    with ThreadPoolExecutor(jobs, "decode") as pool:
        try:
            for source in sources:
                futures.append(pool.submit(_decode_or_fail, source, sr))
                if len(futures) > 2 * jobs:
                    yield futures.popleft().result()
            while futures:
                yield futures.popleft().result()
        finally:
            for future in futures:
                future.cancel()


def _decode_or_fail(source: str | Path | Failed, sr: int) -> tuple[Path, np.ndarray | Failed]:
    if isinstance(source, Failed):
        return source.path, source
    path = Path(source)
    try:
        return path, decode(path, sr)
    except audio.AudioError as error:
        return path, Failed(path, str(error))
