"""`tagkit analyse`: figures, numbers and the page of trained runs, side by side."""

import json

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from tagkit import cli
from tagkit.analysis import compare, figures, report, selectivity
from tagkit.listening import html, run_page
from tagkit.training.config import TrainingConfig
from tagkit.training.loop import train


@pytest.fixture(scope="module")
def runs(tone_records, tmp_path_factory):
    """Two networks, hardly trained."""
    root = tmp_path_factory.mktemp("runs")
    settings = {"steps": 2, "batch_size": 4, "eval_every": 2}
    return [
        train(TrainingConfig(model=name, **settings), tone_records, root / name, progress=False)
        for name in ("dm16", "ds256ra")
    ]


def test_analyse_leaves_figures_numbers_and_a_page(runs, tmp_path, capsys):
    folders = [str(run.root) for run in runs]
    assert cli.main(["analyse", *folders, "--out", str(tmp_path), "--clips", "12"]) == 0
    out = capsys.readouterr().out
    figures = {path.name for path in (tmp_path / "figures").iterdir()}
    assert figures == {
        f"{kind}_{name}.png" for kind in ("construction", "tags", "filters") for name in ("dm16", "ds256ra")
    }
    assert "12 clips are too few for CKA" in out  # so there is no figure of similarity, and it says so
    numbers = json.loads((tmp_path / "analysis.json").read_text())
    first = numbers["dm16"]["stages"]["conv1"]
    assert first["low"] <= first["moved_db"] <= first["high"]
    assert numbers["dm16"]["clips"] == 12
    header = html.unpack((tmp_path / "listen.html").read_text(encoding="utf-8")).header
    assert [model["title"] for model in header["models"]] == ["dm16", "ds256ra"]
    assert all(stage["untrained"] for model in header["models"] for stage in model["stages"])
    assert all(channel["tag"] for channel in header["models"][0]["stages"][0]["channels"])


def test_without_the_twin_nothing_is_said_of_learning(runs, tmp_path, capsys):
    assert cli.main(["analyse", str(runs[1].root), "--out", str(tmp_path), "--clips", "8", "--no-twin"]) == 0
    numbers = json.loads((tmp_path / "analysis.json").read_text())["ds256ra"]
    assert "moved_db" not in numbers["stages"]["conv1"] and numbers["tag_channels_untrained"] is None
    header = html.unpack((tmp_path / "listen.html").read_text(encoding="utf-8")).header
    assert header["models"][0]["stages"][0]["untrained"] is None
    assert "untrained" not in capsys.readouterr().out
    assert cli.main(["analyse", str(runs[1].root), "--clips", "1"]) == 1
    assert "--clips is 1" in capsys.readouterr().err


def test_more_held_out_clips_than_are_listened_to(runs, tone_records, monkeypatch):
    for module in ("report", "figures"):
        monkeypatch.setattr(f"tagkit.analysis.{module}.MOST_CLIPS", 4)
    found = report.analyse(runs[1], tone_records, twin=False, progress=False)
    assert len(found.heard) == len(found.pieces) == 4
    assert found.channels["conv1"].positives.sum() <= 4


def test_a_spectrogram_network_has_numbers_and_no_page(tone_records, tmp_path, capsys):
    config = TrainingConfig(model="logmel", steps=2, batch_size=4, eval_every=2)
    run = train(config, tone_records, tmp_path / "logmel", progress=False)
    assert cli.main(["analyse", str(run.root), "--clips", "8", "--no-twin"]) == 0
    assert "none of these networks reads the bare waveform" in capsys.readouterr().out
    assert (run.root / "analysis.json").is_file() and not (run.root / "listen.html").exists()


def test_the_pictures_clips_show_many_tags():
    labels = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], bool)
    assert set(run_page.varied(labels, 3)) == {1, 2, 4}


def test_the_best_channel_of_each_tag_is_looked_for_in_all_stages():
    labels = np.eye(3, dtype=bool)[[0, 1, 2] * 4]
    values = {stage: np.zeros((12, 2)) for stage in ("conv1", "conv2")}
    values["conv2"][:, 1] = [0, 1, 2] * 4
    found = selectivity.of_stages(values, values, labels, ("low", "middle", "high"))
    assert report.best_channels(found) == {"low": 0.5, "middle": 0.5, "high": 1.0}
    assert np.nanmax(found["conv1"].auc["mean"]) == 0.5


def test_selective_channels_are_looked_for_in_one_clip_of_each_piece(tone_records):
    indices = tone_records.part("test")
    artists = tone_records.catalog.clips["artist"].iloc[indices]
    labels = tone_records.catalog.labels.iloc[indices[selectivity.first_of_each(artists)]]
    heard = compare.Summaries(*({"conv1": np.arange(12.0).reshape(6, 2)} for _ in range(3)))
    found = figures.selective(heard, tone_records, indices, ("low", "middle", "high"))
    assert found["conv1"].positives.tolist() == labels[["low", "middle", "high"]].sum().tolist()
    assert found["conv1"].positives.sum() == artists.nunique() < len(indices)
