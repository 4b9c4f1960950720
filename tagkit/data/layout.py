"""MagnaTagATune's own layout on disk: two tables and a folder of audio. Several datasets here are stored this way."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tagkit.data.catalog import CatalogError, is_inside, leads_out
from tagkit.data.tables import find_columns, read_rows

ANNOTATIONS = "annotations_final.csv"
CLIP_INFO = "clip_info_final.csv"
# fmt: off
CLIP_INFO_COLUMNS = (
    "clip_id", "track_number", "title", "artist", "album", "url", "segmentStart", "segmentEnd", "original_url",
    "mp3_path",
)
# fmt: on


def read_layout(root: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read `annotations_final.csv` and `clip_info_final.csv` (or the same with `.gz`) below `root`.

    Both tables are TAB-separated with quoted fields; a byte-order mark and Windows line ends are accepted. Audio
    files are not opened and need not exist.

    Returns
    -------
    clips : DataFrame (clips,)
        Indexed by `clip_id` (str), in the order of the annotations, with `path` (POSIX, relative to `root`; below
        `mp3/` where that folder exists), `artist`, `song` (artist, album, track number and title in one string, which
        tells MagnaTagATune's 5,405 songs apart) and `title`.
    labels : DataFrame (clips, tags) of bool
        Tags in the order of the file's columns.

    Raises
    ------
    CatalogError
        A file is missing or damaged, is not in this format, has a duplicate id or tag, has a value other than 0 or
        1, or names a path that leads out of `root`; or the two files disagree.
    """
    root = Path(root)
    if not root.is_dir():
        raise CatalogError(f"{root} is not a folder; give the folder that holds {ANNOTATIONS}.")
    annotations, about = _find(root, ANNOTATIONS), _read_info(_find(root, CLIP_INFO))
    lines = _read_table(annotations)
    tags = _check_annotations(annotations, next(lines))
    folder = "mp3/" if (root / "mp3").is_dir() else ""
    clips, flags = {}, bytearray()
    for clip_id, *values, path in lines:
        if clip_id in clips:
            raise CatalogError(f"{annotations} has clip id {clip_id!r} more than once; keep one row of it.")
        flags += _flags(annotations, clip_id, tags, values)
        _check_path(root, annotations, clip_id, path, about)
        clips[clip_id] = (folder + path, *about.pop(clip_id)[1:])
    ids = pd.Index(list(clips), name="clip_id", dtype="str")
    labels = np.frombuffer(flags, np.uint8).reshape(len(ids), len(tags)) == ord("1")
    table = pd.DataFrame(clips.values(), ids, ("path", "artist", "song", "title"), dtype="str")
    return table, pd.DataFrame(labels, ids, list(tags))


def _find(root: Path, name: str) -> Path:
    path = next((root / each for each in (name, name + ".gz") if (root / each).is_file()), None)
    if path is None:
        raise CatalogError(f"{root} has no {name} (nor {name}.gz); put the dataset's file there.")
    return path


def _read_table(path: Path) -> Iterator[list[str]]:
    """The header and then the rows of a TAB-separated table, one by one, each as long as the header."""
    lines = read_rows(path, "\t")
    _, header = next(lines)
    if len(header) == 1:
        raise CatalogError(
            f"{path} is not TAB-separated: its first line is one column, {header[0][:60]!r}; "
            "save it with TABs between the columns."
        )
    yield header
    yield from (row for _, row in lines)


def _check_annotations(path: Path, header: list[str]) -> tuple[str, ...]:
    if header[0] != "clip_id" or header[-1] != "mp3_path":
        raise CatalogError(
            f"{path} starts with column {header[0]!r} and ends with {header[-1]!r}; "
            "the first must be clip_id and the last mp3_path, with one column for each tag between them."
        )
    tags = tuple(header[1:-1])
    for tag in tags:
        if not tag or tags.count(tag) > 1:
            raise CatalogError(f"{path} has an unnamed or repeated tag column ({tag!r}); name each tag once.")
    return tags


def _flags(annotations: Path, clip_id: str, tags: tuple[str, ...], values: list[str]) -> bytes:
    """A character for each tag, 0 or 1."""
    for tag, value in zip(tags, values, strict=True):
        if value not in ("0", "1"):
            raise CatalogError(
                f"{annotations}: clip {clip_id} has the value {value!r} for tag {tag!r}; only 0 and 1 are labels."
            )
    return "".join(values).encode()


def _read_info(path: Path) -> dict[str, tuple[str, str, str, str]]:
    """The path, artist, song and title of each clip."""
    lines = _read_table(path)
    at = find_columns(path, next(lines), {column: [column] for column in CLIP_INFO_COLUMNS}, CLIP_INFO_COLUMNS)
    about, shared = {}, {}
    for row in lines:
        clip_id = row[at["clip_id"]]
        if clip_id in about:
            raise CatalogError(f"{path} has clip id {clip_id!r} more than once; keep one row of it.")
        song = " / ".join(row[at[column]] for column in ("artist", "album", "track_number", "title"))
        texts = (row[at["artist"]], song, row[at["title"]])
        about[clip_id] = (row[at["mp3_path"]], *(shared.setdefault(text, text) for text in texts))
    return about


def _check_path(root: Path, annotations: Path, clip_id: str, path: str, about: dict[str, tuple]) -> None:
    """The path of an annotated clip is inside `root`, and clip info has a row that names the same path."""
    if not is_inside(path) or "\\" in path:
        raise leads_out(f"{annotations}, clip {clip_id}", path, root)
    if clip_id not in about:
        raise CatalogError(f"{root}: clip {clip_id} of {ANNOTATIONS} has no row in {CLIP_INFO}; add it.")
    if about[clip_id][0] != path:
        raise CatalogError(
            f"{root}: clip {clip_id} is {path!r} in {ANNOTATIONS} and {about[clip_id][0]!r} in {CLIP_INFO}; "
            "the two files belong to different versions of the dataset."
        )
