"""MagnaTagATune: 25,863 clips of 29 s with 188 tags, its splits and its pinned top 50 tags.

E. Law, K. West, M. Mandel, M. Bay, J. S. Downie, "Evaluation of algorithms using games: the case of music tagging",
ISMIR 2009. https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tagkit.data import splits, tags
from tagkit.data.catalog import Catalog, CatalogError
from tagkit.data.download import Download
from tagkit.data.layout import ANNOTATIONS, read_layout

ABOUT = (
    "MagnaTagATune (Law et al. 2009): clips of 29 s from the Magnatune label, tagged by players of a game. Few "
    "artists, much classical, new age and electronic music; that a tag is missing may only mean that nobody typed it."
)
DOWNLOAD = Download(
    base_url="https://mirg.city.ac.uk/datasets/magnatagatune/",
    checksums={
        "annotations_final.csv": "sha256:99b94e95825d4fa576386a5367b9c96e0ec636e9f9c240aceb492f4728f68c3c",
        "clip_info_final.csv": "sha256:cb6108a10d3a91f0bfd7d2fbec2382559d15f20c8d28093f14e12162a47a3e78",
        "comparisons_final.csv": "sha256:cf210e087ed5b3f3f8b164626e1d2857cf0ba9ae66bd9229bafe042889107a98",
        "mp3.zip.001": "sha256:f857fe185968773058cc71662c2ef5d8f2d4b7338e3c122cfd52f82dcb9760b9",
        "mp3.zip.002": "sha256:fc2e1ec441755556ed1398b1808f1b08b6034372f8bc27394510c0c58cdb52ce",
        "mp3.zip.003": "sha256:83a689824c17e82f6eb81cdbc4e4ca239a4cfc1fb41f1a5c80b861caec90450f",
    },
    archive=("mp3.zip.001", "mp3.zip.002", "mp3.zip.003"),
    unpack_into="mp3",
    holds="mp3",
    download_gb=3.0,
    unpacked_gb=3.1,
)
# The 50 most frequent tags, in the order of published models' outputs. A list and not a sort: three pairs
# of counts tie (no vocal and pop, male voice and female vocal, metal and female voice), and published label files
# disagree about the last.
# fmt: off
TOP50 = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient",
    "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals",
    "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man",
    "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello", "no voice",
    "weird", "country", "metal", "female voice", "choral",
)
# fmt: on

# Every annotated clip stands in the folder that its first letter names: twelve to train on, one to validate, three
# to test.
PART_OF_FOLDER = {folder: "train" for folder in "0123456789ab"} | {"c": "valid", "d": "test", "e": "test", "f": "test"}

# The three files that are zero bytes long in the dataset itself.
ZERO_BYTE_FILES = (
    "6/norine_braun-now_and_zen-08-gently-117-146.mp3",
    "8/jacob_heringman-josquin_des_prez_lute_settings-19-gintzler__pater_noster-204-233.mp3",
    "9/american_baroque-dances_and_suites_of_rameau_and_couperin-25-le_petit_rien_xiveme_ordre_couperin-88-117.mp3",
)

# Lee's list holds three clips fewer of this record's cantata BWV 18 than `clean` does. Which three of the nine tagged
# ones is not published in text; these are the first three, and no score can tell among 15,247 training clips.
_BWV_18 = (
    "0/american_bach_soloists-j_s__bach__cantatas_volume_v-{}-gleichwie_der_regen_und_schnee_vom_himmel_fallt_bwv_18_{}"
)
_LITANY = "iii_recitative_and_litany__mein_gott_hier_wird_mein_herze_sein-{}.mp3"
LEE_LEAVES_OUT = (
    _BWV_18.format("01", "i_sinfonia-117-146.mp3"),
    _BWV_18.format("03", _LITANY.format("30-59")),
    _BWV_18.format("03", _LITANY.format("59-88")),
)


def read(root: str | Path, merge_synonyms: bool = False, seed: int = 0) -> Catalog:
    """Read MagnaTagATune's annotations and clip info into a Catalog. No audio is read.

    Every annotated row is a clip, also the three whose files are zero bytes long: they are in no split but `all`,
    and preparing records quarantines them.

    Splits, of the 25,863 rows (train / valid / test):

    - ``all`` (18,709 / 1,825 / 5,329): by folder, every row.
    - ``pons`` (18,706 / 1,825 / 5,329): without the zero-byte files. Pons et al. 2018, MusiCNN, CLMR. The default.
    - ``clean`` (15,247 / 1,529 / 4,332): `pons` with at least one of the top 50 tags. Won et al. 2020.
    - ``lee`` (15,244 / 1,529 / 4,332): `clean` without three training clips. Lee et al. 2017 (SampleCNN).
    - ``predecessor``: 70 / 10 / 20 % of `pons`, shuffled, with songs on both sides: compares with nothing.
    - ``artist`` (about 75 / 6 / 19 % of `pons`): no artist in two parts, the top 50 tags spread as evenly as
      `splits.grouped` finds. The others share artists: see `splits.leakage_summary`.

    Parameters
    ----------
    root : path
        Holds annotations_final.csv and clip_info_final.csv (or these with .gz), and the folders 0 to f of audio,
        themselves or in `mp3/`.
    merge_synonyms : bool
        Merge spellings and words for one thing (`tags.SYNONYMS`). Scores then compare with no published score.
    seed : int
        Of the splits `predecessor` and `artist`.

    Returns
    -------
    Catalog
        With the vocabularies ``top50`` (pinned order) and ``all`` (188 tags in the file's order); when synonyms are
        merged, ``merged50`` (the top 50 under their merged names) and ``all`` instead.

    Raises
    ------
    CatalogError
        See `layout.read_layout`; also where a clip is in no folder 0 to f, or one of the top 50 tags is missing.
    """
    clips, labels = read_layout(root)
    missing = [tag for tag in TOP50 if tag not in labels.columns]
    if missing:
        raise CatalogError(
            f"{root}: {ANNOTATIONS} lacks {len(missing)} of the top 50 tags ({', '.join(missing[:3])}, ...); "
            "it is another dataset's, so read it as a folder with a CSV."
        )
    top, name = TOP50, "top50"
    table = _splits(Path(root), clips, labels[list(top)], seed)
    if merge_synonyms:
        merged = tags.canonical_names()
        labels, name = tags.merge_synonyms(labels), "merged50"
        top = tuple(dict.fromkeys(merged.get(tag, tag) for tag in top))
    return Catalog(
        name="magnatagatune",
        root=Path(root).absolute(),
        clips=clips,
        labels=labels,
        splits=table,
        vocabularies={name: top, "all": tuple(labels.columns)},
        default_split="pons",
        default_vocabulary=name,
    )


def _splits(root: Path, clips: pd.DataFrame, top50: pd.DataFrame, seed: int) -> pd.DataFrame:
    """All splits (clips, splits) of str; "" where a split leaves a clip out."""
    paths = ["/".join(path.split("/")[-2:]) for path in clips["path"]]

    def are(files: Sequence[str]) -> np.ndarray:
        return np.array([path in files for path in paths], bool)

    parts = [PART_OF_FOLDER.get(path.split("/")[0]) for path in paths]
    if None in parts:
        stray = clips.index[parts.index(None)]
        raise CatalogError(
            f"{root}: clip {stray} ({clips.at[stray, 'path']}) is in none of MagnaTagATune's folders 0 to f, so it has "
            "no place in its splits; read it as a folder with a CSV."
        )
    by_folder = pd.Series(parts, clips.index, dtype="str")
    audible = ~are(ZERO_BYTE_FILES)
    tagged = audible & top50.any(axis=1)

    def of_audible(split: pd.Series) -> np.ndarray:
        every = np.full(len(clips), "", object)
        every[audible] = split.to_numpy(object)
        return every

    table = {
        "all": by_folder,
        "pons": by_folder.where(audible, ""),
        "clean": by_folder.where(tagged, ""),
        "lee": by_folder.where(tagged & ~are(LEE_LEAVES_OUT), ""),
        "predecessor": of_audible(splits.shuffled(clips.index[audible], (0.7, 0.1, 0.2), seed)),
    }
    artists = clips.loc[audible, "artist"]
    if artists.nunique() >= 3:
        table["artist"] = of_audible(splits.grouped(top50[audible], artists, seed=seed))
    return pd.DataFrame(table, index=clips.index, dtype="str")
