"""Your own music: a folder of audio with a table of tags, or with one folder for each tag."""

import ast
import os
import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from tagkit import audio
from tagkit.data import file_tags, splits
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

    Where neither a table nor folders say who plays, the files' own tags do (ID3 and the like): artist, album, title.

    Splits: ``given``, where there is a split column; ``artist``, where at least three artists are known, else ``song``
    or ``file``, where some clips share one: whatever is known to belong together, a file, a song or an artist, is in
    one part; else ``random``: 70 / 10 / 20 % of the clips. All but ``given`` spread tags as evenly as they can. The
    first of these is the default. `Catalog.notes` says what could not be done.

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
    clips, labels, given, links = _read_folders(root) if csv is None else _read_table(root, _find(root, Path(csv)))
    if labels.shape[1] == 0:
        raise CatalogError(f"{root}: no tags were found; give a table with tags, or put the files into a folder each.")
    notes = _complete(root, clips)
    name, drawn, said = _deal(clips, labels, seed)
    table = ({} if given is None else {"given": given}) | {name: drawn}
    return Catalog(
        name=root.resolve().name,
        root=root.absolute(),
        clips=clips[["path", "artist", "song", "title"]],
        labels=labels,
        splits=pd.DataFrame(table, index=clips.index),
        vocabularies={"all": tuple(labels.columns)},
        default_split=next(iter(table)),
        default_vocabulary="all",
        cluster_by="artist" if (clips["artist"] != "").all() else "song",
        notes=(*links, *notes, *said, *_look_alike(labels.columns)),
    )


def _complete(root: Path, clips: pd.DataFrame) -> list[str]:
    """Fill in artists, albums and titles from the files' own tags, where no artist is known."""
    clips["album"] = ""
    if (clips["artist"] != "").any():
        return []
    said = file_tags.read_all(root, clips["path"]).set_axis(clips.index)
    clips["artist"], clips["album"] = said["artist"], said["album"]
    clips["title"] = said["title"].where(said["title"] != "", clips["title"])
    known = (said["artist"] != "").sum()
    return [f"Artists are those of the files' own tags: {known} of {len(clips)} files name one."] if known else []


def _deal(clips: pd.DataFrame, labels: pd.DataFrame, seed: int) -> tuple[str, pd.Series, list[str]]:
    """A split that parts nothing that belongs together: its name, its parts, and what could not be done."""
    artists = clips["artist"][clips["artist"] != ""].nunique()
    groups = splits.together(clips, ["path", "song", "artist", "album"])
    whole = groups.where(groups != "", clips.index)
    if whole.nunique() >= len(splits.SPLIT_PARTS) and whole.nunique() < len(clips):
        name = "artist" if artists >= 3 else "song" if clips["song"].duplicated().any() else "file"
        return name, splits.grouped(labels, groups, FRACTIONS, seed), []
    said = []
    if whole.nunique() < len(clips):
        said.append(
            f"{len(clips)} clips are of {whole.nunique()} groups that belong together (artists, songs or files), too "
            "few for three parts: the split random parts them, and scores on it flatter the network."
        )
    return "random", splits.stratified(labels, FRACTIONS, seed), said


def _look_alike(tags: Iterable[str]) -> list[str]:
    """A sentence on tags that are probably one."""
    alike: dict[str, list[str]] = {}
    for tag in tags:
        alike.setdefault("".join(c for c in tag.casefold() if c.isalnum()), []).append(tag)
    same = ["/".join(each) for key, each in alike.items() if key and len(each) > 1]
    return (
        [f"Tags that look alike are kept apart: {', '.join(same[:10])}; spell them alike if they are one."]
        if same
        else []
    )


def _find(root: Path, csv: Path) -> Path:
    found = next((path for path in (csv, root / csv) if path.is_file()), None)
    if found is None:
        raise CatalogError(f"{csv} is not a file, neither here nor in {root}; check its name.")
    return found


def _read_folders(root: Path) -> tuple[pd.DataFrame, pd.DataFrame, None, list[str]]:
    paths, passed_over = [], []
    linked = [path for path in sorted(root.iterdir()) if path.is_symlink() and path.is_dir()]
    for top in (root, *(path for path in linked if not path.name.startswith("."))):
        for folder, inner, names in os.walk(top):
            relative = Path(folder).relative_to(root)
            if Path(folder) != root:
                passed_over += [(relative / name).as_posix() for name in inner if (Path(folder) / name).is_symlink()]
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            paths += [
                (relative / name).as_posix()
                for name in names
                if Path(name).suffix.lower() in audio.SUFFIXES and not name.startswith(".")
            ]
    paths.sort()
    notes = [
        f"{root / path} is a link to a folder and was passed over; link it in {root} itself." for path in passed_over
    ]
    if not paths:
        raise CatalogError(f"{root} holds no audio file; known suffixes are {', '.join(sorted(audio.SUFFIXES))}.")
    _check_names(root, paths)
    own = [PurePosixPath(path).parts[0] if "/" in path else "" for path in paths]
    tags = sorted(set(own) - {""})
    index = pd.Index(paths, name="clip_id", dtype="str")
    labels = pd.DataFrame(np.array([[tag == each for each in tags] for tag in own], bool), index=index, columns=tags)
    return _clips(index, paths, {}), labels, None, notes


def _check_names(folder: Path, paths: list[str]) -> None:
    """Refuse names that no table and no record could hold."""
    strange = [path for path in paths if SURROGATE.search(path)]
    if strange:
        raise CatalogError(
            f"{os.fsencode(folder / strange[0])!r} is a name that is not UTF-8 text ({len(strange)} in all); rename "
            "it, or move the file away."
        )


def _read_table(root: Path, path: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series | None, list[str]]:
    header, rows = _without_index(*read_table(path))
    if not rows:
        raise CatalogError(f"{path} has a header and no rows; add a row for each clip.")
    columns = _known_columns(path, header, rows)
    values = {name: [row[k].strip() for _, row in rows] for name, k in columns.items()}
    paths = [_inside(root, path, number, text) for (number, _), text in zip(rows, values["path"], strict=True)]
    paths = _as_on_disk(root, paths)
    ids = pd.Index(values.get("id", paths), name="clip_id", dtype="str")
    if not ids.is_unique:
        twice = ids[ids.duplicated()][0]
        raise CatalogError(f"{path} has {twice!r} more than once; keep one row of it, or give each row its own id.")
    if (ids == "").any():
        raise CatalogError(f"{path}, line {rows[int(np.argmax(ids == ''))][0]} has no id; give it one.")
    labels = _labels(path, header, rows, columns, ids)
    _check_agreement(path, rows, paths, labels)
    given = None
    if "split" in columns:
        names = {spelling: part for part, spellings in PART_SPELLINGS.items() for spelling in spellings}
        parts = _translate(path, rows, values["split"], names, header[columns["split"]], "train, valid or test")
        given = pd.Series(parts, index=ids, dtype="str")
    return _clips(ids, paths, values), labels, given, []


def _without_index(header: list[str], rows: list[tuple[int, list[str]]]) -> tuple[list, list]:
    """A table without the nameless numbers that pandas writes in front of one."""
    numbers = [str(k) for k in range(len(rows))]
    if header[0] in ("", "Unnamed: 0") and [row[0] for _, row in rows] == numbers:
        return header[1:], [(number, row[1:]) for number, row in rows]
    return header, rows


def _as_on_disk(root: Path, paths: list[str]) -> list[str]:
    """Paths as the disk spells them, where it has the same name with its accents composed in the other way."""
    if all((root / path).exists() for path in paths):
        return paths
    found = (p.relative_to(root).as_posix() for p in root.rglob("*"))
    spelled = {unicodedata.normalize("NFC", name): name for name in found}
    return [path if (root / path).exists() else spelled.get(unicodedata.normalize("NFC", path), path) for path in paths]


def _check_agreement(table: Path, rows: list[tuple[int, list[str]]], paths: list[str], labels: pd.DataFrame) -> None:
    """CatalogError where two rows of one file give it different tags."""
    first: dict[str, int] = {}
    flags = labels.to_numpy(bool)
    for k, path in enumerate(paths):
        one = first.setdefault(path, k)
        if (flags[one] != flags[k]).any():
            raise CatalogError(
                f"{table}, lines {rows[one][0]} and {rows[k][0]} give {path} different tags; keep one of them."
            )


def _known_columns(path: Path, header: list[str], rows: list[tuple[int, list[str]]]) -> dict[str, int]:
    """Position of each column that is no tag; the spelling named first wins where several would do.

    A column called "set" or "part" that holds 0 and 1 is a tag of that name.
    """
    lowered = [name.lower().replace(" ", "_") for name in header]
    repeated = next((name for k, name in enumerate(lowered) if not name or name in lowered[:k]), None)
    if repeated is not None:
        raise CatalogError(f"{path} has the column {repeated!r} twice or without a name; name each column once.")
    advice = f"give this name to the one of its columns ({', '.join(header)[:200]}) that holds the paths"
    columns = find_columns(path, lowered, SPELLINGS, ["path"], advice)
    split = columns.get("split")
    if split is not None and lowered[split] != "split" and _is_flags([row[split] for _, row in rows]):
        del columns["split"]
    return columns


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
        listed = _listed(path, rows, [row[columns["tags"]] for _, row in rows])
        tags = sorted({tag for each in listed for tag in each})
        flags = {tag: [tag in each for each in listed] for tag in tags}
        return pd.DataFrame(flags, index=ids, columns=tags, dtype=bool)
    known = {k for kind, k in columns.items() if kind != "tags"}
    flags = {}
    for k, tag in enumerate(header):
        if k not in known:
            flags[_plain(tag)] = _translate(path, rows, [row[k].strip() for _, row in rows], FLAGS, tag, "0 or 1")
    return pd.DataFrame(flags, index=ids, dtype=bool)


def _is_flags(values: list[str]) -> bool:
    """Whether a column called "label", say, is a tag of that name and no list of tags."""
    return all(value.strip().lower() in FLAGS for value in values)


def _listed(path: Path, rows: list[tuple[int, list[str]]], texts: list[str]) -> list[set[str]]:
    """The tags that each row of a column lists: one separator for all of them, or lists of Python or JSON."""
    said = [text.strip() for text in texts]
    if any(text.startswith("[") and text.endswith("]") for text in said):
        return [_parsed(path, number, text) for (number, _), text in zip(rows, said, strict=True)]
    separator = next((each for each in (";", "|", ",") if any(each in text for text in texts)), ";")
    return [{_plain(tag) for tag in text.split(separator)} - {""} for text in texts]


def _parsed(path: Path, number: int, text: str) -> set[str]:
    """The tags of a list as Python or JSON write it."""
    try:
        found = ast.literal_eval(text) if text else []
    except (ValueError, SyntaxError):
        found = None
    if not isinstance(found, list) or not all(isinstance(tag, str) for tag in found):
        raise CatalogError(
            f"{path}, line {number} has {text[:60]!r} where other rows have lists such as ['rock', 'pop']; repair it."
        )
    return {_plain(tag) for tag in found} - {""}


def _plain(tag: str) -> str:
    """A tag with composed accents and single spaces."""
    return " ".join(unicodedata.normalize("NFC", tag).split())


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
