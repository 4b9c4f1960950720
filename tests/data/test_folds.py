import numpy as np
import pandas as pd
import pytest

from tagkit.data import folds, splits
from tagkit.data.catalog import CatalogError


@pytest.mark.parametrize("by", folds.GROUPS)
def test_every_clip_is_tested_once_and_no_group_is_in_two_parts(tone_catalog, by):
    parts = pd.DataFrame({split: tone_catalog.parts(split) for split in folds.names(by, 5)})
    assert ((parts == "test").sum(axis=1) == 1).all() and ((parts == "valid").sum(axis=1) == 1).all()
    assert set(parts.to_numpy().ravel()) == {"train", "valid", "test"}
    if by != "clip":
        for split in parts:
            assert len(splits.leakage(tone_catalog, split, by)) == 0
    pd.testing.assert_series_equal(tone_catalog.parts(parts.columns[1]), parts.iloc[:, 1], check_names=False)


def test_tags_are_spread_over_the_folds_more_evenly_than_by_chance():
    rng = np.random.default_rng(0)
    artists = pd.Series([f"a{k}" for k in rng.integers(0, 60, 600)])
    kind = artists.map({a: rng.random(4) < 0.4 for a in artists.unique()})
    labels = pd.DataFrame(np.stack(kind) & (rng.random((600, 4)) < 0.7))
    clips = pd.DataFrame({"artist": artists, "song": ""})

    def unevenness(parts: list[pd.Series]) -> float:
        return np.std([labels[p == "test"].sum() for p in parts], axis=0).mean()

    ours = unevenness([folds.parts(split, clips, labels) for split in folds.names("artist", 5)])
    names = artists.unique()
    chance = []
    for seed in range(20):
        held = dict(zip(names, np.random.default_rng(seed).permutation(len(names)) % 5, strict=True))
        chance.append(unevenness([artists.map(held).eq(k).map({True: "test", False: "train"}) for k in range(5)]))
    assert ours < min(chance) / 2


def test_clips_without_an_artist_are_groups_of_their_own():
    clips = pd.DataFrame({"artist": [""] * 9, "song": "s"})
    labels = pd.DataFrame({"a": [True, False, True] * 3})
    sizes = [folds.parts(split, clips, labels).value_counts()["test"] for split in folds.names("artist", 3)]
    assert sizes == [3, 3, 3]
    with pytest.raises(ValueError, match="1 groups by song cannot make 3 folds"):
        folds.parts("song:1/3", clips, labels)


def test_a_split_that_is_no_fold_is_refused(tone_catalog):
    with pytest.raises(CatalogError, match="or a fold such as artist:1/5"):
        tone_catalog.parts("artist:0/5")
    with pytest.raises(ValueError, match="There is no fold 6 of 5"):
        tone_catalog.parts("artist:6/5")
    with pytest.raises(ValueError, match="2 folds are too few"):
        tone_catalog.parts("artist:1/2")


def test_a_clip_without_an_artist_is_not_of_the_artist_that_bears_its_name():
    names = [f"a{k}" for k in range(6)]
    clips = pd.DataFrame({"artist": ["", *names[:1], *names[2:]], "song": ""}, index=names)
    labels = pd.DataFrame({"tag": [True] * 6}, index=names)
    found = [folds.parts(split, clips, labels) for split in folds.names("artist", 6)]  # six groups, one in each fold
    assert [int((part == "test").sum()) for part in found] == [1] * 6
