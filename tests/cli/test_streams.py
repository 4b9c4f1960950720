"""The command where its output goes nowhere, into a pipe, a log or a notebook; and errors that cost no time."""

import io
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from tqdm.auto import tqdm

from tagkit import audio, cli, plots
from tagkit.system import progress
from tagkit.system.progress import progress_bar

# A command that prints much, and loads nothing.
SAY = """
import sys
from types import SimpleNamespace
from tagkit import cli
from tagkit.cli.command import Command

def say(args):
    for k in range(9_999):
        print(k, "x" * 70)

cli._FAMILIES = [SimpleNamespace(COMMANDS=[Command("say", lambda parser: None, say)])]
sys.exit(cli.main(["say"]))
"""


@pytest.fixture
def shell(tmp_path):
    """Run a line of shell in which SAY stands for the command; gives exit code, output and errors."""
    (tmp_path / "say.py").write_text(SAY)

    def run_line(line, **environment):
        line = line.replace("SAY", f"{sys.executable} {tmp_path / 'say.py'}")
        command = ["bash", "-c", line]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
        return done.returncode, done.stdout, done.stderr

    return run_line


def test_a_pipe_that_closes_is_no_error(shell):
    code, out, said = shell("set -o pipefail; SAY | head -1")
    assert (code, said) == (141, "") and out.startswith("0 x")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed, shell):
    code, _, said = shell(f"SAY {closed}")
    assert (code, said) == (0, "")


def test_without_docstrings(shell):
    code, out, said = shell("SAY", PYTHONOPTIMIZE="2")
    assert code == 0 and "9998 x" in out and not said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("evaluate nowhere", "nowhere holds no run"),
        ("compare nowhere", "nowhere holds no run"),
        ("tag nowhere.mp3", "nowhere.mp3 does not exist"),
        ("embed nowhere.mp3 --out x.npz", "nowhere.mp3 does not exist"),
        ("train --model dm16 --records nowhere --out x", "nowhere holds no finished records"),
    ],
)
def test_a_wrong_path_is_seen_before_tensorflow_is_loaded(arguments, words, monkeypatch, capsys):
    monkeypatch.setattr("tagkit.system.quiet.import_tensorflow", lambda: pytest.fail("TensorFlow was loaded"))
    assert cli.main(arguments.split()) == 1
    assert words in capsys.readouterr().err


def test_runs_and_records_are_opened_without_tensorflow():
    code = (
        "import sys; import tagkit.cli, tagkit.training.runs, tagkit.data.records; print('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_an_empty_name_is_not_the_working_directory(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["tag", ""])
    assert stop.value.code == 2 and "the name is empty" in capsys.readouterr().err


def test_in_a_notebook_or_a_buffer(run, tmp_path, monkeypatch):
    """Streams that are no files: a notebook's, or a StringIO."""
    audio.save(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(40_000), 16_000)
    for form in ("table", "json", "csv"):
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        assert cli.main(["tag", str(tmp_path), "--run", str(run.root), "--format", form]) == 0
        assert "a.wav" in out.getvalue()


def test_json_is_valid_in_any_encoding(run, tmp_path, monkeypatch):
    audio.save(tmp_path / "Ümläut 音.wav", 0.1 * np.random.default_rng(0).standard_normal(40_000), 16_000)
    out = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["tag", str(tmp_path), "--run", str(run.root), "--format", "json"]) == 0
    out.flush()
    assert json.loads(out.buffer.getvalue().decode("latin-1"))["files"][0]["path"].endswith("Ümläut 音.wav")


def test_a_log_gets_a_line_a_minute(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LOGGED_EVERY_S", 0.2)
    for _ in progress_bar(range(300), "work", unit="step"):
        time.sleep(0.002)
    lines = capsys.readouterr().err.splitlines()
    assert 3 <= len(lines) <= 8 and "\r" not in "".join(lines)
    assert lines[0].startswith("work:   0%") and lines[-1].startswith("work: 100%")
    tqdm.write("a line between", sys.stderr)
    assert capsys.readouterr().err == "a line between\n"


def test_one_files_name_does_not_end_the_batch(run, tmp_path, capsys):
    """Dollar signs (matplotlib's mathematics), 245 bytes, bytes that are no text, and control characters."""
    names = [
        b"$_^$ \\frac.wav",
        b"a" * 241 + b".wav",
        "ü".encode() * 120 + b".wav",
        b"caf\xe9.wav",
        b"a\x1b[31m\nb.wav",
    ]
    (tmp_path / "music").mkdir()
    audio.save(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(40_000), 16_000)
    for name in names:
        (tmp_path / "music" / os.fsdecode(name)).write_bytes((tmp_path / "a.wav").read_bytes())
    (tmp_path / "music" / "c\x07.wav").write_bytes(b"no sound")
    command = ["tag", str(tmp_path / "music"), "--run", str(run.root), "--taggram", str(tmp_path / "drawn")]
    assert cli.main(command) == 3
    said = capsys.readouterr()
    assert len(list((tmp_path / "drawn").iterdir())) == len(names)
    assert "\\x1b[31m\\nb.wav" in said.out and "\x1b" not in said.out
    assert r"c\x07.wav is no audio file" in said.err and "\x07" not in said.err


def test_a_tag_of_any_spelling_is_drawn():
    plots.use_style()
    ax = plots.taggram(np.zeros((2, 1)), np.arange(2), 1.0, ["$_^$"], duration_s=2.0, title="$_^$")
    ax.figure.canvas.draw()
    assert "$_^$" in [label.get_text() for label in ax.get_yticklabels()]


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_learning_rate_is_a_number(value, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--model", "dm16", "--records", "x", "--out", "y", "--learning-rate", value])
    assert stop.value.code == 2 and f"{value} is no finite number" in capsys.readouterr().err
