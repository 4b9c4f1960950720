"""Keras' own settings, from a file, the environment or a notebook, change nothing."""

import json
import os
import subprocess
import sys

import keras
import pytest

from tagkit.system import keras_settings

CODE = """
import json, sys
import numpy as np
{before}
from tagkit.graph import zoo
from tagkit.system import keras_settings
model = zoo.build("ds256ra", n_tags=3, seed=1)
y = np.sin(np.arange(model.input_shape[1]) / 9)[None, :, None].astype("float32")
print(json.dumps([model(y).numpy().tolist(), model.compute_dtype, keras_settings.in_force()]))
"""


def network(home, before="", **environment):
    """Output, precision and settings of a network, and what was said, in a process with a home of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(before=before)],
        env=os.environ | {"HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    found, said = network(tmp_path_factory.mktemp("home"))
    assert found[1] == "float32" and "sets aside" not in said
    assert (
        found[2].items() >= {"backend": "tensorflow", "floatx": "float32", "image_data_format": "channels_last"}.items()
    )
    return found


def test_a_file_changes_nothing(tmp_path, plain):
    settings = {"floatx": "float64", "image_data_format": "channels_first", "epsilon": 1e-3, "backend": "torch"}
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(settings))
    found, said = network(tmp_path, KERAS_BACKEND="jax")
    assert found == plain
    assert "sets aside your settings of Keras (backend jax, floatx float64" in said


def test_a_notebook_that_imported_keras_first(tmp_path, plain):
    before = "import keras; keras.config.set_dtype_policy('mixed_float16'); keras.config.set_floatx('float64')"
    found, said = network(tmp_path, before)
    assert found == plain and "dtype policy mixed_float16" in said


def test_another_backend_that_already_runs_is_named(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    with pytest.raises(ValueError, match="Keras already runs on torch in this process"):
        keras_settings.settle()
