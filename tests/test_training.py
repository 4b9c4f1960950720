import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from tagkit import files
from tagkit.config import TrainingConfig
from tagkit.runs import Run, TrainingError
from tagkit.training import TrainingInterrupted, train

# dm16 has dropout: its random generators must be restored, too.
CONFIG = TrainingConfig(model="dm16", steps=12, batch_size=4, eval_every=5, learning_rate=1e-3, seed=1)


@pytest.fixture(scope="module")
def whole(tone_records, tmp_path_factory) -> Run:
    return train(CONFIG, tone_records, tmp_path_factory.mktemp("runs") / "whole", progress=False)


def weights(run: Run) -> list[np.ndarray]:
    return run.model().get_weights()


def assert_same(run: Run, other: Run) -> None:
    assert run.record["history"] == other.record["history"]
    for a, b in zip(weights(run), weights(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_records_what_its_scores_depend_on(whole, tone_records):
    record = files.read_json(whole.root / "run.json")
    assert record["data"] == tone_records.fingerprint
    assert record["split"] == "order" and record["split_sizes"] == {"train": 23, "valid": 6, "test": 6}
    assert record["tags"] == ["low", "middle", "high"]
    assert record["seed"] == 1 and record["finished"] and record["steps_done"] == 12
    assert record["code"]["tensorflow"] and record["code"]["tagkit"]
    assert [h["step"] for h in record["history"]] == [5, 10, 12]
    assert list((whole.root / "events").iterdir())
    assert not (whole.root / "checkpoint.npz").exists()


def test_the_same_seed_trains_the_same_weights_and_another_does_not(whole, tone_records, tmp_path):
    assert_same(whole, train(CONFIG, tone_records, tmp_path / "again", progress=False))
    other = TrainingConfig(**{**CONFIG.to_dict(), "seed": 2})
    different = train(other, tone_records, tmp_path / "other", progress=False)
    assert (weights(different)[0] != weights(whole)[0]).any()


def test_the_untrained_twin_has_the_initial_weights(whole):
    initial, trained = whole.model(trained=False).get_weights(), weights(whole)
    assert (initial[0] != trained[0]).any()
    np.testing.assert_array_equal(initial[0], whole.model(trained=False).get_weights()[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_same_call_goes_on(number, whole, tone_records, tmp_path):
    def interrupt(step: int) -> None:
        if step == 7:
            os.kill(os.getpid(), number)

    with pytest.raises(TrainingInterrupted, match="stopped at step 7; the same command goes on"):
        train(CONFIG, tone_records, tmp_path, progress=False, after=interrupt)
    assert_same(whole, train(CONFIG, tone_records, tmp_path, progress=False))


def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(whole, tone_records, tmp_path):
    """Real SIGKILLs of a real process: before the first checkpoint, and after it."""
    command = [sys.executable, "-m", "tagkit.cli", "train", "--records", str(tone_records.root), "--out", str(tmp_path)]
    for name in ("model", "steps", "batch_size", "eval_every", "learning_rate", "seed"):
        command += [f"--{name.replace('_', '-')}", str(getattr(CONFIG, name))]
    for moment in ("run.json", "checkpoint.npz"):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        while process.poll() is None and not (tmp_path / moment).exists():
            time.sleep(0.005)
        assert process.poll() is None, "the run ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not Run.open(tmp_path).finished
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    assert_same(whole, Run.open(tmp_path))


def test_a_finished_run_is_returned_and_another_config_refused(whole, tone_records):
    before = (whole.root / "best.weights.h5").stat().st_mtime_ns
    assert train(CONFIG, tone_records, whole.root, progress=False).finished
    assert (whole.root / "best.weights.h5").stat().st_mtime_ns == before
    other = TrainingConfig(**{**CONFIG.to_dict(), "steps": 99})
    with pytest.raises(TrainingError, match="another config"):
        train(other, tone_records, whole.root, progress=False)


def test_early_stopping_waits_for_its_patience(tone_records, tmp_path):
    config = TrainingConfig(model="ds256ra", steps=200, batch_size=4, eval_every=2, patience=2, learning_rate=1e-9)
    history = train(config, tone_records, tmp_path, progress=False).record["history"]
    scores = [h["valid_roc_auc"] for h in history]
    assert len(history) < 100
    assert len(scores) - 1 - int(np.argmax(scores)) == 2


def test_it_learns_to_tell_tones_apart(tone_records, tmp_path):
    config = TrainingConfig(model="ds256ra", steps=60, batch_size=16, eval_every=30, learning_rate=1e-3)
    run = train(config, tone_records, tmp_path, progress=False)
    assert run.record["history"][-1]["valid_roc_auc"] == 1.0


def test_a_damaged_checkpoint_is_named(tone_records, tmp_path):
    def interrupt(step: int) -> None:
        if step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        train(CONFIG, tone_records, tmp_path, progress=False, after=interrupt)
    checkpoint = tmp_path / "checkpoint.npz"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(TrainingError, match=r"checkpoint.npz is damaged"):
        train(CONFIG, tone_records, tmp_path, progress=False)


def test_a_valid_part_that_cannot_judge_is_refused(tone_records, tmp_path):
    catalog = tone_records.catalog
    one_tag = replace(catalog, vocabularies={"all": ("low",)}, labels=catalog.labels.assign(low=True))
    with pytest.raises(TrainingError, match="No tag tells the 6 valid clips"):
        train(CONFIG, replace(tone_records, catalog=one_tag), tmp_path, progress=False)
    assert not (tmp_path / "run.json").exists()


def test_what_a_killed_process_left_is_swept_away(tone_records, whole):
    (whole.root / ".123.checkpoint.npz").write_bytes(b"half")
    train(CONFIG, tone_records, whole.root, progress=False)
    assert not (whole.root / ".123.checkpoint.npz").exists()


def test_opening_no_run_says_what_to_do(tmp_path):
    with pytest.raises(TrainingError, match="holds no run"):
        Run.open(tmp_path)
