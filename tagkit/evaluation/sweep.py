"""A network applied to music files of any format and length: what `tagkit tag` and `tagkit embed` share.

Files are rounded to 16 bits and cut by `tagkit.data.windows.window_starts`, just as records are. Several files are
decoded ahead, a batch holds windows of several files, and long files are kept on disk rather than in memory.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Self, TypeVar

import joblib
import keras
import numpy as np

from tagkit import audio
from tagkit.data.windows import window_starts
from tagkit.graph.scorer import Scorer
from tagkit.system import paths
from tagkit.training import imported
from tagkit.training.runs import Run

USUAL = "musicnn-mtat"  # what tags files unless another network is named

Source = str | Path | np.ndarray | Sequence[float]
Found = TypeVar("Found")


class TaggingError(ValueError):
    """There is no network to apply to files, or it cannot be applied; the message says what to do."""


@dataclass(frozen=True)
class Failed:
    """A file or folder that could not be used; `reason` is one sentence that names it."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Rows:
    """What a network gave for the windows of one sound.

    Attributes
    ----------
    path : Path or None
        None where samples were given.
    samples : int
        Length of the sound.
    starts : ndarray of int (windows,)
        First sample of each window.
    rows : ndarray (windows, ...)
    remarks : tuple of str
        What is unusual about the sound, see `tagkit.audio.Decoded`.
    silent : bool
        Whether there is nothing to hear.
    level_db : float
        RMS level, dBFS.
    """

    path: Path | None
    samples: int
    starts: np.ndarray
    rows: np.ndarray = field(repr=False)
    remarks: tuple[str, ...] = ()
    silent: bool = False
    level_db: float = np.nan

    @property
    def mean(self) -> np.ndarray:
        """The mean over the windows, float32 (...)."""
        return self.rows.mean(0, dtype=np.float64).astype(np.float32)


class Sweep(ABC, Generic[Found]):
    """A trained network applied to every window of music files, with batches that span files.

    Parameters
    ----------
    run : Run
    batch_size : int, optional
        Windows at a time; default as for `tagkit.graph.scorer.Scorer`.

    Raises
    ------
    TaggingError
        The network takes all windows of a clip at once.
    """

    def __init__(self, run: Run, batch_size: int | None = None):
        self.run, self.sr, self.model = run, run.record["row"]["sr"], run.model()
        if len(self.model.input_shape) != 3:
            raise TaggingError(
                f"{run.root} sees all windows of a clip at once, but files have any length: choose a run of a network "
                "that sees one window."
            )
        self.scorer = Scorer(self.model, batch_size, run.exclusive, self.output)
        self.window = self.scorer.window

    @property
    def output(self) -> keras.KerasTensor | None:
        """What is computed of each window; None: the probabilities of the tags."""
        return None

    @abstractmethod
    def describe(self, rows: Rows) -> Found:
        """Make a result of what the network gave for the windows of one sound."""

    @classmethod
    def open(cls, root: str | Path | None = None) -> Self:
        """Use the run in a folder, a published network by its name, or what `find_run` takes by default."""
        return cls(find_run(root))

    def __call__(self, source: Source, hop_s: float | None = None, sr: int | None = None) -> Found:
        """Apply the network to one sound.

        Parameters
        ----------
        source : path, or array (samples,)
            A file, or samples: float in [-1, 1), or int16. They are checked, resampled and rounded as a file's are.
        hop_s : float, optional
            Start a window every so many seconds, for finer detail; the mean then differs a little from the usual one.
            Default: only the windows that cover the sound, as `tagkit evaluate` takes them.
        sr : int
            Sampling rate of an array, in Hz; a file says its own.

        Raises
        ------
        AudioError
            The file or the array cannot be used.
        TaggingError
            The scores are not finite, or `hop_s` is not above 0.
        """
        if hop_s is not None and not 0 < hop_s < np.inf:
            raise TaggingError(f"hop_s is {hop_s}; windows start a number of seconds above 0 apart.")
        sound = self.sound(source, sr)
        path = Path(source) if isinstance(source, str | Path) else None
        (rows,) = self._all([self._waiting(path, sound, hop_s)])
        return self.describe(rows)

    def each(self, sources: Iterable[str | Path | Failed], jobs: int | None = None) -> Iterator[Found | Failed]:
        """Apply the network to many files, in their order.

        Parameters
        ----------
        sources : iterable of paths
            As from `find_files`; failures in it are passed on.
        jobs : int, optional
            Files decoded at a time (default: one for each core). Twice as many are decoded ahead.

        Yields
        ------
        A result for each file, or Failed where it cannot be read
        """
        sounds = (
            sound if isinstance(sound, Failed) else self._waiting(path, sound)
            for path, sound in _decode_ahead(sources, self.sr, jobs or joblib.cpu_count())
        )
        for rows in self._all(sounds):
            yield rows if isinstance(rows, Failed) else self.describe(rows)

    def sound(self, source: Source, sr: int | None = None) -> audio.Decoded:
        """A file, or an array at the rate `sr`, as the network takes it; AudioError where it cannot be used."""
        if isinstance(source, str | Path):
            return audio.read(source, self.sr)
        return audio.from_array(np.asarray(source), sr, self.sr)

    def _waiting(self, path: Path | None, sound: audio.Decoded, hop_s: float | None = None) -> "_Waiting":
        samples = len(sound.y)
        if samples < self.window:
            remark = (
                f"lasts {samples / self.sr:.2f} s and is repeated to fill a window of {self.window / self.sr:.1f} s: "
                "tags of tempo say nothing"
            )
            sound = audio.Decoded(sound.y, (*sound.remarks, remark))
        return _Waiting(path, sound, self._starts(samples, hop_s))

    def _starts(self, samples: int, hop_s: float | None = None) -> np.ndarray:
        if hop_s is None:
            return window_starts(samples, self.window)
        hop = max(round(hop_s * self.sr), 1)
        return np.arange(0, max(samples - self.window, 0) + hop, hop)

    def _all(self, sounds: "Iterable[_Waiting | Failed]") -> Iterator[Rows | Failed]:
        """Fill batches with the windows of one sound after another; yield each sound once its last window is done."""
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


def find_run(root: str | Path | None = None) -> Run:
    """Open the run in a folder, or a published network by its name, which is imported on first use.

    By default, musicnn-mtat where it was imported, else the raw-waveform network of `make demo`, which has heard
    nothing but rendered music.

    Raises
    ------
    TrainingError
        The folder holds no run.
    TaggingError
        No folder is named, and there is neither.
    DownloadError
        A published network cannot be fetched.
    """
    if root is not None:
        return imported.open_run(root)
    for folder in (imported.folder(USUAL), paths.runs_dir() / "demo" / "dm16"):
        if (folder / "run.json").is_file():
            return Run.open(folder)
    raise TaggingError(
        f"There is no trained network here: run `tagkit import {USUAL}` once (29 MB), name a run folder with --run, or "
        "say with TAGKIT_HOME where runs/ lies."
    )


def caution(run: Run) -> str | None:
    """What to know of a run before its tags are believed; None where there is nothing to say."""
    if run.record["dataset"] != "demo":
        return None
    return (
        f"{run.root} has heard rendered music only and will be wrong about recordings; for a network that has heard "
        f"real music, run `tagkit import {USUAL}`."
    )


def find_files(sources: Iterable[str | Path]) -> Iterator[Path | Failed]:
    """The files themselves, and the audio files below folders, sorted and without hidden ones.

    Links to folders are followed where they stand in a folder that was named itself.

    Yields
    ------
    Path, or Failed for a folder that holds no file with an audio suffix, for a link that is not followed, and for one
    that leads nowhere
    """
    for source in map(Path, sources):
        if not source.is_dir():
            yield source
            continue
        linked = [path for path in source.iterdir() if path.is_symlink() and path.is_dir()]
        found = [path for top in (source, *linked) for path in top.rglob("*")]
        visible = sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(source).parts))
        shown = [p for p in visible if p.suffix.lower() in audio.SUFFIXES and p.is_file()]
        yield from shown or [Failed(source, f"{source} holds no audio file; name one, or a folder that holds some.")]
        for path in visible:
            if path.parent != source and path.is_symlink() and path.is_dir():
                yield Failed(path, f"{path} is a link to a folder and was passed over; name it as well.")
            if path.suffix.lower() in audio.SUFFIXES and path.is_symlink() and not path.exists():
                yield Failed(path, f"{path} is a link to {path.readlink()}, which does not exist; mend or remove it.")


@dataclass
class _Waiting:
    """A sound whose windows are not all done yet."""

    path: Path | None
    sound: audio.Decoded
    starts: np.ndarray
    rows: list[np.ndarray] = field(default_factory=list)

    def cut(self, start: int, out: np.ndarray) -> None:
        """Copy the window that begins at `start`, repeated where the sound ends, into `out` (window,)."""
        out[:] = audio.filled(self.sound.y[start : start + len(out)], len(out))

    def finished(self) -> Rows:
        """What the network gave, once it is complete."""
        y, rows = self.sound.y, np.stack(self.rows)
        return Rows(self.path, len(y), self.starts, rows, self.sound.remarks, audio.is_silent(y), audio.level_db(y))


def _done(queue: deque) -> Iterator[Rows | Failed]:
    """Take what is complete off the front of the queue."""
    while queue and (isinstance(queue[0], Failed) or len(queue[0].rows) == len(queue[0].starts)):
        first = queue.popleft()
        yield first.finished() if isinstance(first, _Waiting) else first


def _decode_ahead(
    sources: Iterable[str | Path | Failed], sr: int, jobs: int
) -> Iterator[tuple[Path, audio.Decoded | Failed]]:
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


def _decode_or_fail(source: str | Path | Failed, sr: int) -> tuple[Path, audio.Decoded | Failed]:
    if isinstance(source, Failed):
        return source.path, source
    path = Path(source)
    try:
        return path, audio.read(path, sr)
    except audio.AudioError as error:
        return path, Failed(path, str(error))
