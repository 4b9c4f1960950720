"""A trained network as a teacher: its scores of windows, computed once for each dataset, are what students learn.

They lie beside the records, in teachers/FINGERPRINT/, some clips to a file; what was interrupted goes on.

References
----------
Hinton, Vinyals & Dean, "Distilling the knowledge in a neural network", 2015.
"""

from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np

from tagkit.data.records import Records
from tagkit.data.soft import SoftLabels, starts
from tagkit.graph.scorer import Scorer
from tagkit.system import files
from tagkit.system.progress import progress_bar
from tagkit.training.imported import open_run
from tagkit.training.runs import Run, TrainingError

CLIPS = 16  # in a file
TOP = 0.1  # share of the clips that a teacher's tag is taken to be true of, where nobody tagged them


@dataclass(frozen=True)
class Teacher:
    """A run that teaches; `weight` is the share of its scores in what students learn, the rest is the labels'."""

    run: Run
    weight: float = 1.0

    @classmethod
    def open(cls, root: str | Path, weight: float = 1.0) -> "Teacher":
        """The run in a folder, or a published network by its name; TrainingError where it cannot teach."""
        run = open_run(root)
        run.needs_single_windows("teaching")
        if run.exclusive:
            raise TrainingError(f"{run.root} tells classes of which a clip has one; take a teacher that tells tags.")
        return cls(run, weight)

    def about(self) -> dict:
        """What a student remembers of it, JSON-ready."""
        name = (self.run.imported or {}).get("name", self.run.root.resolve().name)
        kept = {"name": name, "model": self.run.config.model, "weights_sha256": self.run.weights_sha256}
        return kept | {"dataset": self.run.record["dataset"], "weight": self.weight}

    def known(self, records: Records) -> np.ndarray:
        """Which of its tags the records have labels for, bool (tags,)."""
        return np.isin(self.run.tags, list(self.run.tags_in(records)))

    def labels(self, records: Records, indices: np.ndarray) -> np.ndarray:
        """The records' labels of some clips, bool (clips, its tags); False for tags that they do not know."""
        found = np.zeros((len(indices), len(self.run.tags)), bool)
        found[:, self.known(records)] = records.labels(indices, self.run.tags_in(records))
        return found

    def judged(self, records: Records, part: str, indices: np.ndarray, progress: bool) -> np.ndarray:
        """What students are validated on, bool (clips, tags): labels, or, where none tells clips apart, its own word.

        That is, for each tag the tenth of the clips that it scores highest.
        """
        labels = self.labels(records, indices)
        if (labels.any(0) & ~labels.all(0)).any():
            return labels
        scores = self.soft(records, part, indices, progress).whole(indices)
        rank = np.argsort(np.argsort(-scores, 0, kind="stable"), 0)
        return rank < max(round(TOP * len(indices)), 1)

    def soft(self, records: Records, part: str, indices: np.ndarray, progress: bool) -> SoftLabels:
        """Its scores for the windows of some clips: read where they are stored, computed and stored where not.

        Parameters
        ----------
        part : str
            Names the files: the same part has the same clips.

        Raises
        ------
        TrainingError
            The records have another sampling rate.
        """
        if records.sr != self.run.row.sr:
            raise TrainingError(
                f"{records.root} has {records.sr} Hz, but the teacher {self.run.root} takes {self.run.row.sr} Hz."
            )
        folder = records.root / "teachers" / self.run.weights_sha256[:16]
        folder.mkdir(parents=True, exist_ok=True)
        scores: dict[int, np.ndarray] = {}
        chunks = [indices[k : k + CLIPS] for k in range(0, len(indices), CLIPS)]
        scorer = None
        with (
            filelock.FileLock(folder / ".lock"),  # another process that computes them is waited for
            progress_bar(total=len(indices), desc=f"teacher, {part}", unit="clip", disable=not progress) as bar,
        ):
            for k, clips in enumerate(chunks):
                path = folder / f"{part}-{len(indices)}-{k:05}.npz"
                found = _read(path, clips)
                if found is None:
                    scorer = scorer or Scorer(self.run.model())
                    found = {int(clip): _score(scorer, records, int(clip)) for clip in clips}
                    with files.atomic(path) as temporary, temporary.open("wb") as stream:
                        np.savez(stream, clips=clips, **{str(clip): rows for clip, rows in found.items()})
                scores |= found
                bar.update(len(clips))
        return SoftLabels(scores, records.lengths, self.run.windowing.samples)


def _read(path: Path, clips: np.ndarray) -> dict[int, np.ndarray] | None:
    """The scores in a file; None where it is not there or is of other clips."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        if not np.array_equal(stored["clips"], clips):
            return None
        return {int(clip): stored[str(clip)] for clip in clips}


def _score(scorer: Scorer, records: Records, clip: int) -> np.ndarray:
    """Scores (windows, tags) of one clip, float16: a tenth of a percent is enough for a soft label."""
    cuts = starts(int(records.lengths[clip]), scorer.window)
    rows = []
    for k in range(0, len(cuts), scorer.batch_size):
        batch = np.zeros((scorer.batch_size, scorer.window), np.int16)
        for row, start in enumerate(cuts[k : k + scorer.batch_size]):
            batch[row] = records.read(clip, int(start), scorer.window)
        rows.append(scorer.windows(batch)[: len(cuts) - k])
    return np.concatenate(rows).astype(np.float16)
