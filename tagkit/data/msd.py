"""The Million Song Dataset with Last.fm tags: labels, published splits, balanced subsets; the audio is the user's.

T. Bertin-Mahieux, D. P. W. Ellis, B. Whitman, P. Lamere, "The Million Song Dataset", ISMIR 2011.
http://millionsongdataset.com/lastfm
"""

import io
import pickle
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from tagkit.data.catalog import SPLIT_PARTS, Catalog, CatalogError, is_inside, leads_out
from tagkit.data.download import Download
from tagkit.data.tables import find_columns, read_table

ABOUT = (
    "The Million Song Dataset with Last.fm tags (Bertin-Mahieux et al. 2011): western popular music above all; the "
    "tags are what listeners typed, and that one is missing says little."
)
# No checksum is published: `read` checks the tables and counts instead.
DOWNLOAD = Download(
    base_url="http://millionsongdataset.com/sites/default/files/lastfm/",
    checksums={"lastfm_tags.db": ""},
    download_gb=0.6,
)
# Keunwoo Choi's list, in its order; the most frequent tags without those that say nothing about the sound.
# fmt: off
CHOI_TOP50 = (
    "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s", "alternative rock", "jazz",
    "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul", "indie rock", "Mellow", "electronica",
    "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient", "acoustic",
    "experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country", "easy listening", "sexy",
    "catchy", "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy",
)
# fmt: on
TABLES = {"tids": ("tid",), "tags": ("tag",), "tid_tag": ("tid", "tag", "val")}
# In Lee's list of training clips, the validation clips come after this many.
LEE_TRAINING_CLIPS = 201_680
SPLIT_COLUMNS = {
    "track_id": ("track_id", "clip_id", "clip_ids", "tid", "id"),
    "part": ("split", "splits", "part", "set"),
}
PARTS = {"train": "train", "valid": "valid", "validation": "valid", "val": "valid", "test": "test"}


def read(
    db: str | Path,
    root: str | Path,
    paths: str | Path | None = None,
    splits: Mapping[str, pd.Series] | None = None,
    vocabulary: Sequence[str] | int = CHOI_TOP50,
    min_val: int = 50,
    metadata: str | Path | None = None,
) -> Catalog:
    """Read Last.fm tags of Million Song tracks as a Catalog. No audio is read; it cannot be obtained publicly.

    Parameters
    ----------
    db : path
        lastfm_tags.db.
    root : path
        Folder of the user's audio.
    paths : path, optional
        Table (comma, TAB, ...) with the columns track_id and path, relative to `root`; only its tracks are read.
        Default: every tagged track, at A/B/C/TRABC....mp3 as the dataset's own files are laid out.
    splits : mapping of str to Series, optional
        Named splits as `read_split` gives them; the first is the default. Default: ``none``, which holds no clip.
    vocabulary : sequence of str, or int
        Tags in pinned order (default: Choi's 50), or the number of most frequent tags to take.
    min_val : int
        A tag counts above this value (0 to 100).
    metadata : path, optional
        track_metadata.db of the dataset, for artists, titles and songs.

    Returns
    -------
    Catalog

    Raises
    ------
    CatalogError
        A file is missing, is no such database or table, or is damaged; the database lacks a tag of the vocabulary;
        or, without `paths`, has a track id too short to have a place in the dataset's layout.
    """
    root = Path(root)
    found = None if paths is None else _read_paths(Path(paths), root)
    with _open(Path(db), TABLES) as base:
        tags = top_tags(base, vocabulary, min_val) if isinstance(vocabulary, int) else tuple(vocabulary)
        labels = _labels(Path(db), base, tags, min_val, None if found is None else list(found))
    if found is None:
        short = next((tid for tid in labels.index if len(tid) < 5), None)
        if short is not None:
            raise CatalogError(
                f"{db} has the track id {short!r}, too short for a place at A/B/C/TRABC....mp3; fetch it again, or "
                "give a table of paths."
            )
        found = {tid: f"{tid[2]}/{tid[3]}/{tid[4]}/{tid}.mp3" for tid in labels.index}
    index = labels.index
    clips = _clips(index, found, metadata)
    table = {name: split.reindex(index, fill_value="") for name, split in (splits or {}).items()}
    table = table or {"none": pd.Series("", index=index)}
    return Catalog(
        name="msd",
        root=root.absolute(),
        clips=clips,
        labels=labels,
        splits=pd.DataFrame(table, index=index),
        vocabularies={"lastfm": tags},
        default_split=next(iter(table)),
        default_vocabulary="lastfm",
        cluster_by="artist" if metadata else "song",
    )


def read_split(source: str | Path | Mapping[str, str | Path]) -> pd.Series:
    """Read a published split of Million Song tracks.

    Parameters
    ----------
    source : path, or mapping of part to path
        A folder with Choi's {train,valid,test}_x_msd_id.txt or Lee's filtered_list_{train,test}.cP; a table with
        track ids and parts in two columns (CALS: msd_splits.tsv); or the file of ids of each part (train, valid,
        test), as text with an id on each line or as a pickled list.

    Returns
    -------
    Series (tracks,) of str
        train, valid or test, by track id.

    Raises
    ------
    CatalogError
        A file is missing, is none of these, or has a track in two parts.
    """
    if isinstance(source, Mapping):
        parts = {part: _read_ids(Path(path)) for part, path in source.items()}
    elif Path(source).is_dir():
        parts = _published(Path(source))
    else:
        return _read_split_table(Path(source))
    if set(parts) - set(SPLIT_PARTS):
        raise CatalogError(f"a split has the parts {', '.join(SPLIT_PARTS)}, not {', '.join(parts)}.")
    rows = [(tid, part) for part, ids in parts.items() for tid in ids]
    return _as_split("the split", rows)


def balanced_subset(labels: pd.DataFrame, n: int, seed: int = 0) -> tuple[pd.Index, pd.DataFrame]:
    """Choose `n` clips with tags as evenly frequent as possible: each step adds a clip of the rarest tag.

    Parameters
    ----------
    labels : DataFrame (clips, tags) of bool

    Returns
    -------
    clips : Index
        In the order of `labels`.
    report : DataFrame (tags,)
        Positives in the `whole` and in the `subset`, and their shares of the clips; its attribute
        ``attrs["ratio"]`` holds the ratios of most to least frequent tag (whole, subset).

    Raises
    ------
    CatalogError
        Fewer than `n` clips carry a tag.
    """
    flags = labels.to_numpy(bool)
    tagged = np.flatnonzero(flags.any(axis=1))
    if not 0 < n <= len(tagged):
        raise CatalogError(f"a subset of {n} clips cannot be chosen: {len(tagged)} clips carry a tag; ask for fewer.")
    order = np.random.default_rng(seed).permutation(tagged)
    # Clips with fewer tags first: they move one count and not the frequent ones along with it.
    order = order[np.argsort(flags[order].sum(axis=1), kind="stable")]
    queues = [list(order[flags[order, tag]][::-1]) for tag in range(flags.shape[1])]
    counts = np.zeros(flags.shape[1])
    counts[[not queue for queue in queues]] = np.inf
    chosen: set[int] = set()
    while len(chosen) < n:
        tag = int(counts.argmin())
        while queues[tag] and queues[tag][-1] in chosen:
            queues[tag].pop()
        if not queues[tag]:
            counts[tag] = np.inf
            continue
        clip = queues[tag].pop()
        chosen.add(clip)
        counts += flags[clip]
    picked = labels.index[sorted(chosen)]
    report = pd.DataFrame({"whole": labels.sum(), "subset": labels.loc[picked].sum()})
    report["whole_share"], report["subset_share"] = report["whole"] / len(labels), report["subset"] / n
    ratios = [float(report[c].max() / max(1, report.loc[report["whole"] > 0, c].min())) for c in ("whole", "subset")]
    report.attrs["ratio"] = tuple(ratios)
    return picked, report


def top_tags(base: sqlite3.Connection, k: int, min_val: int = 50) -> tuple[str, ...]:
    """The `k` most frequent tags of an open lastfm_tags.db, most frequent first; ties by name.

    Raises
    ------
    sqlite3.DatabaseError
        The database is damaged; `read` says which.
    """
    query = (
        "SELECT tags.tag FROM tid_tag JOIN tags ON tags.ROWID = tid_tag.tag WHERE tid_tag.val > ? "
        "GROUP BY tid_tag.tag ORDER BY COUNT(*) DESC, tags.tag LIMIT ?"
    )
    return tuple(tag for (tag,) in base.execute(query, (min_val, k)))


@contextmanager
def _open(path: Path, tables: Mapping[str, Sequence[str]]) -> Iterator[sqlite3.Connection]:
    """A database with these tables and columns, for reading; damage that shows while it is read names it."""
    if not path.is_file():
        raise CatalogError(f"{path} is not a file; fetch it, or check its name.")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as base:
            for table, columns in tables.items():
                known = {row[1] for row in base.execute(f"PRAGMA table_info({table})")}
                missing = set(columns) - known
                if missing:
                    raise CatalogError(f"{path} has no {table}.{', '.join(sorted(missing))}; fetch it again.")
            yield base
    except sqlite3.DatabaseError as error:
        raise CatalogError(f"{path} is no SQLite database or a damaged one ({error}); fetch it again.") from error


def _labels(
    path: Path, base: sqlite3.Connection, tags: Sequence[str], min_val: int, only: list[str] | None
) -> pd.DataFrame:
    """Labels (tracks, tags) of bool: the tracks of `only`, or all that carry one of the tags."""
    try:
        numbers = {tag: row for row, tag in base.execute("SELECT ROWID, tag FROM tags") if tag in set(tags)}
        missing = [tag for tag in tags if tag not in numbers]
        if missing:
            raise CatalogError(f"{path} knows no tag {', '.join(missing[:5])}; check the vocabulary's spelling.")
        tids = pd.Series(dict(base.execute("SELECT ROWID, tid FROM tids")), dtype="str")
        marks = ",".join("?" * len(numbers))
        query = f"SELECT tid, tag FROM tid_tag WHERE val > ? AND tag IN ({marks})"
        pairs = np.array(base.execute(query, (min_val, *numbers.values())).fetchall(), dtype=np.int64).reshape(-1, 2)
    except (ValueError, TypeError) as error:
        if isinstance(error, CatalogError):
            raise
        raise CatalogError(f"{path} is damaged ({error}); fetch it again.") from error
    rows = tids.reindex(pairs[:, 0])
    if rows.isna().any():
        raise CatalogError(f"{path} has tags of tracks that it does not hold; fetch it again.")
    index = pd.Index(only if only is not None else sorted(set(rows)), name="clip_id", dtype="str")
    flags = np.zeros((len(index), len(tags)), bool)
    row = index.get_indexer(rows)
    column = pd.Index([numbers[tag] for tag in tags]).get_indexer(pairs[:, 1])
    flags[row[row >= 0], column[row >= 0]] = True
    return pd.DataFrame(flags, index=index, columns=list(tags))


def _read_paths(path: Path, root: Path) -> dict[str, str]:
    header, rows = read_table(path)
    names = ("track_id", "path")
    at = find_columns(path, [name.lower() for name in header], {name: [name] for name in names}, names)
    found: dict[str, str] = {}
    for number, row in rows:
        tid, text = (row[at[name]].strip() for name in names)
        if not tid or tid in found:
            raise CatalogError(f"{path}, line {number} has {tid!r}, no track id or one that is there twice; repair it.")
        if not is_inside(text) or "\\" in text:
            raise leads_out(f"{path}, line {number}", text, root)
        found[tid] = PurePosixPath(text).as_posix()
    return found


def _clips(index: pd.Index, paths: Mapping[str, str], metadata: str | Path | None) -> pd.DataFrame:
    about = _read_metadata(Path(metadata), index) if metadata else pd.DataFrame("", index, ["artist", "song", "title"])
    clips = about.assign(path=[paths[tid] for tid in index])[["path", "artist", "song", "title"]]
    clips["song"] = clips["song"].where(clips["song"] != "", pd.Series(index, index=index))
    return clips


def _read_metadata(path: Path, index: pd.Index) -> pd.DataFrame:
    columns = ("track_id", "artist_name", "song_id", "title")
    with _open(path, {"songs": columns}) as base:
        rows = base.execute(f"SELECT {', '.join(columns)} FROM songs").fetchall()
    table = pd.DataFrame(rows, columns=["clip_id", "artist", "song", "title"], dtype="str").set_index("clip_id")
    return table[~table.index.duplicated()].reindex(index).fillna("")


def _published(folder: Path) -> dict[str, list[str]]:
    choi = {part: folder / f"{part}_x_msd_id.txt" for part in SPLIT_PARTS}
    if all(path.is_file() for path in choi.values()):
        return {part: _read_ids(path) for part, path in choi.items()}
    lee = [folder / f"filtered_list_{part}.cP" for part in ("train", "test")]
    if all(path.is_file() for path in lee):
        train, test = (_read_ids(path) for path in lee)
        return {"train": train[:LEE_TRAINING_CLIPS], "valid": train[LEE_TRAINING_CLIPS:], "test": test}
    raise CatalogError(
        f"{folder} holds neither Choi's {choi['train'].name}, ... nor Lee's {lee[0].name}, ...; name files."
    )


def _read_ids(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CatalogError(f"{path} cannot be read ({error.strerror}); check its name.") from error
    if path.suffix.lower() in (".cp", ".pkl", ".pickle"):
        ids = _unpickle(path, data)
    else:
        ids = data.decode("utf-8-sig", errors="replace").split()
    wrong = next((each for each in ids if not (each.isascii() and each.isalnum())), None)
    if not ids or wrong is not None:
        raise CatalogError(f"{path} holds no list of track ids ({str(wrong)[:40]!r}); fetch it again.")
    return ids


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles lists and strings; anything that would run code is refused."""

    def find_class(self, module: str, name: str) -> object:
        """Refuse every class and function."""
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _unpickle(path: Path, data: bytes) -> list[str]:
    try:
        content = _PlainUnpickler(io.BytesIO(data), encoding="latin-1").load()
    except Exception as error:
        raise CatalogError(
            f"{path} is no pickled list of ids ({error}); save it as text, an id on each line."
        ) from error
    if not isinstance(content, list):
        raise CatalogError(f"{path} holds a {type(content).__name__} and no list; save it as text, an id on each line.")
    return [each.decode("latin-1") if isinstance(each, bytes) else str(each) for each in content]


def _read_split_table(path: Path) -> pd.Series:
    header, rows = read_table(path)
    at = find_columns(path, [name.lower() for name in header], SPLIT_COLUMNS, list(SPLIT_COLUMNS))
    parts = []
    for number, row in rows:
        part = PARTS.get(row[at["part"]].strip().lower())
        if part is None:
            raise CatalogError(
                f"{path}, line {number} has the part {row[at['part']]!r}; only train, valid and test are known."
            )
        parts.append((row[at["track_id"]].strip(), part))
    return _as_split(str(path), parts)


def _as_split(name: str, rows: list[tuple[str, str]]) -> pd.Series:
    split = pd.Series([part for _, part in rows], index=pd.Index([tid for tid, _ in rows], name="clip_id"), dtype="str")
    if not split.index.is_unique:
        raise CatalogError(f"{name} has track {split.index[split.index.duplicated()][0]} more than once; repair it.")
    return split
