"""Fixtures shared by all tests."""

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from tagkit.data.catalog import Catalog
from tagkit.data.prepare import prepare
from tagkit.data.records import Records


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard():
    """A shell that starts the tests in the background has them ignore Ctrl-C, and so every process they start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real recordings (mini-mtat/, mtat-metadata/), named by TAGKIT_REAL_DATA."""
    folder = os.environ.get("TAGKIT_REAL_DATA")
    if not folder:
        pytest.skip("TAGKIT_REAL_DATA names no folder with real recordings: this test did not run")
    return Path(folder).resolve()


TONES_HZ = {"low": 220.0, "middle": 880.0, "high": 3520.0}


@pytest.fixture(scope="session")
def tone_catalog(tmp_path_factory) -> Catalog:
    """36 clips of 4 to 5 s: one tone in noise each, tagged low, middle or high; clip 7's file is empty."""
    root = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    names = list(TONES_HZ)
    rows, labels = [], []
    for k in range(36):
        tag = names[k % 3]
        t = np.arange(64_000 + 500 * k) / 16_000
        y = 0.3 * np.sin(2 * np.pi * TONES_HZ[tag] * t + rng.uniform(0, 6)) + 0.05 * rng.standard_normal(len(t))
        path = root / f"{k % 4}" / f"clip {k}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, y, 16_000)
        rows.append((str(k), path.relative_to(root).as_posix(), f"artist {k // 3}", f"song {k // 2}", f"title {k}"))
        labels.append([tag == name for name in names])
    (root / rows[7][1]).write_bytes(b"")
    clips = pd.DataFrame(rows, columns=["clip_id", "path", "artist", "song", "title"]).set_index("clip_id")
    parts = ["train"] * 24 + ["valid"] * 6 + ["test"] * 6
    return Catalog(
        name="tones",
        root=root,
        clips=clips,
        labels=pd.DataFrame(labels, clips.index, names),
        splits=pd.DataFrame({"order": parts}, clips.index),
        vocabularies={"all": tuple(names), "two": ("high", "low")},
        default_split="order",
        default_vocabulary="all",
    )


@pytest.fixture(scope="session")
def tone_records(tone_catalog, tmp_path_factory) -> Records:
    """`tone_catalog`, prepared."""
    return prepare(
        tone_catalog, tmp_path_factory.mktemp("records"), sr=16_000, clips_per_shard=5, jobs=2, progress=False
    )


@pytest.fixture(scope="session")
def scores_folder(tmp_path_factory) -> Path:
    """A folder with the demo's scores as `render` keeps them, read once for all tests of a run."""
    from tagkit.data.demo import build

    folder = tmp_path_factory.mktemp("scores")
    build.load_scores(folder, jobs=2)
    return folder
