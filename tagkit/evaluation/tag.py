"""Tags for music files, of any format and length: in three lines of Python, or by `tagkit tag`.

    tagger = Tagger.open()
    tagged = tagger("song.mp3")
    tagged.top(5)

The scores are those of `tagkit evaluate`: the same windows, rounding and means (see `tagkit.evaluation.sweep`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tagkit.evaluation.sweep import Failed, Rows, Source, Sweep
from tagkit.graph.scorer import Scorer
from tagkit.system import paths
from tagkit.training.runs import Run, TrainingError


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


class Tagger:
    """A trained network that tags files; the traced graph is kept from call to call.

    Parameters
    ----------
    run : Run
    batch_size : int, optional
        Windows scored at a time. Default: 64, or fewer of those that are longer than a few seconds.

    Raises
    ------
    TaggingError
        The network takes all windows of a clip at once.
    """

    def __init__(self, run: Run, batch_size: int | None = None):
        self.run, self.tags, self.sr = run, run.tags, run.record["row"]["sr"]
        self.model = window_network(run)
        self.window = self.model.input_shape[1]
        self.sweep = Sweep(Scorer(self.model, batch_size), self.sr)

    @classmethod
    def open(cls, root: str | Path | None = None) -> "Tagger":
        """The tagger of a run folder; without one, of the demo's raw-waveform network (see `find_run`)."""
        return cls(find_run(root))

    def __call__(self, source: Source, hop_s: float | None = None) -> Tagged:
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
        TaggingError
            The scores are not finite.
        """
        return self._tagged(self.sweep.one(source, hop_s))

    def each(self, sources: Iterable[str | Path | Failed], jobs: int | None = None) -> Iterator[Tagged | Failed]:
        """Tag many files, in their order; see `tagkit.evaluation.sweep.Sweep.each`."""
        for result in self.sweep.each(sources, jobs):
            yield result if isinstance(result, Failed) else self._tagged(result)

    def _tagged(self, found: Rows) -> Tagged:
        if not np.isfinite(found.rows).all():
            raise TaggingError(f"{self.run.root} gives scores that are not finite: it has diverged; train it again.")
        return Tagged(
            path=found.path,
            duration_s=found.samples / self.sr,
            tags=self.tags,
            scores=found.rows.mean(0, dtype=np.float64).astype(np.float32),
            window_scores=found.rows,
            starts_s=found.starts / self.sr,
            window_s=self.window / self.sr,
        )


def window_network(run: Run):
    """The network of a run that sees one window; TaggingError for one that sees all windows of a clip."""
    model = run.model()
    if len(model.input_shape) != 3:
        raise TaggingError(
            f"{run.root} sees all windows of a clip at once, and files have any length: choose a run of a network "
            "that sees one window."
        )
    return model


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
            f"There is no trained network in {demo}: run `make demo` (or `tagkit demo`) once, which takes about 5 "
            "minutes, or name a run folder."
        ) from error
