"""One device, several in a process and several processes train the same network."""

import json

import numpy as np
import pytest
from forked import ended, start, start_workers, tagkit

from tagkit.data.batches import training_batches
from tagkit.data.windows import TrainingWindows
from tagkit.training import devices
from tagkit.training.config import Phase, TrainingConfig
from tagkit.training.devices import DevicesError
from tagkit.training.runs import Run

# ds256ra has no dropout. Nine windows on two devices: one of them has five, the other four.
TRAIN = ("--model", "ds256ra", "--steps", 20, "--batch-size", 9, "--eval-every", 10, "--optimizer", "sgd")
TRAIN = (*TRAIN, "--learning-rate", 0.01, "--warmup", 0, "--devices")


def arguments(records, out, layout="cpu"):
    return ("train", "--records", records.root, "--out", out, *TRAIN, layout)


@pytest.fixture(scope="module")
def layouts(tone_records, tmp_path_factory):
    """The same training on one device, on two of one process, and in two processes."""
    folder = tmp_path_factory.mktemp("layouts")
    runs = {name: folder / name for name in ("one", "replicas", "processes")}
    started = [
        start(folder / "one.log", tagkit, *arguments(tone_records, runs["one"])),
        start(folder / "two.log", tagkit, *arguments(tone_records, runs["replicas"], "cpu:2")),
        *start_workers(folder / "logs", 2, *arguments(tone_records, runs["processes"])),
    ]
    with ended(started):
        for process in started:
            process.join(400)
        assert [process.exitcode for process in started] == [0] * 4
    return {name: Run.open(root) for name, root in runs.items()}


@pytest.mark.cluster
@pytest.mark.parametrize("layout", ["replicas", "processes"])
def test_every_layout_trains_the_same_network(layouts, layout):
    one, other = layouts["one"], layouts[layout]
    assert other.record["devices"] == {
        "kind": "cpu",
        "replicas": 2,
        "processes": {"replicas": 1, "processes": 2}[layout],
    }
    for a, b in zip(one.record["history"], other.record["history"], strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
        assert a["valid_roc_auc"] == b["valid_roc_auc"]
    a, b = (np.concatenate([w.ravel() for w in run.model().get_weights()]) for run in (one, other))
    difference = np.linalg.norm(a - b) / np.linalg.norm(a)
    print(f"{layout}: ||dw|| / ||w|| = {difference:.1e} after 20 steps")
    assert 0 < difference <= 1e-5  # equal to the last bit would mean that nothing was shared out


@pytest.mark.cluster
def test_a_run_goes_on_on_other_devices(layouts, tone_records, tmp_path):
    out = tmp_path / "run"
    interrupted = start(tmp_path / "a.log", interrupt_at, 13, tone_records.root, out, "cpu:2")
    with ended([interrupted]):
        interrupted.join(300)
    assert interrupted.exitcode == 130
    onward = start(tmp_path / "b.log", tagkit, *arguments(tone_records, out))
    with ended([onward]):
        onward.join(300)
    assert onward.exitcode == 0
    a, b = (np.concatenate([w.ravel() for w in run.model().get_weights()]) for run in (layouts["one"], Run.open(out)))
    assert np.linalg.norm(a - b) / np.linalg.norm(a) <= 1e-5


@pytest.mark.cluster
def test_replicas_drop_other_units(tmp_path):
    process = start(tmp_path / "log", draw_on_two_devices)
    with ended([process]):
        process.join(200)
    assert process.exitcode == 0, (tmp_path / "log").read_text()


def interrupt_at(step, records, out, layout):
    """Train until Ctrl-C comes in a step."""
    import os
    import signal

    from tagkit.training import loop

    fit = loop.fit
    loop.fit = lambda training, stop, progress, after: fit(
        training, stop, progress, lambda done: os.kill(os.getpid(), signal.SIGINT) if done == step else None
    )
    return tagkit("train", "--records", records, "--out", out, *TRAIN, layout)


def draw_on_two_devices():
    """Whether two devices draw other masks, which come again from the same seed: 0, or 1 if not."""
    import keras

    chosen = devices.choose("cpu:2")

    def draw():
        with chosen.strategy.scope():
            model = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5, seed=3)])
        chosen.part_seeds(model)
        dropped = chosen.strategy.run(lambda: model(np.ones((1, 64), np.float32), training=True))
        return [np.asarray(value) for value in chosen.strategy.experimental_local_results(dropped)]

    (first, second), again = draw(), draw()
    return 0 if (first != second).any() and (first == again[0]).all() and (second == again[1]).all() else 1


def test_rows_are_shared_out_without_gaps(monkeypatch):
    for replicas, processes in ((1, 1), (2, 1), (6, 3), (5, 5)):
        monkeypatch.setattr(devices.Devices, "replicas", replicas)
        shares = [devices.Devices(None, process, processes).rows(23) for process in range(processes)]
        assert [row for share in shares for row in range(23)[share]] == list(range(23))
        sizes = [share.stop - share.start for share in shares]
        assert max(sizes) - min(sizes) <= replicas / processes


def test_part_of_a_batch_is_the_same_as_in_the_whole(tone_records):
    config = TrainingConfig(batch_size=9, seed=4)
    windows = TrainingWindows.of(tone_records, ("low", "high"), 5_000, **config.windows)
    whole, part = windows.batch(7), windows.batch(7, slice(4, 9))
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_array_equal(a[4:9], b)
    (x, y), *_ = training_batches(windows, 7, 8, slice(4, 9))
    np.testing.assert_array_equal(x, part[0])
    np.testing.assert_array_equal(y, part[1])


def test_scaling_keeps_the_number_of_examples():
    config = TrainingConfig(batch_size=8, learning_rate=0.5, steps=100, eval_every=10).scaled(4)
    assert (config.batch_size, config.learning_rate, config.steps, config.eval_every) == (32, 2.0, 25, 3)
    phased = TrainingConfig(phases=(Phase("sgd", 0.1, patience=1), Phase("sgd", 0.01)), steps=10).scaled(2)
    assert [phase.learning_rate for phase in phased.phases] == [0.2, 0.02]


def test_devices_that_are_not_there_are_said(monkeypatch):
    with pytest.raises(DevicesError, match="choose all, cpu, gpu"):
        devices.choose("tpu")
    with pytest.raises(DevicesError, match="99 GPUs were asked for, but TensorFlow sees"):
        devices.choose("gpu:99")
    monkeypatch.setenv(
        "TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}})
    )
    with pytest.raises(DevicesError, match="TF_CONFIG names no chief or worker that this process is"):
        devices.choose("cpu")
    monkeypatch.setattr(devices.Devices, "replicas", 5)
    with pytest.raises(DevicesError, match="batch of 4 cannot be shared by 5 devices"):
        devices.Devices(None).check(4)


@pytest.mark.parametrize(
    ("task", "place"), [({"type": "chief", "index": 0}, (0, 3)), ({"type": "worker", "index": "1"}, (2, 3))]
)
def test_the_chief_comes_first(task, place, monkeypatch):
    cluster = {"worker": ["b:1", "c:1"], "chief": ["a:1"], "evaluator": ["d:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    assert devices._place() == place
