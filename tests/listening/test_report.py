"""`tagkit analyse`: figures, numbers and the page of trained runs, side by side."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pandas as pd
import pytest

from tagkit import cli
from tagkit.analysis import portrait, report, selectivity, spectra
from tagkit.listening import html, page
from tagkit.listening.live import page as live
from tagkit.training.config import TrainingConfig
from tagkit.training.loop import train
from tagkit.training.runs import Run


@pytest.fixture(scope="module")
def runs(tone_records, tmp_path_factory):
    """Two networks, hardly trained."""
    root = tmp_path_factory.mktemp("runs")
    settings = {"steps": 2, "batch_size": 4, "eval_every": 2}
    return [
        train(TrainingConfig(model=name, **settings), tone_records, root / name, progress=False)
        for name in ("ds256rc", "ds256ra")
    ]


def test_analyse_leaves_figures_numbers_and_a_page(runs, tmp_path, capsys):
    folders = [str(run.root) for run in runs]
    assert cli.main(["analyse", *folders, "--out", str(tmp_path), "--measure", "12"]) == 0
    out = capsys.readouterr().out
    figures = {path.name for path in (tmp_path / "figures").iterdir()}
    assert figures == {
        f"{kind}_{name}.png" for kind in ("construction", "tags", "filters") for name in ("ds256rc", "ds256ra")
    }
    assert "12 clips are too few for CKA" in out  # so there is no figure of similarity, and it says so
    numbers = json.loads((tmp_path / "analysis.json").read_text())
    first = numbers["ds256rc"]["stages"]["conv1"]
    assert first["low"] <= first["moved_db"] <= first["high"]
    assert numbers["ds256rc"]["clips"] == 12
    header = html.unpack((tmp_path / "listen.html").read_text(encoding="utf-8")).header
    assert [model["title"] for model in header["models"]] == ["ds256rc", "ds256ra"]
    assert all(stage["control"] for model in header["models"] for stage in model["stages"])
    assert all(channel["tag"] for channel in header["models"][0]["stages"][0]["channels"])


def test_the_untrained_networks_best_channels_stand_beside(runs, tone_records):
    found = portrait.measure(runs[1], tone_records, clips=12, progress=False)
    rng = np.random.default_rng(0)
    for measured, well in ((found.trained, 3.0), (found.control, 1.0)):
        labels = found.labels[found.once]
        measured.matched.means["conv2"][:, 5] = labels[:, 0] * well + rng.standard_normal(len(labels))
    table = report.best_of_tags(found)
    for side, measured in (("trained", found.trained), ("untrained", found.control)):
        best = report.best_channels(found.selectivity(measured))
        for tag, row in table[side].iterrows():
            assert row["ROC-AUC"] == pytest.approx(best[tag], abs=0.005)
            kind = found.selectivity(measured)[row["stage"]].auc
            assert max(kind[k][row["channel"], found.tags.index(tag)] for k in kind) == best[tag]
    summary = report.summary(found)
    assert "moved_db [low, high]: how far" in summary
    assert not len(table) or "untrained" in summary.splitlines()[-len(table) - 2]


def test_live_writes_a_page_with_the_network_inside(runs, tmp_path, capsys):
    arguments = [
        "live",
        str(runs[1].root),
        "--out",
        str(tmp_path / "live.html"),
        "--weights",
        "float32",
        "--no-control",
    ]
    assert cli.main(arguments) == 0
    assert f"Open {tmp_path / 'live.html'} in a browser" in capsys.readouterr().out
    packed = html.unpack((tmp_path / "live.html").read_text(encoding="utf-8"))
    (model,) = packed.header["models"]
    assert model["tags"] == list(runs[1].tags) and model["title"] == "ds256ra"
    assert len(packed.header["clips"]) == 3 and all(len(scores) == 3 for scores in model["scores"])
    place = next(node for node in model["graph"]["nodes"] if node["name"] == "conv1_conv")["weights"]["kernel"]
    at = model["weights"]["at"] + place["at"]
    kernel = np.frombuffer(packed.bytes()[at : at + 4 * 256 * 128], np.float32).reshape(256, 1, 1, 128)
    np.testing.assert_array_equal(kernel[:, :, 0], runs[1].model().get_layer("conv1_conv").kernel)


def test_live_refuses_what_merges_windows():
    run = Run(Path("merged"), {"windowing": {"name": "superpool_mean", "samples": 38_832, "windows": 12}})
    with pytest.raises(ValueError, match=r"merged merges the windows of a clip \(superpool_mean\)"):
        live.check_windowing("merged", run)


def test_without_the_control_nothing_is_said_of_learning(runs, tmp_path, capsys):
    assert cli.main(["analyse", str(runs[1].root), "--out", str(tmp_path), "--measure", "12", "--no-control"]) == 0
    numbers = json.loads((tmp_path / "analysis.json").read_text())["ds256ra"]
    assert "moved_db" not in numbers["stages"]["conv1"] and numbers["tag_channels_untrained"] is None
    header = html.unpack((tmp_path / "listen.html").read_text(encoding="utf-8")).header
    assert header["models"][0]["stages"][0]["control"] is None
    out = capsys.readouterr().out
    assert "untrained" not in out and "Measured on 12 clips" in out
    fewer = ["--out", str(tmp_path / "one"), "--measure", "12", "--no-control", "--clips", "1", "--causes", "1"]
    assert cli.main(["analyse", str(runs[1].root), *fewer]) == 0  # of the page, which changes no statistics
    assert json.loads((tmp_path / "one/analysis.json").read_text())["ds256ra"] == numbers
    assert len(html.unpack((tmp_path / "one/listen.html").read_text(encoding="utf-8")).header["clips"]) == 1
    out = capsys.readouterr().out  # experiments that do not suit a network say so, and the others are made
    assert "No muting: " in out and "has no instrument among its tags" in out
    assert "No ablation: ds256ra: its 2 held-out clips are too few" in out and "conv3 gated" in out
    assert (tmp_path / "one/figures/probes.png").exists()
    assert cli.main(["analyse", str(runs[1].root), "--measure", "1"]) == 1
    assert "--measure is 1" in capsys.readouterr().err


def test_more_held_out_clips_than_are_summarised(runs, tone_records):
    found = portrait.measure(runs[1], tone_records, clips=4, tones=8, control=False, progress=False)
    assert len(found.trained.heard) == len(found.pieces) == len(found.labels) == found.held_out == 4
    assert found.selectivity()["conv1"].positives.sum() <= 4


def test_a_portrait_is_measured_once_and_anew_where_weights_or_settings_differ(runs, tone_records, monkeypatch):
    run, settings = runs[1], {"clips": 8, "tones": 8, "progress": False}
    found = portrait.measure(run, tone_records, **settings)
    again = portrait.Portrait.load(run.root / "portrait.npz")
    np.testing.assert_array_equal(again.trained.heard.means["conv2"], found.trained.heard.means["conv2"])
    np.testing.assert_array_equal(again.levels[0].weights[0].weights, found.levels[0].weights[0].weights)
    pd.testing.assert_frame_equal(again.table(), found.table())
    assert again.channel_tags() == found.channel_tags() and report.numbers(again) == report.numbers(found)
    assert again.trained.probe.geometry == found.trained.probe.geometry and again.tags == found.tags

    measured = []
    probe = spectra.tone_probe
    monkeypatch.setattr(spectra, "tone_probe", lambda *args, **more: measured.append(1) or probe(*args, **more))
    portrait.measure(run, tone_records, **settings)
    assert not measured
    portrait.measure(run, tone_records, **settings | {"control": False})
    assert len(measured) == 1
    weights = run.best_weights.read_bytes()
    run.best_weights.write_bytes(runs[1].best_weights.read_bytes() + b" ")
    portrait.measure(run, tone_records, **settings | {"control": False})
    run.best_weights.write_bytes(weights)
    assert len(measured) == 2


def test_a_damaged_portrait_is_named(runs, tone_records):
    path = runs[0].root / "portrait.npz"
    path.write_bytes(b"no portrait")
    with pytest.raises(ValueError, match=r"portrait\.npz is damaged.*remove it"):
        portrait.measure(runs[0], tone_records, progress=False)
    path.unlink()


def test_a_spectrogram_network_has_numbers_and_no_page(tone_records, tmp_path, capsys):
    config = TrainingConfig(model="logmel", steps=2, batch_size=4, eval_every=2)
    run = train(config, tone_records, tmp_path / "logmel", progress=False)
    assert cli.main(["analyse", str(run.root), "--measure", "8", "--no-control"]) == 0
    assert "none of these networks learned its first filters on the waveform" in capsys.readouterr().out
    assert (run.root / "analysis.json").is_file() and not (run.root / "listen.html").exists()


def test_the_pictures_clips_show_many_tags():
    labels = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], bool)
    assert set(page.varied(labels, 3)) == {1, 2, 4}


def test_the_best_channel_of_each_tag_is_looked_for_in_all_stages():
    labels = np.eye(3, dtype=bool)[[0, 1, 2] * 4]
    values = {stage: np.zeros((12, 2)) for stage in ("conv1", "conv2")}
    values["conv2"][:, 1] = [0, 1, 2] * 4
    found = selectivity.of_stages(values, values, labels, ("low", "middle", "high"))
    assert report.best_channels(found) == {"low": 0.5, "middle": 0.5, "high": 1.0}
    assert np.nanmax(found["conv1"].auc["mean"]) == 0.5


def test_selective_channels_are_looked_for_in_one_clip_of_each_piece(runs, tone_records):
    found = portrait.measure(runs[1], tone_records, clips=8, tones=8, control=False, progress=False)
    artists = tone_records.catalog.clips.loc[tone_records.catalog.ids("test"), "artist"]
    once = artists.index[selectivity.first_of_each(artists)]
    labels = tone_records.catalog.labels.loc[once, list(found.tags)]
    positives = found.selectivity()["conv1"].positives
    assert positives.tolist() == labels.sum().tolist()
    assert positives.sum() == artists.nunique() < len(artists)
