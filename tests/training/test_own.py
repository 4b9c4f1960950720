"""Networks, losses, augmentations and front-ends from users' files: the very files that docs/own.md shows."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss

from tagkit import cli
from tagkit.data.records import Records
from tagkit.data.windows import TrainingWindows
from tagkit.evaluation import evaluate
from tagkit.graph import given, zoo
from tagkit.graph.layers import own
from tagkit.graph.specs import Row
from tagkit.system import code
from tagkit.system.code import CodeError
from tagkit.training import losses
from tagkit.training.config import TrainingConfig
from tagkit.training.loop import train
from tagkit.training.runs import Run, TrainingError

GUIDE = Path(__file__).parents[2] / "docs" / "own.md"
SETTINGS = {"steps": 2, "eval_every": 1, "batch_size": 4, "speed_semitones": 0, "attenuation_db": 0}
FLAGS = ["--steps", "2", "--eval-every", "1", "--batch-size", "4"]


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """The files of the guide, in the working directory."""
    for text in re.findall(r"```python\n(# (my_\w+\.py)\n.*?)```", GUIDE.read_text(), re.S):
        (tmp_path / text[1]).write_text(text[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own, "_layers", {})  # as in a new process
    return tmp_path


def test_rows_are_read_from_python_and_json_and_listed(files, capsys):
    row = given.find("my_networks.py:long_ears")
    assert row.name == "long_ears" and set(given.rows("my_networks.py")) == {"long_ears", "relu_ears"}
    Path("row.json").write_text(json.dumps(row.to_dict()))
    Path("run.json").write_text(json.dumps({"row": row.to_dict(), "config": {}}))
    assert given.find("row.json") == given.find("run.json") == row
    assert given.find("dm16") is zoo.ROWS["dm16"]
    assert cli.main(["models", "--from", "my_networks.py", "--tags", "3"]) == 0
    assert re.findall(r"^(\w+_ears)", capsys.readouterr().out, re.M) == ["long_ears", "relu_ears"]


@pytest.mark.parametrize(
    ("content", "reference", "message"),
    [
        ("x = 1", "a.py:y", "a.py defines no 'y'; it defines x"),
        ("x = 1", "a.py:x", "is a int, not a tagkit.graph.specs.Row"),
        ("1 / 0", "a.py:x", "cannot be run (ZeroDivisionError: division by zero)"),
        ("x = (", "a.py:x", "cannot be run (SyntaxError"),
        ("", "b.py:x", "b.py is not a file"),
        ("", "b.json", "b.json is not a file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(files, content, reference, message):
    Path("a.py").write_text(content)
    with pytest.raises(CodeError, match=re.escape(message)):
        given.find(reference)


def test_a_row_may_not_take_the_name_of_another(tone_records, tmp_path):
    row = replace(zoo.ROWS["dm16"], activation="relu")
    with pytest.raises(TrainingError, match="give yours a name of its own"):
        train(TrainingConfig(row), tone_records, tmp_path, progress=False)


def test_an_own_network_loss_and_augmentation_train_and_are_not_needed_again(files, tone_records, capsys):
    """From the command line; the run is then opened where the files are gone."""
    named = ["--model", "my_networks.py:long_ears", "--loss", "my_losses.py:smooth"]
    command = ["train", "--records", str(tone_records.root), "--out", "run", *named, *FLAGS]
    assert cli.main([*command, "--augmentation", "my_noise.py:noise"]) == 0
    record = json.loads(Path("run/run.json").read_text())
    assert record["config"]["model"] == "long_ears" and Row.from_dict(record["row"]) == given.find(named[1])
    assert record["own_code"]["my_losses.py:smooth"] == code.run("my_losses.py")[1]
    Path("my_losses.py").write_text(Path("my_losses.py").read_text() + "# changed\n")
    assert cli.main([*command, "--augmentation", "my_noise.py:noise"]) == 1
    assert "begun with another version of my_losses.py:smooth" in capsys.readouterr().err
    for path in Path().glob("my_*.py"):
        path.unlink()
    result = evaluate.evaluate(Run.open("run"), progress=False)
    assert result.label == "long_ears my_losses.py:smooth my_noise.py:noise"


def test_a_row_in_the_settings_is_the_same_as_its_name(tone_records, tmp_path):
    row = replace(zoo.ROWS["ds256ra"], name="mine")
    runs = [train(TrainingConfig(m, **SETTINGS), tone_records, tmp_path / str(k), progress=False) for k, m in
            enumerate((row, "ds256ra"))]  # fmt: skip
    assert runs[0].config.model == "mine" and runs[0].row == row
    histories = [run.record["history"] for run in runs]
    assert histories[0][0]["loss"] == pytest.approx(histories[1][0]["loss"], abs=1e-6)
    again = train(TrainingConfig(row, **SETTINGS), tone_records, tmp_path / "0", progress=False)
    assert again.record == runs[0].record


def test_the_loss_of_the_guide_is_scikit_learns(files):
    loss = losses.own("my_losses.py:smooth", 3)
    logits = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[[0, 2, 1, 1, 0]]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    plain, uniform = (
        [-(t * np.log(p)).sum() for t, p in zip(target, probabilities, strict=True)]
        for target in (labels, np.full((5, 3), 1 / 3))
    )
    np.testing.assert_allclose(
        np.asarray(loss(labels, logits)), 0.9 * np.array(plain) + 0.1 * np.array(uniform), rtol=1e-4
    )
    assert np.mean(plain) == pytest.approx(log_loss(labels, probabilities), rel=1e-4)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 0.0 * logits", "a loss has one finite number for each"),
        ("return labels[:, 0] / 0.0 * logits[:, 0]", "a loss has one finite number for each"),
        ("return nothing", "fails on labels and logits (2, 3)"),
    ],
)
def test_a_loss_that_is_none_is_refused_before_training(files, body, message):
    Path("a.py").write_text(f"def f(labels, logits):\n    {body}\n")
    with pytest.raises(CodeError, match=re.escape(message)):
        losses.own("a.py:f", 3)


def test_an_augmentation_depends_on_seed_step_and_row_alone(files, tone_records):
    function = code.load("my_noise.py:noise").value
    windows = TrainingWindows.of(tone_records, ("low",), 4_000, batch_size=6, seed=3, augmentation=function)
    plain = replace(windows, augmentation=None)
    whole, clean = windows.batch(5)[0], plain.batch(5)[0].astype(float)
    np.testing.assert_array_equal(windows.batch(5, slice(2, 4))[0], whole[2:4])
    snr = 10 * np.log10((clean**2).mean(1) / ((whole - clean) ** 2).mean(1))
    assert (snr > 9.5).all() and (snr < 30.5).all() and np.ptp(snr) > 2
    assert not np.array_equal(windows.batch(6)[0] - plain.batch(6)[0], whole - clean)


def test_an_augmentation_that_cannot_work_is_refused_before_training(files, tone_records):
    Path("a.py").write_text("def f(y, sr, rng):\n    return y[1:]\n")
    with pytest.raises(CodeError, match=r"a\.py:f fails on a window of 38832 samples"):
        train(TrainingConfig("ds256ra", augmentation="a.py:f", **SETTINGS), tone_records, "run", progress=False)
    assert not Path("run/run.json").exists()


def test_an_own_front_end_is_asked_for_by_name(files, tone_records, capsys, monkeypatch):
    """Trained; refused without its file; opened with it; refused where it has changed."""
    command = ["train", "--model", "my_frontend.py:energies", "--records", str(tone_records.root), "--out", "run"]
    assert cli.main([*command, *FLAGS]) == 0
    assert "Next: tagkit evaluate run --code my_frontend.py\n" in capsys.readouterr().out
    first = Run.open("run").model(trained=False).get_weights()
    again = Run.open("run").model(trained=False).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))  # seeded, though its author did not
    monkeypatch.setattr(own, "_layers", {})
    assert cli.main(["evaluate", "run"]) == 1
    assert "the Keras layer Energies of my_frontend.py; name that file with --code" in capsys.readouterr().err
    assert cli.main(["evaluate", "run", "--code", "my_frontend.py", "--json", "r.json"]) == 0
    assert json.loads(Path("r.json").read_text())["network"]["input"] == "own"
    Path("my_frontend.py").write_text(Path("my_frontend.py").read_text() + "# changed\n")
    assert cli.main(["evaluate", "run", "--code", "my_frontend.py"]) == 1
    assert "another version of my_frontend.py" in capsys.readouterr().err


def test_nothing_in_a_run_folder_is_run(files, run, tmp_path):
    """Not even a file that its run.json names as loss, augmentation, network or front-end."""
    folder = shutil.copytree(run.root, tmp_path / "theirs")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\n")
    record = json.loads((folder / "run.json").read_text())
    evil = str(folder / "evil.py")
    record["config"] |= {"loss": f"{evil}:f", "augmentation": f"{evil}:f", "model": f"{evil}:row"}
    record["own_code"] = {f"{evil}:f": "0"}
    (folder / "run.json").write_text(json.dumps(record))
    evaluate.evaluate(Run.open(folder), progress=False)
    record["row"]["frontend"] = {"table": "Own", "name": "Energies", "options": [], "file": evil, "sha256": ""}
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(CodeError, match="name that file with --code"):
        Run.open(folder).model()
    with pytest.raises((TrainingError, CodeError)):
        train(TrainingConfig("ds256ra", **SETTINGS), Records.open(run.records_root), folder, progress=False)
    assert not (tmp_path / "was_run").exists()
