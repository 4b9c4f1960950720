"""MagnaTagATune: 25,863 clips of 29 s with 188 tags (Law et al. 2009), its splits and its pinned top 50 tags."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tagkit.data import splits, tags
from tagkit.data.catalog import Catalog, CatalogError
from tagkit.data.layout import ANNOTATIONS, read_layout

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
    missing = [tag for tag in tags.MAGNATAGATUNE_TOP50 if tag not in labels.columns]
    if missing:
        raise CatalogError(
            f"{root}: {ANNOTATIONS} lacks {len(missing)} of the top 50 tags ({', '.join(missing[:3])}, ...); "
            "it is another dataset's, so read it as a folder with a CSV."
        )
    top, name = tags.MAGNATAGATUNE_TOP50, "top50"
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
