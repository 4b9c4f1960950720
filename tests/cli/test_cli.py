import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tagkit import audio, cli
from tagkit.cli import data
from tagkit.data import folder, magnatagatune
from tagkit.data.datasets import DOWNLOADS
from tagkit.data.records import Records
from tagkit.graph.scorer import Scorer
from tagkit.training.runs import Run

TAGKIT = [sys.executable, "-m", "tagkit.cli"]


def test_help_needs_neither_tensorflow_nor_pandas():
    code = "import sys, tagkit.cli; tagkit.cli._parser(); print({'tensorflow', 'keras', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["evaluate", "nowhere"], "nowhere holds no run"),
        (["train", "--model", "dm16", "--records", "nowhere", "--out", "x"], "run `tagkit prepare` first"),
        (["prepare", "magnatagatune", "--root", "nowhere", "--out", "x"], "nowhere"),
    ],
)
def test_an_error_is_one_sentence_and_exit_code_1(arguments, complaint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"tagkit {arguments[0]}: ") and complaint in error
    assert len(error.strip().splitlines()) == 1


def test_settings_that_cannot_be_are_one_sentence(tone_records, capsys, tmp_path):
    records, out = str(tone_records.root), str(tmp_path / "run")
    assert cli.main(["train", "--model", "dm16", "--records", records, "--out", out, "--steps", "0"]) == 1
    assert capsys.readouterr().err.startswith("tagkit train: steps is 0")


def test_an_unknown_model_names_those_that_exist(capsys, tone_records, tmp_path):
    arguments = ["train", "--model", "dm17", "--records", str(tone_records.root), "--out", str(tmp_path / "run")]
    assert cli.main(arguments) == 1
    assert "dm17" in (error := capsys.readouterr().err) and "dm16" in error
    assert not (tmp_path / "run" / "run.json").exists()


def test_every_dataset_that_can_be_downloaded_is_offered():
    assert set(data.DOWNLOADS) == set(DOWNLOADS)


def test_your_own_folder_is_prepared(tmp_path, capsys):
    """A folder for each tag, as a person would lay it out."""
    for tag in ("low", "high"):
        for k in range(3):
            audio.save(tmp_path / "music" / tag / f"{k}.flac", 0.1 * np.sin(np.arange(8_000) * (k + 1) / 20), 8_000)
    assert cli.main(["prepare", "folder", "--root", str(tmp_path / "music"), "--out", str(tmp_path / "records")]) == 0
    assert "6 clips prepared" in capsys.readouterr().out
    assert Records.open(tmp_path / "records").lengths.tolist() == [16_000] * 6


def test_render_makes_what_prepare_takes(tmp_path, capsys):
    assert cli.main(["render", "--root", str(tmp_path / "raw"), "--clips", "8", "--seed", "5"]) == 0
    assert cli.main(["prepare", "demo", "--root", str(tmp_path / "raw"), "--out", str(tmp_path / "records")]) == 0
    assert "8 clips prepared" in capsys.readouterr().out


def test_compare_scores_runs_side_by_side(tone_records, tmp_path, capsys):
    runs = []
    for model, seed in (("ds256ra", 0), ("ds256ra", 1), ("mkc_r", 0)):
        runs.append(str(tmp_path / f"{model}-{seed}"))
        command = ["train", "--model", model, "--records", str(tone_records.root), "--out", runs[-1]]
        assert cli.main([*command, "--steps", "4", "--eval-every", "2", "--batch-size", "4", "--seed", str(seed)]) == 0
    files = ["--json", str(tmp_path / "scores.json"), "--figures", str(tmp_path / "figures")]
    assert cli.main(["compare", *runs, "--reference", "mkc_r", *files]) == 0
    out = capsys.readouterr().out
    assert "reference" in out and "test part of split 'order' of tones" in out and "artists" in out
    assert len(json.loads((tmp_path / "scores.json").read_text())) == 3
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {"comparison.png", "tags.png"}
    assert cli.main(["compare", *runs, "--reference", "dm99"]) == 1
    assert "no 'dm99' here" in capsys.readouterr().err


def test_records_that_were_moved_are_named(tone_records, tmp_path, capsys):
    there, run = tmp_path / "there", str(tmp_path / "run")
    shutil.copytree(tone_records.root, there)
    command = ["train", "--model", "ds256ra", "--records", str(there), "--out", run, "--steps", "2"]
    assert cli.main([*command, "--eval-every", "1", "--batch-size", "4"]) == 0
    here = str(there.rename(tmp_path / "here"))
    for command in (["compare", run], ["analyse", run, "--measure", "8", "--no-control"]):
        assert cli.main(command) == 1
        assert "there holds no finished records" in capsys.readouterr().err
        assert cli.main([*command, "--records", here]) == 0
    package = tmp_path / "package"
    assert cli.main(["export", run, "--format", "keras", "--records", here, "--out", str(package)]) == 0
    content = json.loads((package / "model.json").read_text())
    assert content["scores"]["part"] == "test" and content["calibration"]["clips"] == 6 and content["unknown"] is None


def test_other_records_than_those_of_the_training_are_refused(tone_records, tmp_path, capsys):
    audio.save(tmp_path / "music" / "low" / "0.flac", 0.1 * np.sin(np.arange(8_000) / 20), 8_000)
    other, run = str(tmp_path / "other"), str(tmp_path / "run")
    assert cli.main(["prepare", "folder", "--root", str(tmp_path / "music"), "--out", other]) == 0
    command = ["train", "--model", "ds256ra", "--records", str(tone_records.root), "--out", run, "--steps", "2"]
    assert cli.main([*command, "--eval-every", "1", "--batch-size", "4"]) == 0
    for command in (["compare", run], ["analyse", run], ["evaluate", run], ["export", run, "--format", "keras"]):
        assert cli.main([*command, "--records", other]) == 1
        assert f"{run} was trained on {tone_records.fingerprint}" in capsys.readouterr().err
    assert not (tmp_path / "run" / "export").exists()


def test_compare_refuses_a_run_of_other_data_before_it_scores_any(run, tmp_path, capsys):
    other = shutil.copytree(run.root, tmp_path / "other")
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(record | {"data": "0" * 16}))
    assert cli.main(["compare", str(run.root)]) == 0
    assert "evaluate " in capsys.readouterr().err  # its bar, where it scores
    assert cli.main(["compare", str(run.root), str(other)]) == 1
    error = capsys.readouterr().err
    assert f"{other} was trained on {'0' * 16}" in error and "evaluate " not in error


def test_a_recipe_is_trained_with_what_is_given_beside_it(tone_records, tmp_path):
    command = ["train", "--recipe", "won2020_samplecnn_se", "--records", str(tone_records.root), "--split", "order"]
    command += ["--model", "ds256ra", "--batch-size", "2", "--steps", "2", "--eval-every", "1"]
    assert cli.main([*command, "--out", str(tmp_path)]) == 0
    config = json.loads((tmp_path / "run.json").read_text())["config"]
    assert config["stages"][0] == {
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "weight_decay": 1e-4,
        "validations": 80,
        "patience": 0,
    }
    assert config["model"] == "ds256ra" and config["batch_size"] == 2


def test_train_asks_for_a_model_or_a_recipe(tone_records, tmp_path, capsys):
    assert cli.main(["train", "--records", str(tone_records.root), "--out", str(tmp_path)]) == 1
    assert "--model" in capsys.readouterr().err


def test_settings_that_would_do_nothing_are_refused(tone_records, tmp_path, capsys):
    command = ["train", "--records", str(tone_records.root), "--out", str(tmp_path / "run")]
    assert cli.main([*command, "--recipe", "won2020_musicnn", "--learning-rate", "1"]) == 1
    assert "--learning-rate does nothing with this recipe" in capsys.readouterr().err
    assert cli.main([*command, "--model", "dm16", "--tag-balance", "1"]) == 1
    assert "--tag-balance does nothing" in capsys.readouterr().err


def test_wrong_use_is_exit_code_2(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train"])
    assert stop.value.code == 2
    assert "--records" in capsys.readouterr().err


@pytest.mark.real_data
def test_real_recordings_from_files_to_scores(real_data, tmp_path, capsys):
    """The README's four commands for MagnaTagATune, on real recordings in its layout, cut short."""
    records, run = tmp_path / "records", tmp_path / "run"
    assert cli.main(["prepare", "magnatagatune", "--root", str(real_data / "mini-mtat"), "--out", str(records)]) == 0
    out = capsys.readouterr().out
    assert "487 clips prepared" in out and "3 quarantined" in out
    for clip_id in ("35644", "55753", "57881"):
        assert f"quarantined {clip_id}: " in out
    train = ["train", "--model", "ds256ra", "--records", str(records), "--out", str(run), "--steps", "40"]
    assert cli.main([*train, "--eval-every", "20", "--seed", "3"]) == 0
    assert cli.main(["evaluate", str(run), "--min-positives", "5", "--json", str(tmp_path / "scores.json")]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert {"roc_auc", "roc_auc_ci", "pr_auc", "pr_auc_ci", "split", "seed", "data"} <= set(scores)
    assert scores["seed"] == 3 and len(scores["tags"]) == 21 and scores["clips"] == 67
    assert "artists" in scores["interval"]
    assert "67" in capsys.readouterr().out
    assert_tagging_scores_as_evaluation(magnatagatune.read(real_data / "mini-mtat"), Run.open(run), scores, capsys)


def assert_tagging_scores_as_evaluation(catalog, run, scores, capsys):
    """`tagkit tag` gives the test part's files the scores that `tagkit evaluate` came from, and with them its AUCs."""
    records = Records.open(run.records_root)
    indices = records.part("test")
    paths = [str(catalog[records.catalog.clips.index[k]].path) for k in indices]
    assert cli.main(["tag", *paths, "--run", str(run.root), "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["files"]
    assert [row["path"] for row in rows] == paths
    tagged = np.array([[row["scores"][tag] for tag in run.tags] for row in rows])
    np.testing.assert_allclose(tagged, Scorer(run.model())(records, indices), atol=1e-5, rtol=0)
    labels = records.catalog.labels.to_numpy(bool)[indices]
    for tag, result in scores["tags"].items():
        truth = labels[:, records.catalog.labels.columns.get_loc(tag)]
        auc = roc_auc_score(truth, tagged[:, run.tags.index(tag)])
        assert auc == pytest.approx(result["roc_auc"], abs=1 / (truth.sum() * (~truth).sum()))  # one pair of clips


def test_the_demo_runs_resumes_and_redoes_nothing(scores_folder, tmp_path, monkeypatch, capsys):
    """`tagkit demo` at its smoke size: interrupted by Ctrl-C while training, run to its end, run again."""
    monkeypatch.setenv("TAGKIT_SMOKE", "1")
    monkeypatch.setenv("TAGKIT_HOME", str(tmp_path))
    shutil.copytree(scores_folder, tmp_path / "data" / "demo")
    out = tmp_path / "runs" / "demo"
    first = subprocess.Popen([*TAGKIT, "demo"], stderr=subprocess.PIPE, start_new_session=True, text=True)
    while first.poll() is None and not (out / "dm16" / "run.json").exists():
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGINT)
    error = first.communicate()[1]
    assert first.returncode == 130 and "Traceback" not in error, error

    assert cli.main(["demo"]) == 0
    said = capsys.readouterr().out
    assert "macro ROC-AUC" in said and str(out / "listen.html") in said
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics) == {"dm16", "logmel"}
    assert all(m["split"] == "piece" and m["data"] for m in metrics.values())
    assert (out / "listen.html").stat().st_size < 3_500_000
    assert (out / "live.html").stat().st_size < 4_000_000
    assert {p.name for p in (out / "figures").iterdir()} >= {"training.png", "scores_dm16.png", "filters_dm16.png"}

    before = _times(tmp_path)
    assert cli.main(["demo"]) == 0
    assert capsys.readouterr().out == said
    assert _times(tmp_path) == before


def _times(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def test_a_download_that_fails_is_one_sentence(tmp_path, capsys):
    assert cli.main(["download", "msd_lastfm", "--root", str(tmp_path), "--base-url", "nowhere"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("tagkit download: nowhere/lastfm_tags.db cannot be fetched") and "Traceback" not in error
    assert len(error.strip().splitlines()) == 1


def test_your_own_folder_is_split_by_the_seed_that_is_given(tmp_path, capsys):
    y = 0.1 * np.sin(np.arange(8_000))
    for k in range(12):
        audio.save(tmp_path / "music" / ("low" if k % 2 else "high") / f"{k}.flac", y, 8_000)
    prepare = ["prepare", "folder", "--root", str(tmp_path / "music"), "--jobs", "1", "--seed", "3"]
    assert cli.main([*prepare, "--out", str(tmp_path / "records")]) == 0
    splits = Records.open(tmp_path / "records").catalog.splits
    assert splits["random"].to_dict() == folder.read(tmp_path / "music", seed=3).splits["random"].to_dict()
    assert splits["random"].to_dict() != folder.read(tmp_path / "music").splits["random"].to_dict()
    assert cli.main([*prepare[:-1], "4", "--out", str(tmp_path / "records")]) == 1
    assert "Traceback" not in capsys.readouterr().err
