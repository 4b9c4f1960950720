import numpy as np
import pandas as pd
import pytest

from tagkit.data import splits
from tagkit.data.catalog import Catalog, CatalogError


def catalog(artists, parts, labels=None):
    index = pd.Index([str(k) for k in range(len(artists))], name="clip_id")
    clips = pd.DataFrame({"path": "a.wav", "artist": artists, "song": artists, "title": ""}, index=index)
    flags = pd.DataFrame({"rock": labels if labels is not None else [True] * len(artists)}, index=index)
    table = pd.DataFrame({"standard": parts}, index=index)
    return Catalog("toy", "/", clips, flags, table, {"all": ("rock",)}, "standard", "all")


@pytest.fixture
def artists_and_labels():
    rng = np.random.default_rng(3)
    artists = pd.Series([f"artist {k}" for k in rng.integers(60, size=900)], index=[str(k) for k in range(900)])
    probability = rng.random((60, 5)) * 0.5
    flags = rng.random((900, 5)) < probability[[int(name.split()[1]) for name in artists]]
    return artists, pd.DataFrame(flags, index=artists.index, columns=list("abcde"))


def test_grouped_keeps_groups_together_and_is_fixed_by_its_seed(artists_and_labels):
    artists, labels = artists_and_labels
    split = splits.grouped(labels, artists, steps=2000)
    assert pd.crosstab(artists, split).gt(0).sum(axis=1).eq(1).all()
    assert split.equals(splits.grouped(labels, artists, steps=2000))
    assert not split.equals(splits.grouped(labels, artists, steps=2000, seed=1))


def test_grouped_spreads_sizes_and_tags_better_than_chance(artists_and_labels):
    artists, labels = artists_and_labels

    def worst(split):
        shares = labels.groupby(split).mean() - labels.mean()
        sizes = split.value_counts(normalize=True)[["train", "valid", "test"]] - np.array(splits.FRACTIONS)
        return max(shares.abs().max().max(), sizes.abs().max())

    chance = [worst(splits.grouped(labels, artists, steps=0, seed=seed)) for seed in range(10)]
    assert worst(splits.grouped(labels, artists, steps=4000)) < 0.5 * min(chance)


@pytest.mark.parametrize("groups", [3, 6, 12, 40])
def test_the_test_part_holds_half_of_few_groups(groups):
    rng = np.random.default_rng(groups)
    artists = pd.Series([f"artist {k % groups}" for k in range(300)])
    labels = pd.DataFrame(rng.random((300, 4)) < 0.3)
    for seed in range(5):
        split = splits.grouped(labels, artists, seed=seed)
        assert artists[split == "test"].nunique() >= min(splits.TEST_GROUPS, groups // 2)
        assert set(split) == {"train", "valid", "test"}


def test_clips_without_an_artist_are_their_own_group(artists_and_labels):
    _, labels = artists_and_labels
    split = splits.grouped(labels, pd.Series("", index=labels.index), steps=1000)
    assert set(split) == {"train", "valid", "test"}


def test_two_groups_cannot_make_three_parts():
    labels = pd.DataFrame({"rock": [True, False, True]})
    with pytest.raises(CatalogError, match="2 groups cannot be split"):
        splits.grouped(labels, pd.Series(["x", "x", "y"]))


@pytest.mark.parametrize("group", [np.nan, None])
def test_a_clip_that_the_groups_lack_is_named(artists_and_labels, group):
    artists, labels = artists_and_labels
    with pytest.raises(CatalogError, match=r'clip 7 has no group \(2 in all\); give every clip one, or "" for its own'):
        splits.grouped(labels, artists.drop(["7", "9"]), steps=10)
    artists["5"] = group
    with pytest.raises(CatalogError, match=r"clip 5 has no group \(1 in all\)"):
        splits.grouped(labels, artists, steps=10)


def test_shuffled_has_the_stated_sizes_and_seed():
    index = pd.Index([str(k) for k in range(1000)])
    split = splits.shuffled(index)
    assert split.value_counts().to_dict() == {"train": 700, "valid": 100, "test": 200}
    assert split.equals(splits.shuffled(index))
    assert not split.equals(splits.shuffled(index, seed=1))


def test_leakage_counts_shared_artists_and_passes_over_unknown_ones():
    toy = catalog(
        ["shared", "shared", "shared", "alone", "late", "late", "", ""],
        ["train", "test", "test", "train", "valid", "test", "train", "test"],
    )
    report = splits.leakage(toy)
    assert report.to_dict("index") == {
        "shared": {"train": 1, "valid": 0, "test": 2},
        "late": {"train": 0, "valid": 1, "test": 1},
    }
    assert splits.leakage_summary(toy).loc["standard"].to_dict() == {
        "groups": 3,
        "in_several_parts": 2,
        "in_train_and_test": 1,
        "test_clips": 4,
        "test_clips_affected": 2,
    }


@pytest.mark.parametrize("report", [splits.leakage, splits.balance])
def test_a_split_that_is_not_there_is_answered_with_those_that_are(report):
    with pytest.raises(CatalogError, match="toy has no split 'typo'; choose one of standard"):
        report(catalog(["a"] * 3, ["train", "valid", "test"]), split="typo")


def test_balance_gives_shares_in_percentage_points():
    toy = catalog(["a"] * 8, ["train"] * 4 + ["valid"] * 2 + ["test"] * 2, [1, 1, 0, 0, 1, 1, 0, 0])
    row = splits.balance(toy).loc["rock"]
    assert (row["whole"], row["train"], row["valid"], row["test"]) == (0.5, 0.5, 1.0, 0.0)
    assert (row["valid_positives"], row["valid_of_tag"], row["deviation"]) == (2, 0.5, 50.0)
