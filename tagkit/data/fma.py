"""FMA, the Free Music Archive's dataset: its subsets, splits, genres and known bad clips.

M. Defferrard, K. Benzi, P. Vandergheynst, X. Bresson, "FMA: a dataset for music analysis", ISMIR 2017.
https://github.com/mdeff/fma
"""

import re
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from tagkit.data.catalog import Catalog, CatalogError
from tagkit.data.download import Download
from tagkit.data.tables import find_columns, read_rows

ABOUT = (
    "The Free Music Archive (Defferrard et al. 2017): clips of 30 s under Creative Commons licences, with the genres "
    "that their artists chose; experimental, electronic and rock music above all."
)
SUBSETS = ("small", "medium", "large", "full")
# The SHA-1 of each zip archive, and its GiB.
_ARCHIVES = {
    "fma_small": ("ade154f733639d52e35e32f5593efe5be76c6d70", 7.2),
    "fma_medium": ("c67b69ea232021025fca9231fc1c7c1a063ab50b", 22),
    "fma_large": ("497109f4dd721066b5ce5e5f250ec604dc78939e", 93),
    "fma_full": ("0f0ace23fbe9ba30ecb7e95f763e435ea802b8ab", 879),
    "fma_metadata": ("f0df49ffe5f2a6008d7dc83c6915b31835dfe733", 0.36),
}
DOWNLOADS = {
    name: Download(
        base_url="https://os.unil.cloud.switch.ch/fma/",
        checksums={f"{name}.zip": f"sha1:{sha1}"},
        archive=(f"{name}.zip",),
        holds=name,
        download_gb=gib * 2**30 / 1e9,
        unpacked_gb=gib * 2**30 / 1e9,
    )
    for name, (sha1, gib) in _ARCHIVES.items()
}
PARTS = {"training": "train", "validation": "valid", "test": "test"}
COLUMNS = {
    "subset": ["set subset"],
    "split": ["set split"],
    "genre_top": ["track genre_top"],
    "genres_all": ["track genres_all"],
    "title": ["track title"],
    "artist": ["artist name"],
    "album": ["album title"],
}
# Shorter than 30 s or undecodable: those of fma_small, and those that fma_medium adds.
# fmt: off
BAD_CLIPS = frozenset((
    98565, 98567, 98569, 99134, 108925, 133297,
    1486, 5574, 65753, 80391, 98558, 98559, 98560, 98566, 98568, 98571, 105247, 108924, 126981, 127336, 143992,
))
# fmt: on


def read(
    root: str | Path, subset: str = "small", tags: str = "top_genres", lastfm: pd.DataFrame | None = None
) -> Catalog:
    """Read FMA's tracks and genres as a Catalog. No audio is read.

    Splits: ``fma``, the dataset's own (80 / 10 / 10 %, no artist in two parts) without the known bad clips
    (`BAD_CLIPS`), and ``all``, the same with them. Bad clips stay rows: preparing quarantines what cannot be decoded.

    Parameters
    ----------
    root : path
        Holds fma_metadata/ (or its files) and the folder of audio, such as fma_small/.
    subset : {"small", "medium", "large", "full"}
        Each contains the one before. Audio is read from the subset's own folder, or else from a larger one's.
    tags : {"top_genres", "all_genres", "lastfm"}
        The default vocabulary: the top-level genres (16), all genres (161 and parents), or the tags of `lastfm`.
    lastfm : DataFrame (tracks, tags) of bool, optional
        Indexed by track id (str), as `lastfm.labels` gives it; tracks that are not in it get no such tag.

    Returns
    -------
    Catalog
        Clip ids are the track ids without leading zeros. A clip of a genre carries its parents, too. A
        Last.fm tag with the name of a genre becomes "tag (last.fm)".

    Raises
    ------
    CatalogError
        A file is missing or damaged, a column is missing, or a value is not one of FMA's.
    """
    root = Path(root)
    tracks = read_tracks(root, subset)
    genres = read_genres(root)
    labels = _genre_labels(root, tracks, genres)
    vocabularies = {
        "top_genres": tuple(genres["title"][genres["parent"] == 0][lambda title: title.isin(labels.columns)]),
        "all_genres": tuple(labels.columns),
    }
    if lastfm is not None:
        taken = {genre.casefold() for genre in labels.columns}
        added = lastfm.rename(columns=lambda tag: f"{tag} (last.fm)" if tag.casefold() in taken else tag)
        vocabularies["lastfm"] = tuple(added.columns)
        labels = labels.join(added.reindex(labels.index, fill_value=False))
    if tags not in vocabularies:
        needs = " (give them: lastfm=lastfm.labels(...))" if tags == "lastfm" else ""
        raise CatalogError(f"FMA has no tags {tags!r}{needs}; choose one of {', '.join(vocabularies)}.")
    own = tracks["split"]
    bad = tracks.index.astype(int).isin(BAD_CLIPS)
    return Catalog(
        name=f"fma_{subset}",
        root=root.absolute(),
        clips=_clips(tracks, _audio_folder(root, subset)),
        labels=labels,
        splits=pd.DataFrame({"fma": own.where(~bad, ""), "all": own}),
        vocabularies=vocabularies,
        default_split="fma",
        default_vocabulary=tags,
    )


def _clips(tracks: pd.DataFrame, folder: str) -> pd.DataFrame:
    numbers = [f"{track:0>6}" for track in tracks.index]
    return pd.DataFrame(
        {
            "path": [f"{folder}/{number[:3]}/{number}.mp3" for number in numbers],
            "artist": tracks["artist"],
            "song": tracks.index,
            "title": tracks["title"],
        },
        index=tracks.index,
    )


def read_tracks(root: str | Path, subset: str = "full") -> pd.DataFrame:
    """The tracks of a subset: what Last.fm is asked about, and what the Catalog is made of.

    Returns
    -------
    DataFrame (tracks,) of str
        Indexed by track id, with `artist`, `title`, `album`, `split` (train, valid, test), `genre_top` and
        `genres_all` (a list of genre ids as text).

    Raises
    ------
    CatalogError
        See `read`.
    """
    if subset not in SUBSETS:
        raise CatalogError(f"FMA has no subset {subset!r}; choose one of {', '.join(SUBSETS)}.")
    path = _metadata(Path(root), "tracks.csv")
    lines = read_rows(path, ",")
    top = [row for _, row in islice(lines, 3)]
    if len(top) < 3 or top[2][0] != "track_id":
        raise CatalogError(f"{path} does not start with FMA's two rows of column names; fetch fma_metadata again.")
    names = [" ".join(name) for name in zip(*top[:2], strict=True)]
    columns = find_columns(path, names, COLUMNS, list(COLUMNS), "fetch fma_metadata again")
    ids, values = [], {kind: [] for kind in columns}
    for number, row in lines:
        if not row[0].isascii() or not row[0].isdigit():
            raise CatalogError(f"{path}, line {number} has no track id; fetch fma_metadata again.")
        ids.append(row[0])
        for kind, k in columns.items():
            values[kind].append(row[k])
    table = pd.DataFrame(values, index=pd.Index(ids, name="clip_id", dtype="str"), dtype="str")
    if not ids:
        raise CatalogError(f"{path} names no track; fetch fma_metadata again.")
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()][0]
        raise CatalogError(f"{path} has track {twice} more than once; fetch fma_metadata again.")
    for column, known in (("subset", SUBSETS), ("split", tuple(PARTS))):
        strange = table.loc[~table[column].isin(known), column]
        if len(strange):
            raise CatalogError(f"{path}: track {strange.index[0]} has the {column} {strange.iloc[0]!r}; repair it.")
    table = table[table["subset"].isin(SUBSETS[: SUBSETS.index(subset) + 1])].drop(columns="subset")
    table["split"] = table["split"].map(PARTS)
    return table


def read_genres(root: str | Path) -> pd.DataFrame:
    """FMA's genres.

    Returns
    -------
    DataFrame (genres,)
        Indexed by genre id (int), sorted, with `title` (str) and `parent` (int; 0 for a top-level genre). A title that
        several genres have is followed by the id, except a top-level genre's.

    Raises
    ------
    CatalogError
        genres.csv is missing or damaged, or a column of it, a genre is there twice, or one lacks its parent.
    """
    path = _metadata(Path(root), "genres.csv")
    lines = read_rows(path, ",")
    _, header = next(lines)
    names = ("genre_id", "parent", "title")
    at = find_columns(path, header, {name: [name] for name in names}, names, "fetch fma_metadata again")
    genres = {}
    for number, row in lines:
        genre, parent, title = (row[at[name]].strip() for name in names)
        if not genre.isdecimal() or not parent.isdecimal() or not title or int(genre) in genres:
            raise CatalogError(f"{path}, line {number} is no genre or a repeated one; fetch fma_metadata again.")
        genres[int(genre)] = (title, int(parent))
    table = pd.DataFrame.from_dict(genres, orient="index", columns=["title", "parent"]).sort_index()
    orphans = table[(table["parent"] != 0) & ~table["parent"].isin(table.index)]
    if len(orphans):
        raise CatalogError(f"{path} has genre {orphans.index[0]} without its parent; fetch fma_metadata again.")
    same = table["title"].duplicated(keep=False) & (table["parent"] != 0)
    titles = zip(table.index, table["title"], same, strict=True)
    table["title"] = [f"{title} ({genre})" if shared else title for genre, title, shared in titles]
    return table


def _genre_labels(root: Path, tracks: pd.DataFrame, genres: pd.DataFrame) -> pd.DataFrame:
    """Labels (tracks, genres that occur) of bool: genres_all, which holds the parents, and genre_top."""
    position = {genre: k for k, genre in enumerate(genres.index)}
    by_title = {title: k for k, title in enumerate(genres["title"])}
    flags = np.zeros((len(tracks), len(genres)), bool)
    for row, (listed, top) in enumerate(zip(tracks["genres_all"], tracks["genre_top"], strict=True)):
        ids = [int(number) for number in re.findall(r"\d+", listed)]
        known = not top or top in by_title
        if not re.fullmatch(r"\[[\d, ]*\]", listed) or not all(number in position for number in ids) or not known:
            raise CatalogError(
                f"{root}: track {tracks.index[row]} has the genres {listed!r} and {top!r}, which genres.csv does not "
                "know; fetch fma_metadata again."
            )
        flags[row, [position[number] for number in ids]] = True
        if top:
            flags[row, by_title[top]] = True
    used = flags.any(axis=0)
    return pd.DataFrame(flags[:, used], index=tracks.index, columns=list(genres["title"][used]))


def _metadata(root: Path, name: str) -> Path:
    found = next((path for path in (root / "fma_metadata" / name, root / name) if path.is_file()), None)
    if found is None:
        raise CatalogError(f"{root} has no fma_metadata/{name}; fetch fma_metadata into it.")
    return found


def _audio_folder(root: Path, subset: str) -> str:
    folders = [f"fma_{name}" for name in SUBSETS[SUBSETS.index(subset) :]]
    return next((folder for folder in folders if (root / folder).is_dir()), folders[0])
