"""The examples in docstrings give what they say."""

import doctest
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tagkit import audio
from tagkit.data import folder
from tagkit.data.catalog import Catalog
from tagkit.data.prepare import prepare
from tagkit.data.records import Records
from tagkit.graph import zoo
from tagkit.training.loop import train


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder that holds what the examples speak of: music/ and records/."""
    desk = tmp_path_factory.mktemp("desk")
    seconds = np.arange(16_000) / 16_000
    for tag, hz in (("low", 110), ("high", 880)):
        for k in range(5):
            audio.save(desk / "music" / tag / f"{k}.flac", 0.5 * np.sin(2 * np.pi * (hz + 10 * k) * seconds), 16_000)
    catalog = folder.read(desk / "music")
    prepare(catalog, desk / "records", sr=16_000, jobs=1, progress=False)
    # Dealt by hand: of ten clips, both tags in every part.
    parts = pd.DataFrame({"hand": ["train", "train", "train", "valid", "test"] * 2}, catalog.clips.index)
    dealt = replace(catalog, splits=parts, default_split="hand")
    prepare(dealt, desk / "records to train on", sr=16_000, jobs=1, progress=False)
    return desk


@pytest.mark.parametrize(
    "documented", [audio.load, Catalog, prepare, Records, train, zoo.build], ids=lambda each: each.__name__
)
def test_examples_in_docstrings(documented, desk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "music").symlink_to(desk / "music")
    if documented in (Records, train):
        (tmp_path / "records").symlink_to(desk / ("records" if documented is Records else "records to train on"))
    names = {documented.__name__: documented}
    (example,) = doctest.DocTestFinder(recurse=False).find(documented, documented.__name__, globs=names)
    said: list[str] = []
    result = doctest.DocTestRunner().run(example, out=said.append)
    assert result.attempted and not result.failed, "".join(said)
