"""Tags for music files of any format and length, in three lines of Python or by `tagkit tag`.

Scores are those of `tagkit evaluate`: the same windows, rounding and means (see `tagkit.evaluation.sweep`).
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import keras
import numpy as np

from tagkit.data.tags import canonical_names
from tagkit.evaluation import familiar
from tagkit.evaluation.familiar import Familiar
from tagkit.evaluation.sweep import Rows, Sweep, TaggingError
from tagkit.training.runs import Run


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
        In [0, 1]: the mean over the windows. All 0 where there is nothing to hear.
    window_scores : ndarray of float32 (windows, tags)
        The taggram.
    starts_s : ndarray (windows,)
        Where each window begins, in seconds.
    window_s : float
        Length of a window; one that reaches past the end of the file is filled by repeating what is there.
    silent : bool
        Whether there is nothing to hear, and so no tag.
    remarks : tuple of str
        What is unusual about the sound, each to be read after the file's name.
    likeness : float or None
        How like the network's training clips the sound is (`Familiar.likeness`); None where that is unknown.
    """

    path: Path | None
    duration_s: float
    tags: tuple[str, ...]
    scores: np.ndarray = field(repr=False)
    window_scores: np.ndarray = field(repr=False)
    starts_s: np.ndarray = field(repr=False)
    window_s: float
    silent: bool = False
    remarks: tuple[str, ...] = ()
    likeness: float | None = None

    @property
    def unlike(self) -> bool:
        """Whether the sound is known to be unlike the training clips."""
        return self.likeness is not None and self.likeness <= familiar.ALPHA

    def order(self, n: int | None = None) -> np.ndarray:
        """Indices of the `n` highest-scored tags (default: all), highest first; equal scores keep the order of tags."""
        return np.argsort(-self.scores, kind="stable")[:n]

    def top(self, n: int = 5) -> dict[str, float]:
        """The `n` highest-scored tags with their scores; none of silence."""
        if self.silent:
            return {}
        return {self.tags[k]: float(self.scores[k]) for k in self.order(n)}

    def merged(self) -> "Tagged":
        """The same with words for one thing as one tag (`tagkit.data.tags.SYNONYMS`), with the best of their scores."""
        groups = synonyms(self.tags)
        scores, windows = (
            np.stack([values[..., columns].max(-1) for columns in groups.values()], -1)
            for values in (self.scores, self.window_scores)
        )
        return replace(self, tags=tuple(groups), scores=scores, window_scores=windows)


def synonyms(tags: tuple[str, ...]) -> dict[str, list[int]]:
    """Which of `tags` say the same, by the name that they have together; most stand alone."""
    names, groups = canonical_names(), {}
    for k, tag in enumerate(tags):
        groups.setdefault(names.get(tag, tag), []).append(k)
    return groups


class Tagger(Sweep[Tagged]):
    """A trained network that tags music files; its graph is traced once.

    Parameters
    ----------
    run : Run
    batch_size : int, optional
        As for `Sweep`.
    heard : Familiar, optional
        What the network was trained on, to tell what is unlike it (`familiar.of_run`). Default: what is stored beside
        the run, or nothing.

    Examples
    --------
    >>> tagger = Tagger.open("runs/tones")
    >>> tagged = tagger("song.wav")
    >>> tagged.window_scores.shape  # windows, tags
    (2, 3)
    >>> list(tagged.top(2)) == [tagged.tags[k] for k in tagged.scores.argsort()[:-3:-1]]
    True
    """

    def __init__(self, run: Run, batch_size: int | None = None, heard: Familiar | None = None):
        self.tags, self.heard = run.tags, heard or familiar.stored(run)
        super().__init__(run, batch_size)

    @property
    def output(self) -> keras.KerasTensor | None:
        """The probabilities, and with them the embedding where it can be compared with those of training clips."""
        if self.heard is None:
            return None
        probabilities = keras.ops.softmax if self.run.exclusive else keras.ops.sigmoid
        return keras.ops.concatenate([probabilities(self.model.output), familiar.embedding(self.model)], axis=-1)

    def describe(self, rows: Rows) -> Tagged:
        """Average the scores of one file's windows."""
        if not np.isfinite(rows.rows).all():
            raise TaggingError(f"{self.run.root} gives scores that are not finite: it diverged; train it again.")
        mean, k = rows.mean, len(self.tags)
        scores, window_scores, remarks, likeness = mean[:k], rows.rows[:, :k], rows.remarks, None
        if self.heard is not None and not rows.silent:
            likeness = self.heard.likeness(mean[k:])
            unlike = self.heard.remark(likeness, rows.level_db)
            remarks = (*remarks, unlike) if unlike else remarks
        if rows.silent:
            scores, window_scores = np.zeros_like(scores), np.zeros_like(window_scores)
        return Tagged(
            path=rows.path,
            duration_s=rows.samples / self.sr,
            tags=self.tags,
            scores=scores,
            window_scores=window_scores,
            starts_s=rows.starts / self.sr,
            window_s=self.window / self.sr,
            silent=rows.silent,
            remarks=remarks,
            likeness=likeness,
        )
