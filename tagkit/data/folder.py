"""Your own music: a folder of audio with a table of tags, or with one folder for each tag."""

import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from tagkit import audio
from tagkit.data import splits
from tagkit.data.catalog import Catalog, CatalogError, is_inside, leads_out
from tagkit.data.tables import find_columns, read_table

SPELLINGS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "mp3_path", "audio", "audio_path"),
    "id": ("clip_id", "id", "track_id", "clip"),
    "artist": ("artist", "artist_name", "composer", "performer"),
    "song": ("song", "song_id", "piece", "work"),
    "title": ("title", "name", "track_title"),
    "split": ("split", "set", "part", "fold"),
    "tags": ("tags", "labels", "tag", "label", "genre", "genres"),
}
PART_SPELLINGS = {
    "train": ("train", "training", "tr"),
    "valid": ("valid", "validation", "val", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
    "": ("", "none", "-"),
}
FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True, "no": False, "yes": True}
FRACTIONS = (0.7, 0.1, 0.2)
DRIVE = re.compile("[A-Za-z]:")  # of Windows
SURROGATE = re.compile("[\ud800-\udfff]")  # stands for a byte of a file's name that is not UTF-8


def read(root: str | Path, csv: str | Path | None = None, seed: int = 0) -> Catalog:
    """Read a folder of audio as a Catalog. No audio is read, and files need not exist: preparing names those missing.

    With `csv`, a table with a header (comma, TAB, semicolon or pipe; UTF-8) says what is in the folder. It has a
    column of paths relative to `root` (named path, file, filename, ...) and tags: either one column for each tag with
    0/1 (or true/false, yes/no), or one column `tags` that lists them, separated by ; or | or commas: the first of
    these that the column has anywhere, so that "drum, bass" is one tag beside "rock; pop". Columns that may stand
    beside them: clip_id (else the path is the id), artist, song, title, split (train, valid, test).

    Without `csv`, the first folder below `root` is the tag of all the audio files below it; audio files in `root`
    itself have no tag. Files are chosen by suffix (`tagkit.audio.SUFFIXES`); hidden ones are skipped.

    Splits: ``given``, where there is a split column; ``artist``, where the artists of at least three are known: no
    artist in two parts; else ``random``: 70 / 10 / 20 % of the clips. The first of these is the default.

    Parameters
    ----------
    csv : path, optional
        Relative to the working directory or to `root`.
    seed : int
        Of the splits `artist` and `random`.

    Returns
    -------
    Catalog
        Named after the folder. Its vocabulary ``all`` holds the tags in the order of the columns, or sorted.

    Raises
    ------
    CatalogError
        The folder or table is missing, damaged or ambiguous; has a duplicate id, a value that is no flag or part, a
        path that leads out of `root`, a file's name that is not UTF-8; or there are no tags at all.
    """
    root = Path(root)
    if not root.is_dir():
        raise CatalogError(f"{root} is not a folder; give the folder that holds the audio.")
    _check_names(root.resolve().parent, [root.resolve().name])
    clips, labels, given = _read_folders(root) if csv is None else _read_table(root, _find(root, Path(csv)))
    if labels.shape[1] == 0:
        raise CatalogError(f"{root}: no tags were found; give a table with tags, or put the files into a folder each.")
    table = {} if given is None else {"given": given}
    if clips["artist"][clips["artist"] != ""].nunique() >= 3:
        table["artist"] = splits.grouped(labels, clips["artist"], FRACTIONS, seed)
    elif given is None:
        table["random"] = splits.shuffled(clips.index, FRACTIONS, seed)
    return Catalog(
        name=root.resolve().name,
        root=root.absolute(),
        clips=clips,
        labels=labels,
        splits=pd.DataFrame(table, index=clips.index),
        vocabularies={"all": tuple(labels.columns)},
        default_split=next(iter(table)),
        default_vocabulary="all",
        cluster_by="artist" if (clips["artist"] != "").all() else "song",
    )


def _find(root: Path, csv: Path) -> Path:
    found = next((path for path in (csv, root / csv) if path.is_file()), None)
    if found is None:
        raise CatalogError(f"{csv} is not a file, neither here nor in {root}; check its name.")
    return found


def _read_folders(root: Path) -> tuple[pd.DataFrame, pd.DataFrame, None]:
    paths = []
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        relative = Path(folder).relative_to(root)
        paths += [
            (relative / name).as_posix()
            for name in sorted(names)
            if Path(name).suffix.lower() in audio.SUFFIXES and not name.startswith(".")
        ]
    if not paths:
        raise CatalogError(f"{root} holds no audio file; known suffixes are {', '.join(sorted(audio.SUFFIXES))}.")
    _check_names(root, paths)
    own = [PurePosixPath(path).parts[0] if "/" in path else "" for path in paths]
    tags = sorted(set(own) - {""})
    index = pd.Index(paths, name="clip_id", dtype="str")
    labels = pd.DataFrame(np.array([[tag == each for each in tags] for tag in own], bool), index=index, columns=tags)
    return _clips(index, paths, {}), labels, None


def _check_names(folder: Path, paths: list[str]) -> None:
    """Refuse names that no table and no record could hold."""
    strange = [path for path in paths if SURROGATE.search(path)]
    if strange:
        raise CatalogError(
            f"{os.fsencode(folder / strange[0])!r} is a name that is not UTF-8 text ({len(strange)} in all); rename "
            "it, or move the file away."
        )


def _read_table(root: Path, path: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series | None]:
    header, rows = read_table(path)
    if not rows:
        raise CatalogError(f"{path} has a header and no rows; add a row for each clip.")
    columns = _known_columns(path, header)
    values = {name: [row[k].strip() for _, row in rows] for name, k in columns.items()}
    paths = [_inside(root, path, number, text) for (number, _), text in zip(rows, values["path"], strict=True)]
    ids = pd.Index(values.get("id", paths), name="clip_id", dtype="str")
    if not ids.is_unique:
        twice = ids[ids.duplicated()][0]
        raise CatalogError(f"{path} has {twice!r} more than once; keep one row of it, or give each row its own id.")
    if (ids == "").any():
        raise CatalogError(f"{path}, line {rows[int(np.argmax(ids == ''))][0]} has no id; give it one.")
    labels = _labels(path, header, rows, columns, ids)
    given = None
    if "split" in columns:
        names = {spelling: part for part, spellings in PART_SPELLINGS.items() for spelling in spellings}
        parts = _translate(path, rows, values["split"], names, "split", "train, valid or test")
        given = pd.Series(parts, index=ids, dtype="str")
    return _clips(ids, paths, values), labels, given


def _known_columns(path: Path, header: list[str]) -> dict[str, int]:
    """Position of each column that is no tag; the spelling named first wins where several would do."""
    lowered = [name.lower().replace(" ", "_") for name in header]
    repeated = next((name for k, name in enumerate(lowered) if not name or name in lowered[:k]), None)
    if repeated is not None:
        raise CatalogError(f"{path} has the column {repeated!r} twice or without a name; name each column once.")
    advice = f"give this name to the one of its columns ({', '.join(header)[:200]}) that holds the paths"
    return find_columns(path, lowered, SPELLINGS, ["path"], advice)


def _inside(root: Path, table: Path, number: int, text: str) -> str:
    """A path relative to the root, with forward slashes."""
    pure = PurePosixPath(text if "/" in text else text.replace("\\", "/"))
    if pure.is_absolute() and pure.is_relative_to(root.absolute().as_posix()):
        pure = pure.relative_to(root.absolute().as_posix())
    if not pure.parts or not is_inside(pure.as_posix()) or DRIVE.match(text) or "\0" in text:
        raise leads_out(f"{table}, line {number}", text, root)
    return pure.as_posix()


def _labels(
    path: Path, header: list[str], rows: list[tuple[int, list[str]]], columns: dict[str, int], ids: pd.Index
) -> pd.DataFrame:
    if "tags" in columns and not _is_flags([row[columns["tags"]] for _, row in rows]):
        listed = _listed([row[columns["tags"]] for _, row in rows])
        tags = sorted({tag for each in listed for tag in each})
        flags = {tag: [tag in each for each in listed] for tag in tags}
        return pd.DataFrame(flags, index=ids, columns=tags, dtype=bool)
    known = {k for kind, k in columns.items() if kind != "tags"}
    flags = {}
    for k, tag in enumerate(header):
        if k not in known:
            flags[tag] = _translate(path, rows, [row[k].strip() for _, row in rows], FLAGS, tag, "0 or 1")
    return pd.DataFrame(flags, index=ids, dtype=bool)


def _is_flags(values: list[str]) -> bool:
    """Whether a column called "label", say, is a tag of that name and no list of tags."""
    return all(value.strip().lower() in FLAGS for value in values)


def _listed(texts: list[str]) -> list[set[str]]:
    """The tags that each row of a column lists; one separator for all of them."""
    separator = next((each for each in (";", "|", ",") if any(each in text for text in texts)), ";")
    return [{tag.strip() for tag in text.split(separator)} - {""} for text in texts]


def _translate(
    path: Path, rows: list[tuple[int, list[str]]], values: list[str], meanings: dict, column: str, wanted: str
) -> list:
    """Every value's meaning, or an error that names the first line that has none."""
    meaning: Callable[[str], object] = meanings.get
    found = [meaning(value.lower()) for value in values]
    if None in found:
        k = found.index(None)
        raise CatalogError(
            f"{path}, line {rows[k][0]} has {values[k]!r} in the column {column!r} where {wanted} is meant; repair it, "
            "or leave the column out if it is no tag."
        )
    return found


def _clips(index: pd.Index, paths: list[str], values: dict[str, list[str]]) -> pd.DataFrame:
    blank = [""] * len(index)
    stem = [PurePosixPath(path).stem for path in paths]
    return pd.DataFrame(
        {
            "path": paths,
            "artist": values.get("artist", blank),
            "song": values.get("song", list(index)),
            "title": values.get("title", stem),
        },
        index=index,
        dtype="str",
    )
