"""MTG-Jamendo: 55,000 full tracks under Creative Commons licences with 195 tags, in five artist-disjoint splits.

D. Bogdanov, M. Won, P. Tovstogan, A. Porter, X. Serra, "The MTG-Jamendo dataset for automatic music tagging", ICML 2019
Machine Learning for Music Discovery Workshop. https://github.com/MTG/mtg-jamendo-dataset
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from tagkit.data.catalog import Catalog, CatalogError
from tagkit.data.download import Download, DownloadError
from tagkit.data.tables import read_lines

ABOUT = (
    "MTG-Jamendo (Bogdanov et al. 2019): full tracks from jamendo.com, tagged by those who uploaded them with genres, "
    "instruments, moods and themes; that a tag is missing may only mean that nobody chose it."
)
HEADER = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]
# The name in the dataset's files of each set of tags.
SETS = {
    "top50": "autotagging_top50tags",
    "genre": "autotagging_genre",
    "instrument": "autotagging_instrument",
    "moodtheme": "autotagging_moodtheme",
    "all": "autotagging",
}
SPLITS = (0, 1, 2, 3, 4)
PARTS = {"train": "train", "validation": "valid", "test": "test"}
TARS = range(100)
SUMS = "download/raw_30s_audio-low_sha256_tars.txt"
SUMS_SHA256 = "9c28e6090fac7fae7274296622e8fc8b6e905672c18707ac02c8be716d4623c3"
# Of split 0, in the order of `PARTS`; nobody published checksums of the others.
SPLIT_0_SHA256 = {
    "autotagging_top50tags": (
        "6dee445ddd1901286184c2059d3d5eef7486f083ae80de9011705f852a850dde",
        "4f5f0f0a7662f523b45727476f67d799d6e98151b2c585a8e94e19d980ad93c1",
        "3ede06a35e6cb27e1dbe8cfc84708a607622e30e5cd0a7199fce6c081124bc35",
    ),
    "autotagging_moodtheme": (
        "e5e9e798364b34bd241b773e5011809b24429edf471f27cf21dd8181077ba2d4",
        "ecaa279367153476884d84d686479e566234cef1814bd6892a8755ba0a550dbf",
        "4341b5586bb3e5a80a882ce9ef33cb8b1bdaa7df856246ecc5de188dfe1cf394",
    ),
}


def table(split: int, name: str, part: str) -> str:
    """The file of one part of a split, relative to the dataset's folder; `name` and `part` as the dataset has them."""
    return f"splits/split-{split}/{name}-{part}.tsv"


_EVERY_TABLE = {table(n, name, part): "" for n in SPLITS for name in SETS.values() for part in PARTS}
_KNOWN = {
    table(0, name, part): f"sha256:{value}"
    for name, values in SPLIT_0_SHA256.items()
    for part, value in zip(PARTS, values, strict=True)
}
TABLES = Download(
    base_url="https://raw.githubusercontent.com/MTG/mtg-jamendo-dataset/master/data/",
    checksums={SUMS: f"sha256:{SUMS_SHA256}"} | _EVERY_TABLE | _KNOWN,
    holds="splits",
    download_gb=0.1,
)
AUDIO_URL = "https://cdn.freesound.org/mtg-jamendo/"
TAR_GB = 1.6


def tar(root: str | Path, number: int) -> Download:
    """What is fetched for one of the hundred tars of audio; its checksum is in the tables, which come first.

    Raises
    ------
    DownloadError
        The tables are not there, or know no such tar.
    """
    name, path = f"raw_30s_audio-low-{number:02}.tar", Path(root) / SUMS
    if not path.is_file():
        raise DownloadError(f"{path} is missing; run `tagkit download jamendo`.")
    sums = dict(reversed(line.split()) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    if name not in sums:
        raise DownloadError(f"{path} knows no {name}; tars are numbered from 0 to {len(sums) - 1}.")
    return Download(
        base_url=AUDIO_URL,
        checksums={f"raw_30s/audio-low/{name}": f"sha256:{sums[name]}"},
        archive=(f"raw_30s/audio-low/{name}",),
        unpack_into="audio-low",
        holds=f"audio-low/{number:02}",
        download_gb=TAR_GB,
        unpacked_gb=TAR_GB,
    )


def read(root: str | Path, tags: str = "top50", split: int = 0) -> Catalog:
    """Read a set of tags of MTG-Jamendo as a Catalog: the tracks of the tars that are there. No audio is read.

    Parameters
    ----------
    root : path
        Holds splits/ and audio-low/ as `tagkit download jamendo` puts them, or audio/ with files of full quality.
    tags : {"top50", "genre", "instrument", "moodtheme", "all"}
    split : {0, 1, 2, 3, 4}
        No artist is in two parts. 0 is the one that papers report on.

    Returns
    -------
    Catalog
        Tags are spelled as in the dataset ("genre---rock"), and sorted. Clip ids are the track ids.

    Raises
    ------
    CatalogError
        A table is missing or damaged, or there is no audio.
    """
    root = Path(root)
    if tags not in SETS or split not in SPLITS:
        raise CatalogError(
            f"MTG-Jamendo has no tags {tags!r} in split {split}; choose of {', '.join(SETS)} and 0 to 4."
        )
    folder, suffix = ("audio-low", ".low.mp3") if (root / "audio-low").is_dir() else ("audio", ".mp3")
    there = {path.name for path in (root / folder).glob("[0-9][0-9]")}
    if not there:
        raise CatalogError(
            f"{root} holds no audio (audio-low/00 and so on); run `tagkit download jamendo --root {root}`."
        )
    rows, parts, listed = {}, {}, {}
    for published, part in PARTS.items():
        for track, artist, path, own in _tracks(root / table(split, SETS[tags], published)):
            if track in rows:
                raise CatalogError(f"{root}: split {split} has {track} twice; fetch the tables again.")
            if path[:2] in there:
                rows[track] = (f"{folder}/{path.removesuffix('.mp3')}{suffix}", artist, track, track)
                parts[track], listed[track] = part, own
    if not rows:
        raise CatalogError(f"{root}: the tars that are there hold no track of {tags}; fetch others.")
    names = sorted(set().union(*listed.values()))
    index = pd.Index(rows, name="clip_id", dtype="str")
    flags = np.array([[name in own for name in names] for own in listed.values()], bool)
    return Catalog(
        name=f"jamendo_{tags}",
        root=root.absolute(),
        clips=pd.DataFrame(rows.values(), index, ["path", "artist", "song", "title"], dtype="str"),
        labels=pd.DataFrame(flags, index, names),
        splits=pd.DataFrame({f"split-{split}": parts.values()}, index, dtype="str"),
        vocabularies={tags: tuple(names)},
        default_split=f"split-{split}",
        default_vocabulary=tags,
    )


def _tracks(path: Path) -> Iterable[tuple[str, str, str, set[str]]]:
    """Track, artist, path and tags of each row; the tags are all columns from the sixth on."""
    lines = read_lines(path, "\t")
    _, header = next(lines)
    if header != HEADER:
        raise CatalogError(f"{path} does not start with {', '.join(HEADER)}; fetch it again.")
    for number, row in lines:
        if len(row) < len(HEADER) or not row[3].endswith(".mp3") or row[3][2:3] != "/":
            raise CatalogError(f"{path}, line {number} is no track; fetch the file again.")
        yield row[0], row[1], row[3], set(row[5:])
