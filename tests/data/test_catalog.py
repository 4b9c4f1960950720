import hashlib
import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from tagkit.data.catalog import Catalog, CatalogError
from tagkit.data.tables import read_rows


def a_catalog(clips=3, path="a/{}.mp3"):
    index = pd.Index([str(k) for k in range(clips)], name="clip_id", dtype="str")
    about = {"path": [path.format(k) for k in range(clips)], "artist": "A", "song": "S", "title": 'a "b", c'}
    labels = np.random.default_rng(0).random((clips, 2)) < 0.5
    return Catalog(
        name="some",
        root="/music",
        clips=pd.DataFrame(about, index),
        labels=pd.DataFrame(labels, index, ["guitar", "piano"]),
        splits=pd.DataFrame({"random": ["train"] * clips}, index),
        vocabularies={"all": ("guitar", "piano")},
        default_split="random",
        default_vocabulary="all",
    )


@pytest.mark.parametrize("clips", [0, 3, 1024, 3000])
def test_the_fingerprint_is_that_of_the_whole_tables(clips):
    """Records are known by it, so it stays what it was when tables were written out in one piece."""
    catalog = a_catalog(clips)
    tables = (catalog.clips, catalog.labels, catalog.splits)
    text = "".join(table.to_csv(lineterminator="\n") for table in tables) + json.dumps({"all": ["guitar", "piano"]})
    assert catalog.fingerprint() == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("path", ["", "/a/{}.mp3", "../{}.mp3", "a/../../{}.mp3"])
def test_no_path_leads_out(path):
    with pytest.raises(CatalogError, match="is empty or leads out of /music"):
        a_catalog(1, path)


def test_dots_in_names_lead_nowhere():
    assert len(a_catalog(2, "a..b/...{}..mp3")) == 2


def test_rows_of_a_table_are_not_held(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("x,y\n" + "a text that is long,0\n" * 100_000)
    tracemalloc.start()
    assert sum(1 for _ in read_rows(path, ",")) == 100_001
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < path.stat().st_size / 10
