"""MagnaTagATune's own layout on disk: two tables and a folder of audio. Several datasets here are stored this way."""

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from tagkit.datasets.catalog import CatalogError
from tagkit.datasets.tables import read_rows

ANNOTATIONS = "annotations_final.csv"
CLIP_INFO = "clip_info_final.csv"
CLIP_INFO_COLUMNS = (
    "clip_id",
    "track_number",
    "title",
    "artist",
    "album",
    "url",
    "segmentStart",
    "segmentEnd",
    "original_url",
    "mp3_path",
)


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
    annotations, header, rows = _read_table(root, ANNOTATIONS)
    tags = _check_annotations(annotations, header)
    ids = _unique_ids(annotations, rows)
    labels = pd.DataFrame(_flags(annotations, tags, rows), index=ids, columns=list(tags))
    info = _read_info(root)
    _check_agreement(root, annotations, rows, info)

    folder = "mp3/" if (root / "mp3").is_dir() else ""
    info = info.loc[ids]
    parts = ("artist", "album", "track_number", "title")
    clips = pd.DataFrame(
        {
            "path": [folder + row[-1] for row in rows],
            "artist": info["artist"].to_numpy(),
            "song": [" / ".join(fields) for fields in zip(*(info[part] for part in parts), strict=True)],
            "title": info["title"].to_numpy(),
        },
        index=ids,
    )
    return clips, labels


def _read_table(root: Path, name: str) -> tuple[Path, list[str], list[list[str]]]:
    """The path, header and rows of a TAB-separated table, every row as long as the header."""
    path = next((root / each for each in (name, name + ".gz") if (root / each).is_file()), None)
    if path is None:
        raise CatalogError(f"{root} has no {name} (nor {name}.gz); put the dataset's file there.")
    lines = read_rows(path, "\t")
    header = lines[0][1]
    if len(header) == 1:
        raise CatalogError(
            f"{path} is not TAB-separated: its first line is one column, {header[0][:60]!r}; "
            "save it with TABs between the columns."
        )
    return path, header, [row for _, row in lines[1:]]


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


def _unique_ids(path: Path, rows: list[list[str]]) -> pd.Index:
    ids = pd.Index([row[0] for row in rows], name="clip_id")
    if not ids.is_unique:
        raise CatalogError(f"{path} has clip id {ids[ids.duplicated()][0]!r} more than once; keep one row of it.")
    return ids


def _flags(path: Path, tags: tuple[str, ...], rows: list[list[str]]) -> np.ndarray:
    """Labels (clips, tags) of bool from the texts 0 and 1."""
    values = np.array([row[1:-1] for row in rows], dtype=str).reshape(len(rows), len(tags))
    wrong = np.argwhere((values != "0") & (values != "1"))
    if len(wrong):
        clip, tag = wrong[0]
        raise CatalogError(
            f"{path}: clip {rows[clip][0]} has the value {str(values[clip, tag])!r} for tag {tags[tag]!r}; "
            "only 0 and 1 are labels."
        )
    return values == "1"


def _read_info(root: Path) -> pd.DataFrame:
    path, header, rows = _read_table(root, CLIP_INFO)
    missing = [column for column in CLIP_INFO_COLUMNS if column not in header]
    if missing:
        raise CatalogError(f"{path} has no column {', '.join(missing)}; its columns are {', '.join(header)}.")
    table = pd.DataFrame(rows, columns=header).set_index("clip_id")
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()][0]
        raise CatalogError(f"{path} has clip id {twice!r} more than once; keep one row of it.")
    return table


def _check_agreement(root: Path, annotations: Path, rows: list[list[str]], info: pd.DataFrame) -> None:
    """Every annotated clip has a path inside `root`, and a row of clip info that names the same path."""
    info_paths = info["mp3_path"].to_dict()
    for clip_id, path in ((row[0], row[-1]) for row in rows):
        pure = PurePosixPath(path)
        if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path:
            raise CatalogError(
                f"{annotations}: path {path!r} of clip {clip_id} is empty or leads out of {root}; make it relative."
            )
        if clip_id not in info_paths:
            raise CatalogError(f"{root}: clip {clip_id} of {ANNOTATIONS} has no row in {CLIP_INFO}; add it.")
        if info_paths[clip_id] != path:
            raise CatalogError(
                f"{root}: clip {clip_id} is {path!r} in {ANNOTATIONS} and {info_paths[clip_id]!r} in {CLIP_INFO}; "
                "the two files belong to different versions of the dataset."
            )
