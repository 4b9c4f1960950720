"""Fixtures shared by all tests."""

import gc
import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import numpy as np
import pandas as pd
import pytest
import soundfile

from tagkit.data.catalog import Catalog
from tagkit.data.prepare import prepare
from tagkit.data.records import Records

if TYPE_CHECKING:
    from tagkit.training.runs import Run


def pytest_collection_finish():
    """What imports have left, a million objects of TensorFlow's, is not looked through for garbage again and again."""
    gc.freeze()


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


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A folder with something that all tests of a run share, also where several processes run them.

    `made_once(name, make)` calls `make(folder)` in the first process that asks.
    """
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        place, done = root / name, root / f"{name}.done"
        with filelock.FileLock(root / f"{name}.lock"):
            if not done.exists():
                make(place)
                done.touch()
        return place

    return folder


TONES_HZ = {"low": 220.0, "middle": 880.0, "high": 3520.0}


def write_tones(root: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(36):
        t = np.arange(64_000 + 8_750 * (k // 3 % 3)) / 16_000  # few lengths: networks are rebuilt for each
        frequency = list(TONES_HZ.values())[k % 3]
        y = 0.3 * np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6)) + 0.05 * rng.standard_normal(len(t))
        path = root / f"{k % 4}" / f"clip {k}.wav"
        path.parent.mkdir(exist_ok=True, parents=True)
        soundfile.write(path, y, 16_000)
    (root / "3" / "clip 7.wav").write_bytes(b"")


@pytest.fixture(scope="session")
def tone_catalog(made_once) -> Catalog:
    """36 clips of 4 to 5 s: one tone in noise each, tagged low, middle or high; clip 7's file is empty."""
    root = made_once("tones", write_tones)
    names = list(TONES_HZ)
    rows = [(str(k), f"{k % 4}/clip {k}.wav", f"artist {k // 3}", f"song {k // 2}", f"title {k}") for k in range(36)]
    labels = [[k % 3 == n for n in range(3)] for k in range(36)]
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
        tasks={"all": "multi-label"},  # although each has one
    )


@pytest.fixture(scope="session")
def tone_records(tone_catalog, made_once) -> Records:
    """`tone_catalog`, prepared."""
    make = partial(prepare, tone_catalog, sr=16_000, clips_per_shard=5, jobs=2, progress=False)
    return Records.open(made_once("records", make))


@pytest.fixture(scope="module")
def run(tone_records, made_once, tmp_path_factory) -> "Run":
    """A network that learned the tones, in a folder of the test file's own."""
    from tagkit.training.config import TrainingConfig
    from tagkit.training.loop import train
    from tagkit.training.runs import Run

    config = TrainingConfig(model="ds256ra", steps=60, batch_size=16, eval_every=30, learning_rate=2e-3)
    trained = made_once("run", lambda folder: train(config, tone_records, folder, progress=False))
    return Run.open(shutil.copytree(trained, tmp_path_factory.mktemp("runs") / "run"))


@pytest.fixture(scope="session")
def scores_folder(made_once) -> Path:
    """A folder with the demo's scores as `render` keeps them, read once for all tests of a run."""
    from tagkit.data.demo import build

    return made_once("scores", partial(build.load_scores, jobs=2))
