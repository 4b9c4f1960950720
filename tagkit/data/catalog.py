"""A Catalog: one table of clips that every dataset is read into, and everything downstream starts from."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tagkit.data import folds

SPLIT_PARTS = ("train", "valid", "test")
TASKS = ("multi-label", "exclusive")
_ROWS = 1024  # turned into text at a time


class CatalogError(ValueError):
    """The metadata of a dataset cannot be used as it is; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Clip:
    """One row of a Catalog.

    Attributes
    ----------
    clip_id : str
    path : Path
        Absolute path of the audio file.
    tags : tuple of str
    artist, song, title : str
        Empty if the dataset does not say.
    """

    clip_id: str
    path: Path
    tags: tuple[str, ...]
    artist: str = ""
    song: str = ""
    title: str = ""

    @property
    def name(self) -> str:
        """Artist and title, or what is known of them, or the id: for people to read."""
        return ": ".join(part for part in (self.artist, self.title) if part) or self.clip_id


@dataclass(frozen=True)
class Catalog:
    """The clips of a dataset with their tags and splits; no audio is read.

    Attributes
    ----------
    name : str
        The dataset's name, for example ``"magnatagatune"``.
    root : Path
        The folder that the paths in `clips` start from. No path leads out of it.
    clips : DataFrame (clips,)
        Indexed by `clip_id` (str, unique), with the columns `path` (relative, POSIX), `artist`, `song` and `title`.
    labels : DataFrame (clips, tags) of bool
        Indexed as `clips`; one column for each tag that the dataset knows, in the dataset's own order.
    splits : DataFrame (clips, splits) of str
        Indexed as `clips`; one column for each named split, with the values train, valid, test or "" (left out).
    vocabularies : dict of str -> tuple of str
        Named lists of tags in pinned order; the order of a model's outputs.
    default_split, default_vocabulary : str
    cluster_by : {"song", "artist"}
        What confidence intervals are clustered by: clips of one cluster are not independent.
    tasks : dict of str -> {"multi-label", "exclusive"}
        By vocabulary, where it is settled: are its tags independent of each other, or classes of which every clip has
        one? See `task`.
    notes : tuple of str
        What a user should know of how the dataset was read, one sentence each.

    Examples
    --------
    >>> from tagkit.data import folder
    >>> catalog = folder.read("music")  # holds a folder of recordings for each tag
    >>> len(catalog), catalog.tags(), catalog.split_sizes()
    (10, ('high', 'low'), {'train': 7, 'valid': 1, 'test': 2})
    >>> catalog.clip(0).clip_id, catalog.clip(0).tags
    ('high/0.flac', ('high',))
    """

    name: str
    root: Path
    clips: pd.DataFrame
    labels: pd.DataFrame
    splits: pd.DataFrame
    vocabularies: dict[str, tuple[str, ...]] = field(repr=False)
    default_split: str
    default_vocabulary: str
    cluster_by: str = "artist"
    tasks: dict[str, str] = field(default_factory=dict, repr=False)
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if not self.clips.index.is_unique:
            twice = self.clips.index[self.clips.index.duplicated()][0]
            raise CatalogError(f"{self.name}: clip id {twice} occurs more than once; give each clip its own id.")
        for table in ("labels", "splits"):
            if not getattr(self, table).index.equals(self.clips.index):
                raise CatalogError(f"{self.name}: the rows of `{table}` are not those of `clips`.")
        for vocabulary, task in self.tasks.items():
            self._check_task(vocabulary, task)
        for path in self.clips["path"]:
            if not is_inside(path):
                raise leads_out(self.name, path, self.root)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, clip_id: str) -> Clip:
        """The clip with this id; KeyError names an id that is not there."""
        if clip_id not in self.clips.index:
            raise KeyError(f"{self.name} has no clip {clip_id!r}")
        row = self.clips.loc[clip_id]
        present = self.labels.columns[self.labels.loc[clip_id].to_numpy(bool)]
        return Clip(clip_id, self.root / row["path"], tuple(present), row["artist"], row["song"], row["title"])

    def clip(self, position: int) -> Clip:
        """The clip at this position (0 is the first row)."""
        return self[self.clips.index[position]]

    def tags(self, vocabulary: str | None = None) -> tuple[str, ...]:
        """The tags of a vocabulary in pinned order (default: `default_vocabulary`).

        Raises
        ------
        CatalogError
            There is no such vocabulary.
        """
        name = vocabulary or self.default_vocabulary
        if name not in self.vocabularies:
            raise CatalogError(f"{self.name} has no vocabulary {name!r}; choose one of {', '.join(self.vocabularies)}.")
        return self.vocabularies[name]

    def task(self, vocabulary: str | None = None) -> str:
        """The task that a vocabulary poses: "exclusive" where every clip has exactly one of its tags, unless settled.

        Raises
        ------
        CatalogError
            There is no such vocabulary.
        """
        tags, name = self.tags(vocabulary), vocabulary or self.default_vocabulary
        if name in self.tasks:
            return self.tasks[name]
        return "exclusive" if len(tags) > 1 and self._has_one_each(name).all() else "multi-label"

    def _has_one_each(self, vocabulary: str) -> pd.Series:
        return self.labels[list(self.vocabularies[vocabulary])].sum(axis=1) == 1

    def _check_task(self, vocabulary: str, task: str) -> None:
        self.tags(vocabulary)
        if task not in TASKS:
            raise CatalogError(f"{self.name}: there is no task {task!r}; choose {' or '.join(TASKS)}.")
        if task == "exclusive" and not (one := self._has_one_each(vocabulary)).all():
            clip = one.index[~one.to_numpy()][0]
            has = self.labels.loc[clip, list(self.vocabularies[vocabulary])].sum()
            raise CatalogError(
                f"{self.name}: clip {clip} has {has} tags of {vocabulary}; exclusive classes need one each."
            )

    def parts(self, split: str | None = None) -> pd.Series:
        """The part of each clip in a split (default: `default_split`): train, valid, test or "".

        Folds for cross-validation are splits of every catalog: ``artist:2/5`` is the second of five, with no artist in
        two of them (see `tagkit.data.folds`).

        Raises
        ------
        CatalogError
            There is no such split.
        ValueError
            There is no such fold, or there are too few groups for so many.
        """
        name = split or self.default_split
        if name in self.splits.columns:
            return self.splits[name]
        if folds.is_fold(name):
            return folds.parts(name, self.clips, self.labels[list(self.tags())])
        choice = ", ".join(self.splits.columns)
        raise CatalogError(f"{self.name} has no split {name!r}; choose one of {choice}, or a fold such as artist:1/5.")

    def ids(self, part: str, split: str | None = None) -> pd.Index:
        """The clip ids of one part ("train", "valid" or "test") of a split (default: `default_split`)."""
        return self.clips.index[self.parts(split) == part]

    def split_sizes(self, split: str | None = None) -> dict[str, int]:
        """Number of clips in each part of a split."""
        column = self.parts(split)
        return {part: int((column == part).sum()) for part in SPLIT_PARTS}

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any id, path, label or split."""
        digest = hashlib.sha256()
        for table in (self.clips, self.labels, self.splits):
            for start in range(0, max(1, len(table)), _ROWS):
                rows = table.iloc[start : start + _ROWS]
                digest.update(rows.to_csv(header=start == 0, lineterminator="\n").encode())
        digest.update(json.dumps({k: list(v) for k, v in self.vocabularies.items()}, sort_keys=True).encode())
        return digest.hexdigest()[:16]


def is_inside(path: str) -> bool:
    """Whether a relative POSIX path, not empty, stays below the folder that it starts from."""
    return path != "" and not path.startswith("/") and ".." not in path.split("/")


def leads_out(where: str, path: str, root: Path) -> CatalogError:
    """The error for a path that is not `is_inside`, at some place of a file."""
    return CatalogError(f"{where}: path {path!r} is empty or leads out of {root}; make it relative.")
