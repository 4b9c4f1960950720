"""Opening what others have made runs none of their code: runs, checkpoints, tables, packages."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile

from tagkit.analysis.feature_maps import FeatureMaps
from tagkit.deploy.export.script import script
from tagkit.evaluation import embed
from tagkit.system import files
from tagkit.training.config import TrainingConfig
from tagkit.training.loop import train
from tagkit.training.runs import Run, TrainingError

CONFIG = TrainingConfig(model="ds256ra", steps=2, batch_size=2, eval_every=1)


class Touch:
    """Unpickled, it makes a file: the trace of code that ran."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return (os.mkdir, (str(self.trace),))


@pytest.fixture
def trace(tmp_path):
    """A folder that malicious files make when they are given the chance."""
    path = tmp_path / "it ran"
    pickle.loads(pickle.dumps(Touch(path)))  # noqa: S301  (so it would)
    path.rmdir()
    yield path
    assert not path.exists(), "code from a file was run"


@pytest.fixture
def run(tone_records, tmp_path) -> Run:
    return train(CONFIG, tone_records, tmp_path / "run", progress=False)


def malicious_keras(path: Path, trace: Path) -> Path:
    """A .keras file with a layer that holds code."""
    code = eval(f"lambda x: (__import__('os').makedirs({str(trace)!r}, exist_ok=True), x)[1]")  # noqa: S307
    keras.Sequential([keras.Input((1,)), keras.layers.Lambda(code)]).save(path)
    shutil.rmtree(trace)  # building it ran it
    keras.saving.load_model(path, safe_mode=False)
    shutil.rmtree(trace)  # and so would loading it without a care
    return path


def test_weights_that_are_a_pickle_or_a_keras_file_are_refused(run, trace, tmp_path):
    malicious_keras(tmp_path / "model.keras", trace)
    for content in (pickle.dumps(Touch(trace)), (tmp_path / "model.keras").read_bytes()):
        run.best_weights.write_bytes(content)
        with pytest.raises(TrainingError, match=r"best\.weights\.h5 holds no weights of ds256ra"):
            run.model()


def test_a_record_names_tables_only(run, trace):
    row = run.record["row"] | {"table": "os.system"}
    files.write_json(run.root / "run.json", run.record | {"row": row})
    with pytest.raises(ValueError, match=r"os\.system"):
        Run.open(run.root).model()


@pytest.mark.parametrize("name", ["checkpoint", "embeddings", "feature maps"])
def test_arrays_that_are_pickles_are_refused(name, trace, tone_records, tmp_path):
    path = tmp_path / "checkpoint.npz"
    hidden = np.array([Touch(trace)], dtype=object)
    np.savez(path, **dict.fromkeys(("progress", "about", "y", "vectors", "names", "files", "starts"), hidden))
    with pytest.raises(ValueError, match=r"pickle|damaged|holds no"):
        if name == "checkpoint":
            train(CONFIG, tone_records, tmp_path, progress=False)
        elif name == "embeddings":
            embed.Embeddings.load(path)
        else:
            FeatureMaps.load(path)


def test_the_script_of_a_package_refuses_a_network_with_code(trace, tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    malicious_keras(package / "model.keras", trace)
    (package / "tag.py").write_text(script("keras"))
    files.write_json(package / "model.json", {"tags": ["a"], "sample_rate": 16_000, "window": 1})
    soundfile.write(package / "song.wav", 0.5 * np.sin(np.arange(16_000) / 6), 16_000)
    done = subprocess.run(
        [sys.executable, "tag.py", "song.wav"], cwd=package, capture_output=True, text=True, timeout=300
    )
    assert done.returncode
    assert "Lambda" in done.stderr and "unsafe" in done.stderr, done.stderr
