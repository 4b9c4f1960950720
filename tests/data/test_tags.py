import numpy as np
import pandas as pd
import pytest

from tagkit.data import magnatagatune, tags


def frame(**columns):
    return pd.DataFrame({name.replace("_", " "): np.array(flags, bool) for name, flags in columns.items()})


def test_top50_is_fifty_tags_with_the_disputed_pair_pinned():
    top = magnatagatune.TOP50
    assert len(set(top)) == len(top) == 50
    assert (top[0], top[-1], top.index("metal"), top.index("female voice")) == ("guitar", "choral", 47, 48)


def test_merging_keeps_order_and_takes_any_member():
    labels = frame(beats=[1, 0, 0], rock=[0, 0, 1], beat=[0, 1, 0])
    merged = tags.merge_synonyms(labels)
    assert list(merged.columns) == ["beat", "rock"]
    assert merged["beat"].tolist() == [True, True, False]
    assert merged["rock"].tolist() == [False, False, True]


def test_groups_that_cannot_be_merged_are_named():
    with pytest.raises(ValueError, match="'beats' is in the groups 'beat' and 'drums'"):
        tags.merge_synonyms(frame(beat=[1]), {"beat": ("beat", "beats"), "drums": ("beats",)})
    with pytest.raises(ValueError, match="'rock' takes the name of a tag that it does not hold"):
        tags.merge_synonyms(frame(beat=[1], rock=[0]), {"rock": ("beat",)})


def test_contradictions_name_both_kinds():
    labels = frame(no_vocals=[1, 1, 0], singing=[1, 0, 1], male_voice=[1, 0, 0])
    found = tags.contradictions(labels)
    assert found.to_dict("index") == {0: {"absent": "no vocals", "present": "male voice, singing"}}
    assert len(tags.contradictions(frame(rock=[1, 0]))) == 0
