import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tagkit import cli
from tagkit.data.prepare import prepare
from tagkit.data.records import Records
from tagkit.evaluation.result import Result
from tagkit.studies import crossval
from tagkit.studies.pool import StudyError
from tagkit.training.config import TrainingConfig

CONFIG = TrainingConfig("ds256ra", steps=2, batch_size=4, eval_every=2, speed_semitones=0, attenuation_db=0)


@pytest.fixture(scope="module")
def hard_records(tone_catalog, tmp_path_factory) -> Records:
    """The tones with tags that nobody can tell: scores that are not perfect have a variance."""
    drawn = np.random.default_rng(0).random((len(tone_catalog), 2)) < 0.5
    labels = pd.DataFrame(drawn, tone_catalog.clips.index, ["heads", "crown"])
    catalog = replace(tone_catalog, labels=labels, vocabularies={"all": ("heads", "crown")})
    return prepare(catalog, tmp_path_factory.mktemp("hard"), sr=16_000, jobs=1, progress=False)


@pytest.fixture(scope="module")
def done(hard_records, tmp_path_factory) -> crossval.CrossValidation:
    """One network on three folds, trained in this process."""
    out = tmp_path_factory.mktemp("crossval")
    return crossval.run({"ds256ra": CONFIG}, hard_records, out, count=3, jobs=0, progress=False)


def test_every_clip_is_scored_once_by_a_network_that_never_heard_its_artist(done, hard_records):
    tables = [pd.read_csv(path, dtype={"clip": str}) for path in sorted(done.root.glob("ds256ra/*/predictions.csv"))]
    assert sorted(clip for t in tables for clip in t["clip"]) == sorted(hard_records.catalog.clips.index)
    (result,) = done.results()
    mean = np.mean([roc_auc_score(t.filter(like="label:"), t.filter(like="score:")) for t in tables])
    assert result.roc_auc.value == pytest.approx(mean, abs=1e-12)
    assert result.clips == 35 and result.split == "artist:3 folds" and result.roc_auc.known


def test_resamples_of_folds_are_drawn_apart(done):
    by_fold = [json.loads(p.read_text())["resampled"]["roc_auc"] for p in sorted(done.root.glob("*/*/test.json"))]
    drawn = np.array([np.array(text.split(), float) for text in by_fold])
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.15


def test_what_was_interrupted_goes_on_to_the_same_table(done, hard_records, tmp_path):
    """One fold was trained but not scored, one was not begun."""
    again = shutil.copytree(done.root, tmp_path / "again")
    (again / "ds256ra/fold2-seed0/test.json").unlink()
    shutil.rmtree(again / "ds256ra/fold3-seed0")
    with pytest.raises(StudyError, match="all its 3 folds done"):
        crossval.CrossValidation.open(again).results()
    resumed = crossval.run({"ds256ra": CONFIG}, hard_records, again, count=3, jobs=0, progress=False)
    tables = [crossval.as_text(crossval.table(each.results())).to_string() for each in (done, resumed)]
    assert tables[0] == tables[1]


def test_compare_takes_folders_and_shows_both_variances(done, tmp_path, capsys):
    """A second seed and a second network are the first ones, changed by known amounts."""
    for model, seed, gain in (("ds256ra", 1, -0.02), ("other", 0, -0.1), ("other", 1, -0.14)):
        for fold in (1, 2, 3):
            there = json.loads((done.run_folder("ds256ra", fold, 0) / "test.json").read_text())
            there |= {"model": model, "seed": seed, "roc_auc": there["roc_auc"] + gain}
            there["training"]["config"] |= {"model": model, "seed": seed}
            folder = tmp_path / "more" / model / f"fold{fold}-seed{seed}"
            folder.mkdir(parents=True)
            (folder / "test.json").write_text(json.dumps(there))
    shutil.copy(done.root / "crossval.json", tmp_path / "more")
    frame = crossval.table([*done.results(), *crossval.CrossValidation.open(tmp_path / "more").results()], "ds256ra")
    assert frame.loc["ds256ra", "seeds_sd"] == pytest.approx(0.02 / np.sqrt(2))
    assert frame.loc["other", "difference"].interval.value == pytest.approx(-0.11)
    assert frame.loc["other", "difference"].over_seeds
    one = Result.from_json(json.loads((done.run_folder("ds256ra", 1, 0) / "test.json").read_text()))
    assert frame.loc["ds256ra", "clips_sd"] < one.resamples["roc_auc"].std()  # three folds tell more than one
    assert cli.main(["compare", str(done.root), str(tmp_path / "more"), "--reference", "ds256ra"]) == 0
    shown = capsys.readouterr().out
    assert "SD of clips" in shown and "SD of seeds" in shown and "artist:3 folds of tones (35 clips" in shown


def test_the_command_shows_what_is_done_and_trains_nothing_again(done, hard_records, capsys):
    command = ["crossval", "--records", str(hard_records.root), "--out", str(done.root), "--model", "ds256ra"]
    command += ["--folds", "3", "--steps", "2", "--batch-size", "4", "--eval-every", "2"]
    before = {path: path.stat().st_mtime_ns for path in done.root.rglob("*.json")}
    assert cli.main([*command, "--speed-semitones", "0", "--attenuation-db", "0"]) == 0
    assert str(done.results()[0].roc_auc) in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in done.root.rglob("*.json")} == before
    assert cli.main(command) == 1
    assert "trained with other settings" in capsys.readouterr().err


def test_another_cross_validation_is_not_mixed_in(done, hard_records):
    with pytest.raises(StudyError, match="has folds 3, not 4"):
        crossval.run({"ds256ra": CONFIG}, hard_records, done.root, count=4, jobs=0)
    other = {"ds256ra": TrainingConfig("ds256ra", steps=3)}
    with pytest.raises(StudyError, match="trained with other settings"):
        crossval.run(other, hard_records, done.root, count=3, jobs=0)
    with pytest.raises(ValueError, match="12 groups by artist cannot make 20 folds"):
        crossval.run(other, hard_records, done.root.parent / "none", count=20, jobs=0)


@pytest.mark.faults
def test_killed_at_once_and_resumed_it_gives_the_same_table(hard_records, tmp_path):
    """The command, killed with all its processes once the first fold is scored."""
    command = [sys.executable, "-m", "tagkit.cli", "crossval", "--records", str(hard_records.root), "--folds", "3"]
    command += ["--model", "ds256ra", "mkc_r", "--steps", "4", "--eval-every", "2", "--batch-size", "4", "--jobs", "2"]

    def table(out: str) -> str:
        done = subprocess.run([*command, "--out", out], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout

    killed = subprocess.Popen([*command, "--out", "killed"], cwd=tmp_path, start_new_session=True)
    while not list((tmp_path / "killed").glob("*/*/test.json")):
        assert killed.poll() is None
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    done = len(list((tmp_path / "killed").glob("*/*/test.json")))
    assert 1 <= done < 6
    resumed, whole = table("killed"), table("whole")
    assert resumed == whole and "SD of clips" in whole
