import csv

import numpy as np
import pytest

from tagkit import cli
from tagkit.data import magnatagatune, splits, tags
from tagkit.data.catalog import CatalogError
from tagkit.data.layout import CLIP_INFO_COLUMNS

TAGS = [*magnatagatune.TOP50, "no voices", "lol"]


def write_dataset(root, paths, top=TAGS):
    """A MagnaTagATune of one clip for each path; clip k carries tag k (modulo), by artist k // 2."""
    (root / "mp3").mkdir(parents=True, exist_ok=True)
    for name, header, row in (
        (
            "annotations_final.csv",
            ["clip_id", *top, "mp3_path"],
            lambda k: [int(k % len(top) == t) for t in range(len(top))],
        ),
        ("clip_info_final.csv", CLIP_INFO_COLUMNS, lambda k: ["1", f"t{k}", f"a{k // 2}", "al", "", "0", "29", ""]),
    ):
        with (root / name).open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
            writer.writerow(header)
            writer.writerows([k, *row(k), path] for k, path in enumerate(paths))
    return root


def test_folders_decide_the_standard_splits(tmp_path):
    paths = [f"{folder}/x-{folder}-0-29.mp3" for folder in "0123456789abcdef"] + [magnatagatune.ZERO_BYTE_FILES[0]]
    catalog = magnatagatune.read(write_dataset(tmp_path, paths))
    assert catalog.split_sizes("all") == {"train": 13, "valid": 1, "test": 3}
    assert catalog.split_sizes("pons") == {"train": 12, "valid": 1, "test": 3}
    assert (catalog.default_split, catalog.default_vocabulary, catalog.cluster_by) == ("pons", "top50", "artist")
    assert catalog.tags() == magnatagatune.TOP50
    assert catalog.tags("all") == tuple(TAGS)
    assert catalog["3"].path == tmp_path / "mp3/3/x-3-0-29.mp3"
    assert len(catalog) == 17, "the zero-byte file stays a row: preparing quarantines it with a reason"


def test_the_command_takes_the_seed_of_the_splits(tmp_path):
    paths = [f"{k % 12:x}/x-{k}-0-29.mp3" for k in range(60)]
    arguments = ["prepare", "magnatagatune", "--root", str(write_dataset(tmp_path, paths)), "--out", "nowhere"]
    found = []
    for chosen in ([], ["--seed", "3"]):
        args = cli._parser().parse_args([*arguments, *chosen])
        found.append(args.read(args).splits)
    assert found[0].equals(magnatagatune.read(tmp_path).splits)
    assert found[1].equals(magnatagatune.read(tmp_path, seed=3).splits)
    assert not found[0]["predecessor"].equals(found[1]["predecessor"])


def test_clean_and_lee_leave_out_what_they_say(tmp_path):
    paths = [f"0/x-{k}-0-29.mp3" for k in range(52)] + list(magnatagatune.LEE_LEAVES_OUT)
    catalog = magnatagatune.read(write_dataset(tmp_path, paths))
    assert catalog.split_sizes("pons")["train"] == 55
    assert catalog.split_sizes("clean")["train"] == 53, "clips 50 and 51 carry no top-50 tag"
    assert catalog.split_sizes("lee")["train"] == 50


def test_a_clip_outside_the_folders_is_named(tmp_path):
    with pytest.raises(CatalogError, match=r"clip 0 \(mp3/x/y.mp3\) is in none of MagnaTagATune's folders"):
        magnatagatune.read(write_dataset(tmp_path, ["x/y.mp3"]))


def test_other_datasets_are_refused(tmp_path):
    with pytest.raises(CatalogError, match=r"lacks 49 of the top 50 tags \(classical, slow, techno"):
        magnatagatune.read(write_dataset(tmp_path, ["0/y.mp3"], top=["guitar"]))


def test_merged_synonyms_keep_pinned_order_and_another_name(tmp_path):
    catalog = magnatagatune.read(write_dataset(tmp_path, [f"0/{k}.mp3" for k in range(52)]), merge_synonyms=True)
    merged = catalog.tags()
    assert catalog.default_vocabulary == "merged50"
    assert "top50" not in catalog.vocabularies
    assert merged[:3] == ("guitar", "classical", "slow")
    assert len(merged) == len(set(merged)) == 36
    assert catalog.labels["vocals"].sum() == 4, "vocal, vocals, singing and voice of the top 50"
    assert catalog.labels["no vocals"].sum() == 4, "no vocal, no vocals, no voice, no voices"


@pytest.fixture(scope="module")
def full(real_data):
    return magnatagatune.read(real_data / "mtat-metadata")


@pytest.mark.real_data
def test_split_sizes_of_the_whole_dataset(full):
    sizes = {name: tuple(full.split_sizes(name).values()) for name in ("all", "pons", "clean", "lee")}
    assert sizes == {
        "all": (18709, 1825, 5329),
        "pons": (18706, 1825, 5329),
        "clean": (15247, 1529, 4332),
        "lee": (15244, 1529, 4332),
    }
    assert sum(full.split_sizes("predecessor").values()) == sum(full.split_sizes("artist").values()) == 25860
    assert full.clips["song"].nunique() == 5405


@pytest.mark.real_data
def test_tag_counts_of_the_whole_dataset(full):
    # fmt: off
    counts = [4851, 4270, 3547, 2954, 2727, 2598, 2519, 2371, 2305, 2056, 1956, 1906, 1826, 1729, 1717, 1474, 1395,
              1296, 1279, 1211, 1184, 1158, 1092, 1086, 1055, 1024, 1016, 1002, 995, 995, 985, 926, 826, 741, 690,
              688, 665, 650, 649, 644, 644, 634, 622, 575, 573, 557, 541, 505, 505, 490]
    # fmt: on
    audible = full.labels[full.splits["pons"] != ""]
    assert audible[list(full.tags())].sum().tolist() == counts
    assert set(audible.sum().nlargest(50).index) == set(full.tags()) == set(magnatagatune.TOP50)
    assert len(full.tags("all")) == 188
    assert len(tags.contradictions(audible)) == 82


@pytest.mark.real_data
def test_leakage_of_the_whole_dataset(full):
    report = splits.leakage_summary(full)
    assert report.loc["pons"].tolist() == [230, 56, 45, 5329, 3284]
    assert report.loc["clean", "test_clips_affected"] == 2680
    assert report.loc["artist", "in_several_parts"] == 0
    songs = splits.leakage_summary(full, by="song")
    assert songs.loc["pons", "in_several_parts"] == 0
    assert songs.loc["predecessor", "test_clips_affected"] > 4500


@pytest.mark.real_data
def test_artist_split_spreads_every_top50_tag_within_3_points(full):
    balance = splits.balance(full, "artist")
    assert balance["deviation"].max() < 2.0, "a tag's share of a part, from its share of the whole"
    of_tag = balance[["train_of_tag", "valid_of_tag", "test_of_tag"]].to_numpy()
    assert 100 * np.abs(of_tag - splits.FRACTIONS).max() < 2.5, "a part's share of a tag's clips, from 12:1:3"
    assert balance[["valid_positives", "test_positives"]].min().tolist() >= [20, 80]


@pytest.mark.real_data
def test_the_small_real_dataset(real_data):
    catalog = magnatagatune.read(real_data / "mini-mtat")
    assert len(catalog) == 490
    assert catalog.split_sizes() == {"train": 390, "valid": 30, "test": 67}
    leak = splits.leakage(catalog)
    assert leak.index.tolist() == ["Joram"]
    assert leak["test"].tolist() == [1]
