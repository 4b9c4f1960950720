import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tagkit import cli
from tagkit.data.records import Records
from tagkit.evaluation import evaluate
from tagkit.system import files
from tagkit.training import checkpoint, losses, optimizers
from tagkit.training.config import Phase, TrainingConfig
from tagkit.training.loop import TrainingInterrupted, train
from tagkit.training.runs import Run, TrainingError

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
    other = replace(CONFIG, seed=2)
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

    with pytest.raises(TrainingInterrupted, match="stopped at step 7; rerun the command to resume"):
        train(CONFIG, tone_records, tmp_path, progress=False, after=interrupt)
    assert_same(whole, train(CONFIG, tone_records, tmp_path, progress=False))


def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(whole, tone_records, tmp_path):
    """Real SIGKILLs of a real process: before the first checkpoint, and after it."""
    command = ["train", "--records", str(tone_records.root), "--out", str(tmp_path)]
    for name in ("model", "steps", "batch_size", "eval_every", "learning_rate", "seed"):
        command += [f"--{name.replace('_', '-')}", str(getattr(CONFIG, name))]
    for moment in ("run.json", "checkpoint.npz"):
        process = subprocess.Popen(
            [sys.executable, "-m", "tagkit.cli", *command], stderr=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None and not (tmp_path / moment).exists():
            time.sleep(0.005)
        assert process.poll() is None, "the run ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not Run.open(tmp_path).finished
    assert cli.main(command) == 0
    assert_same(whole, Run.open(tmp_path))


def test_a_finished_run_is_returned_and_another_config_refused(whole, tone_records):
    before = (whole.root / "best.weights.h5").stat().st_mtime_ns
    assert train(CONFIG, tone_records, whole.root, progress=False).finished
    assert (whole.root / "best.weights.h5").stat().st_mtime_ns == before
    other = replace(CONFIG, steps=99)
    with pytest.raises(TrainingError, match=rf"another config.*steps.*{CONFIG.steps}.*99"):
        train(other, tone_records, whole.root, progress=False)


def test_a_run_that_was_killed_at_its_very_end_keeps_no_checkpoint(whole, tone_records, tmp_path):
    shutil.copytree(whole.root, tmp_path / "run")
    (tmp_path / "run" / "checkpoint.npz").touch()
    train(CONFIG, tone_records, tmp_path / "run", progress=False)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == sorted(p.name for p in whole.root.iterdir())


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
    records = Records.open(tone_records.root)
    catalog = records.catalog
    one_tag = replace(catalog, vocabularies={"all": ("low",)}, tasks={}, labels=catalog.labels.assign(low=True))
    vars(records)["catalog"] = one_tag
    with pytest.raises(TrainingError, match="No tag tells the 6 valid clips"):
        train(CONFIG, records, tmp_path, progress=False)
    assert not (tmp_path / "run.json").exists()


def test_what_a_killed_process_left_is_swept_away(tone_records, whole):
    (whole.root / ".123.checkpoint.npz").write_bytes(b"half")
    train(CONFIG, tone_records, whole.root, progress=False)
    assert not (whole.root / ".123.checkpoint.npz").exists()


PHASES = (Phase("adam", 1e-3, validations=1), Phase("sgd", 1e-2, patience=1), Phase("sgd", 1e-12, patience=2))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        # Made in the test: processes that import this module have to be the first to start TensorFlow in them.
        ("sgd", lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)),
        ("adam", lambda: keras.optimizers.Adam(0.1)),
    ],
)
def test_decay_is_part_of_the_gradient_but_with_adamw(name, plain):
    """As a penalty of half the squared weights, whose gradient is the weights; AdamW goes another way."""

    def after(optimizer, penalty):
        w = keras.Variable([1.0, -2.0, 0.5])
        optimizer.build([w])
        for k in range(5):
            optimizer.apply([np.float32([0.1, k, -0.3]) + penalty * w.numpy()], [w])
        return w.numpy()

    phase = Phase(name, 0.1, weight_decay=0.02, patience=1)
    config = TrainingConfig(phases=(phase,))
    ours = after(optimizers.build_optimizer(config, phase), 0)
    np.testing.assert_allclose(ours, after(plain(), np.float32(0.02)), rtol=1e-5)
    apart = after(optimizers.build_optimizer(config, replace(phase, optimizer="adamw")), 0)
    assert np.abs(apart - ours).max() > 1e-3


def test_adamw_is_that_of_keras():
    """One kernel of TensorFlow's in place of its dozen passes, with a schedule and over more than one variable."""

    def after(kind):
        weights = [keras.Variable(np.random.default_rng(k).normal(size=(7, k + 1)).astype("f4")) for k in range(3)]
        optimizer = kind(keras.optimizers.schedules.CosineDecay(0.1, 10), weight_decay=0.02)
        optimizer.build(weights)
        for step in range(8):
            rng = np.random.default_rng(step)
            optimizer.apply([rng.normal(size=w.shape).astype("f4") for w in weights], weights)
        return [v.numpy() for v in (*weights, *optimizer.variables)]

    for ours, theirs in zip(after(optimizers.AdamW), after(keras.optimizers.AdamW), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)  # 1 - beta_2 is rounded in one of them


def test_the_command_line_decays_nothing_by_the_default_of_another_optimizer(tone_records, tmp_path):
    command = ["train", "--model", "ds256ra", "--records", str(tone_records.root), "--steps", "2", "--batch-size", "4"]
    for name, decay in (("adam", 0.0), ("adamw", 0.01)):
        assert cli.main([*command, "--optimizer", name, "--out", str(tmp_path / name)]) == 0
        assert Run.open(tmp_path / name).config.weight_decay == decay


def test_phases_follow_one_another_from_the_best_weights_and_resume(tone_records, tmp_path):
    config = TrainingConfig(model="ds256ra", steps=100, batch_size=4, eval_every=3, phases=PHASES)
    run = train(config, tone_records, tmp_path / "whole", progress=False)
    history = run.record["history"]
    numbers = [h["stage"] for h in history]
    assert numbers == sorted(numbers) and numbers.count(0) == 1 and set(numbers) == {0, 1, 2}
    assert len(history) < 33, "the last phase ends the run"
    # The last phase hardly moves, so its first score is that of the best weights before it.
    before = max(h["valid_roc_auc"] for h in history if h["stage"] < 2)
    assert next(h for h in history if h["stage"] == 2)["valid_roc_auc"] == pytest.approx(before, abs=0.02)

    def interrupt(step: int) -> None:
        if step == 8:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        train(config, tone_records, tmp_path / "cut", progress=False, after=interrupt)
    assert_same(run, train(config, tone_records, tmp_path / "cut", progress=False))


@pytest.mark.parametrize("windowing", ["none", "superpool_c", "superpool_attention"])
def test_every_windowing_trains_resumes_and_scores(windowing, tone_records, tmp_path):
    config = TrainingConfig(model="ds256ra", windowing=windowing, steps=6, batch_size=3, eval_every=3)

    def interrupt(step: int) -> None:
        if step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        train(config, tone_records, tmp_path / "cut", progress=False, after=interrupt)
    run = train(config, tone_records, tmp_path / "cut", progress=False)
    assert_same(run, train(config, tone_records, tmp_path / "whole", progress=False))
    assert run.windowing.name == windowing
    expected = {"none": None, "superpool_c": 12, "superpool_attention": 2}
    assert run.windowing.windows == expected[windowing]
    length = int(np.median(tone_records.lengths[:24]))
    assert run.windowing.samples == pytest.approx(length if windowing == "none" else 38_832, abs=1_000)


def test_a_row_for_whole_clips_refuses_windows(tone_records, tmp_path):
    config = TrainingConfig(model="dm16_clip", windowing="split", steps=2)
    with pytest.raises(ValueError, match="dm16_clip is not for windowing 'split': it takes none"):
        train(config, tone_records, tmp_path, progress=False)
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("loss", ["predecessor_weighted", "weighted_cross_entropy", "focal"])
def test_every_loss_learns(loss, tone_records, tmp_path):
    config = TrainingConfig(
        model="ds256ra", loss=loss, positive_factor=3.0, tag_balance=0.5, steps=60, eval_every=30, learning_rate=1e-3
    )
    run = train(config, tone_records, tmp_path, progress=False)
    assert run.record["history"][-1]["valid_roc_auc"] > 0.95


def test_tag_weights_go_by_frequency_whatever_the_order_of_the_tags():
    labels, logits = np.eye(3, dtype=np.float32), np.array([[2.0, -1.0, 0.5]] * 3, np.float32)
    config = TrainingConfig(loss="predecessor_weighted", positive_factor=2.0, tag_balance=1.0)
    counts, order = np.array([5, 50, 20]), [1, 2, 0]
    by_hand = losses.predecessor_weighted(labels[:, order], logits[:, order], positive_factor=2.0, tag_balance=1.0)
    np.testing.assert_allclose(optimizers.build_loss(config, counts)(labels, logits), by_hand, rtol=1e-6)


def test_a_run_starts_from_the_weights_of_another_but_for_its_tags(whole, tone_records, tmp_path):
    config = replace(CONFIG, init=str(whole.root), steps=1, eval_every=1, learning_rate=1e-12, vocabulary="two")
    run = train(config, tone_records, tmp_path, progress=False)
    theirs, ours, fresh = whole.model(), run.model(), run.model(trained=False)
    for layer in ("conv1_conv", "conv4_conv"):
        np.testing.assert_allclose(ours.get_layer(layer).kernel, theirs.get_layer(layer).kernel, atol=1e-6)
        assert not np.allclose(fresh.get_layer(layer).kernel, theirs.get_layer(layer).kernel, atol=1e-3)
    np.testing.assert_allclose(ours.get_layer("logits_dense").kernel, fresh.get_layer("logits_dense").kernel, atol=1e-6)
    assert run.record["init"]["data"] == tone_records.fingerprint and len(run.record["init"]["weights_sha256"]) == 64


def test_a_run_that_was_interrupted_after_a_validation_can_be_scored(tone_records, tmp_path):
    def interrupt(step: int) -> None:
        if step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingInterrupted):
        train(CONFIG, tone_records, tmp_path, progress=False, after=interrupt)
    result = evaluate.evaluate(Run.open(tmp_path), resamples=10, progress=False)
    assert 0 <= result.roc_auc.value <= 1 and result.training.best_valid_roc_auc is None


def test_what_cannot_be_built_binds_no_folder(tone_records, tmp_path):
    config = TrainingConfig(model="dm16", windowing="none", steps=2, init=str(tmp_path / "missing"))
    with pytest.raises(TrainingError):
        train(config, tone_records, tmp_path / "run", progress=False)
    with pytest.raises(ValueError, match="not in frames x channels"):
        train(
            TrainingConfig(model="crnn_dm16", windowing="superpool_e"), tone_records, tmp_path / "run", progress=False
        )
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_run_of_an_older_tagkit_is_refused_with_a_way_out(whole, tmp_path):
    record = {key: value for key, value in whole.record.items() if key != "windowing"}
    files.write_json(tmp_path / "run.json", record)
    with pytest.raises(TrainingError, match="older tagkit; remove it and train it again"):
        Run.open(tmp_path)


@pytest.mark.parametrize("steps", [3, 6])
def test_a_kill_between_best_weights_and_checkpoint_changes_nothing(steps, tone_records, tmp_path, monkeypatch):
    """At the end of a phase the next one's start is saved with the checkpoint, or not at all."""
    config = TrainingConfig(model="ds256ra", steps=15, batch_size=4, eval_every=3, phases=PHASES)
    whole = train(config, tone_records, tmp_path / "whole", progress=False)
    write = checkpoint.write

    def die(folder, progress, variables):
        if progress.step == steps:
            raise OSError("killed")
        write(folder, progress, variables)

    monkeypatch.setattr(checkpoint, "write", die)
    with pytest.raises(OSError, match="killed"):
        train(config, tone_records, tmp_path / "cut", progress=False)
    monkeypatch.undo()
    assert_same(whole, train(config, tone_records, tmp_path / "cut", progress=False))


def test_weights_that_do_not_fit_are_refused(whole, tone_records, tmp_path):
    other = TrainingConfig(model="ds256ra", init=str(whole.root), steps=2)
    with pytest.raises(TrainingError, match="holds a dm16, which has other stages than ds256ra"):
        train(other, tone_records, tmp_path, progress=False)
    with pytest.raises(TrainingError, match="holds no run"):
        train(replace(other, init=str(tmp_path / "nowhere")), tone_records, tmp_path, progress=False)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process by its addresses")
def test_too_large_a_batch_is_one_sentence(tone_records, tmp_path):
    """Of 20,000 whole clips, 19 GB, in a process that may have 8."""
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (8 << 30,) * 2)\n"
    code += "from tagkit.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "train", "--model", "dm16_clip", "--records", str(tone_records.root)]
    command += ["--out", str(tmp_path), "--batch-size", "20000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "Batches of 20000 of dm16_clip need more memory than there is" in done.stderr


def test_a_run_finds_its_records_again_when_all_was_moved(whole, tmp_path, monkeypatch):
    assert whole.records_root == Path(whole.record["records"])
    moved = replace(whole, record=whole.record | {"records": "/gone/data/records/tones"})
    monkeypatch.setenv("TAGKIT_HOME", str(tmp_path))
    assert moved.records_root == Path("/gone/data/records/tones")
    (tmp_path / "data" / "records" / "tones").mkdir(parents=True)
    assert moved.records_root == tmp_path / "data" / "records" / "tones"


def test_opening_no_run_says_what_to_do(tmp_path):
    with pytest.raises(TrainingError, match="holds no run"):
        Run.open(tmp_path)
