"""Tags for music files, of any format and length: in three lines of Python, or by `tagkit tag`.

    tagger = Tagger.open()
    tagged = tagger("song.mp3")
    tagged.top(5)

A file is cut into the windows of `tagkit.inputs.window_starts` after rounding to 16 bits, as records are, so that its
scores are those of `tagkit evaluate`. Files are decoded ahead, several at a time; windows of several files are scored
together; and a long file lies on disk, not in memory.
"""

import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import joblib
import numpy as np
import tensorflow as tf

from tagkit import audio, paths
from tagkit.datasets.folder import AUDIO_SUFFIXES
from tagkit.inputs import window_starts
from tagkit.prediction import to_waveform
from tagkit.training import Run, TrainingError

# A sound of up to half an hour at 16 kHz is held in memory, a longer one in a nameless temporary file.
MOST_SAMPLES = 30 * 60 * 16_000


class TaggingError(ValueError):
    """There is no network to tag with, or it cannot tag; the message says what to do."""


@dataclass(frozen=True)
class Tagged:
    """What a network says of one file.

    Attributes
    ----------
    path : Path or None
        None where samples were given.
    duration_s : float
    tags : tuple of str (tags,)
    scores : ndarray of float32 (tags,)
        In [0, 1]: the mean over the windows.
    window_scores : ndarray of float32 (windows, tags)
        The taggram.
    starts_s : ndarray (windows,)
        Where each window begins, in seconds.
    window_s : float
        Length of a window; one that reaches past the end of the file is filled with silence.
    """

    path: Path | None
    duration_s: float
    tags: tuple[str, ...]
    scores: np.ndarray = field(repr=False)
    window_scores: np.ndarray = field(repr=False)
    starts_s: np.ndarray = field(repr=False)
    window_s: float

    def order(self, n: int | None = None) -> np.ndarray:
        """Positions of the `n` highest-scored tags, or of all, the highest first; in the order of tags where equal."""
        return np.argsort(-self.scores, kind="stable")[:n]

    def top(self, n: int = 5) -> dict[str, float]:
        """The `n` highest-scored tags with their scores."""
        return {self.tags[k]: float(self.scores[k]) for k in self.order(n)}


@dataclass(frozen=True)
class Failed:
    """A file (or folder) that could not be tagged, and why: one sentence that names it."""

    path: Path
    reason: str


class Tagger:
    """A trained network that tags files; the traced graph is kept from call to call.

    Parameters
    ----------
    run : Run
    batch_size : int
        Windows scored at a time.

    Raises
    ------
    TaggingError
        The network takes all windows of a clip at once.
    """

    def __init__(self, run: Run, batch_size: int = 64):
        self.run, self.tags, self.batch_size = run, run.tags, batch_size
        self.sr = run.record["row"]["sr"]
        self.model = run.model()
        if len(self.model.input_shape) != 3:
            raise TaggingError(
                f"{run.root} sees all windows of a clip at once, and files have any length: choose a run of a network "
                "that sees one window."
            )
        self.window = self.model.input_shape[1]
        self._scores = tf.function(
            lambda x: tf.sigmoid(self.model(to_waveform(x), training=False)),
            input_signature=[tf.TensorSpec((batch_size, self.window), tf.int16)],
        )

    @classmethod
    def open(cls, root: str | Path | None = None) -> "Tagger":
        """The tagger of a run folder; without one, of the demo's raw-waveform network (see `find_run`)."""
        return cls(find_run(root))

    def __call__(self, source: str | Path | np.ndarray, hop_s: float | None = None) -> Tagged:
        """Tag one sound.

        Parameters
        ----------
        source : path, or ndarray (samples,)
            A file, or samples at `sr`: float in [-1, 1), or int16.
        hop_s : float, optional
            A window every so many seconds, for a finer taggram; its mean differs a little from the usual scores.
            Default: just the windows that cover the sound, as `tagkit evaluate` takes them.

        Raises
        ------
        AudioError
            The file cannot be read.
        """
        y = self.samples(source)
        path = None if isinstance(source, np.ndarray) else Path(source)
        (result,) = self._score_all([_Waiting(path, y, self._starts(len(y), hop_s))])
        return result

    def samples(self, source: str | Path | np.ndarray) -> np.ndarray:
        """A file, or samples at `sr`, as the network takes them: (samples,) of int16; AudioError as above."""
        if not isinstance(source, np.ndarray):
            return decode(source, self.sr)
        if source.ndim != 1 or not len(source):
            raise audio.AudioError(f"A sound is an array (samples,) of at least one, not one of shape {source.shape}.")
        return source if source.dtype == np.int16 else audio.to_int16(source)

    def each(self, sources: Iterable[str | Path | Failed], jobs: int | None = None) -> Iterator[Tagged | Failed]:
        """Tag many files; one result for each, in their order.

        Parameters
        ----------
        sources : iterable of paths
            As from `find_files`: what has failed there stays so.
        jobs : int, optional
            Files decoded at a time (default: one for each core). So many and as many again are decoded ahead.

        Yields
        ------
        Tagged, or Failed where a file cannot be read
        """
        return self._score_all(
            sound if isinstance(sound, Failed) else _Waiting(path, sound, self._starts(len(sound)))
            for path, sound in _decode_ahead(sources, self.sr, jobs or joblib.cpu_count())
        )

    def _starts(self, samples: int, hop_s: float | None = None) -> np.ndarray:
        if hop_s is None:
            return window_starts(samples, self.window)
        hop = max(round(hop_s * self.sr), 1)
        return np.arange(0, max(samples - self.window, 0) + hop, hop)

    def _score_all(self, sounds: Iterable["_Waiting | Failed"]) -> Iterator[Tagged | Failed]:
        """Fill batches with the windows of one sound after the other; give each result once its last window has one."""
        queue: deque[_Waiting | Failed] = deque()
        batch, owners = np.zeros((self.batch_size, self.window), np.int16), []
        for sound in sounds:
            queue.append(sound)
            for start in getattr(sound, "starts", ()):
                sound.cut(start, out=batch[len(owners)])
                owners.append(sound)
                if len(owners) == self.batch_size:
                    self._score(batch, owners)
                    yield from self._done(queue)
            yield from self._done(queue)
        if owners:
            self._score(batch, owners)
        yield from self._done(queue)

    def _score(self, batch: np.ndarray, owners: list["_Waiting"]) -> None:
        scores = self._scores(batch).numpy()[: len(owners)]
        if not np.isfinite(scores).all():
            raise TaggingError(f"{self.run.root} gives scores that are not finite: it has diverged; train it again.")
        for owner, row in zip(owners, scores, strict=True):
            owner.scores.append(row)
        owners.clear()

    def _done(self, queue: deque) -> Iterator[Tagged | Failed]:
        while queue and (isinstance(queue[0], Failed) or queue[0].complete):
            first = queue.popleft()
            yield first if isinstance(first, Failed) else first.result(self)


def find_run(root: str | Path | None = None) -> Run:
    """The run in a folder; without one, the raw-waveform network of `make demo`.

    Raises
    ------
    TrainingError
        The folder named holds no run.
    TaggingError
        No folder is named, and the demo has not been run.
    """
    if root is not None:
        return Run.open(root)
    demo = paths.runs_dir() / "demo" / "dm16"
    try:
        return Run.open(demo)
    except TrainingError as error:
        raise TaggingError(
            f"There is no trained network in {demo}: run `make demo` (or `tagkit demo`) once, which takes about 11 "
            "minutes, or name a run folder."
        ) from error


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
        names = sorted(p for p in source.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
        shown = [p for p in names if not any(part.startswith(".") for part in p.relative_to(source).parts)]
        yield from shown or [Failed(source, f"{source} holds no audio file; name one, or a folder that holds some.")]


def decode(path: str | Path, sr: int, most_samples: int = MOST_SAMPLES) -> np.ndarray:
    """All samples of a file as int16, (samples,): what `audio.load_int16` gives, but in bounded memory.

    Beyond `most_samples` they lie in a temporary file without a name (below TMPDIR), and are mapped into memory.
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
    """A sound whose windows are being scored."""

    path: Path | None
    y: np.ndarray
    starts: np.ndarray
    scores: list[np.ndarray] = field(default_factory=list)

    def cut(self, start: int, out: np.ndarray) -> None:
        """Copy the window that begins at `start`, zero-padded, into `out` (window,)."""
        there = self.y[start : start + len(out)]
        out[: len(there)] = there
        out[len(there) :] = 0

    @property
    def complete(self) -> bool:
        return len(self.scores) == len(self.starts)

    def result(self, tagger: Tagger) -> Tagged:
        rows = np.stack(self.scores)
        return Tagged(
            path=self.path,
            duration_s=len(self.y) / tagger.sr,
            tags=tagger.tags,
            scores=rows.mean(0, dtype=np.float64).astype(np.float32),
            window_scores=rows,
            starts_s=self.starts / tagger.sr,
            window_s=tagger.window / tagger.sr,
        )


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
