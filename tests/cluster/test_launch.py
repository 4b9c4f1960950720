"""Processes of one training: started together, lost, stopped, and started again."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from forked import ended, start, start_workers, wait_for

from tagkit.deploy import launch
from tagkit.deploy.launch import LaunchError
from tagkit.training import loop
from tagkit.training.config import Phase, TrainingConfig
from tagkit.training.runs import Run

SETTINGS = {"steps": 24, "batch_size": 6, "eval_every": 3}
PHASES = (Phase("adam", 1e-3, validations=1), Phase("sgd", 1e-2, patience=1), Phase("sgd", 1e-12, patience=2))
TRAIN = ("--model", "ds256ra", "--steps", 24, "--batch-size", 6, "--eval-every", 6, "--learning-rate", 0.001)


def join(processes, within_s):
    """Seconds until all have ended."""
    started = time.monotonic()
    for process in processes:
        process.join(max(0, started + within_s - time.monotonic()))
    return time.monotonic() - started


@pytest.fixture(scope="module")
def whole(tone_records, tmp_path_factory):
    """A training in three processes that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    command = ("train", "--records", tone_records.root, "--out", folder / "run", *TRAIN)
    with ended(start_workers(folder / "logs", 3, *command)) as workers:
        join(workers, 400)
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
    return Run.open(folder / "run")


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("lost", "number", "code", "says"),
    [
        (1, signal.SIGKILL, 1, "is trained by 3 processes, and one was lost"),
        (0, signal.SIGKILL, 1, "is trained by 3 processes, and one was lost"),
        (1, signal.SIGSTOP, 1, "is trained by 3 processes, and one was lost"),  # as where its network is gone
        (2, signal.SIGTERM, 130, "rerun the command to resume"),
    ],
)
def test_one_worker_of_three_ends_and_a_relaunch_resumes(lost, number, code, says, whole, tone_records, tmp_path):
    command = ("train", "--records", tone_records.root, "--out", tmp_path / "run", *TRAIN)
    with ended(start_workers(tmp_path / "logs", 3, *command)) as workers:
        wait_for(tmp_path / "run" / "checkpoint.npz", workers)
        os.kill(workers[lost].pid, number)
        others = [worker for i, worker in enumerate(workers) if i != lost]
        seconds = join(others, 60)
        print(f"worker {lost} got {number.name}: the others ended after {seconds:.1f} s")
        assert [worker.exitcode for worker in others] == [code, code]
    for i in {0, 1, 2} - {lost}:
        assert says in (tmp_path / "logs" / f"worker{i}.log").read_text()
    assert not Run.open(tmp_path / "run").finished

    with ended(start_workers(tmp_path / "again", 3, *command)) as workers:
        join(workers, 400)
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
    run = Run.open(tmp_path / "run")
    assert run.record["history"] == whole.record["history"]
    for a, b in zip(run.model().get_weights(), whole.model().get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.cluster
def test_launch_trains_with_two_workers(tone_records, tmp_path):
    command = ["launch", "--workers", "2", "--", "train", "--records", str(tone_records.root), "--out", str(tmp_path)]
    command += [str(a) for a in ("--model", "ds256ra", "--steps", 2, "--batch-size", 4, "--eval-every", 2)]
    done = subprocess.run([sys.executable, "-m", "tagkit.cli", *command], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best validation macro ROC-AUC") == 1  # only the chief speaks
    assert Run.open(tmp_path).record["devices"]["processes"] == 2


def test_the_first_exit_code_that_is_not_0_is_told():
    assert launch.launch(["--version"], 2) == 0
    assert launch.launch(["no-such-command"], 2) == 2


def test_a_killed_worker_is_named_and_the_others_are_ended(monkeypatch):
    monkeypatch.setattr(launch, "GRACE_S", 0.5)
    idle = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(2)]
    idle[1].kill()
    started = time.monotonic()
    with pytest.raises(LaunchError, match="Worker 1 was killed by signal 9"):
        launch._wait(idle)
    assert time.monotonic() - started < 10
    idle[0].kill()
    idle[0].wait()


def test_every_worker_is_told_of_all():
    tasks = launch.tasks(3)
    assert [task["task"] for task in tasks] == [{"type": "worker", "index": i} for i in range(3)]
    addresses = tasks[0]["cluster"]["worker"]
    assert len(set(addresses)) == 3 and all(task["cluster"]["worker"] == addresses for task in tasks)


def train_in_phases(records, out):
    """A training whose phases begin from the best weights, which the chief alone has on its disk."""
    from tagkit.data.records import Records
    from tagkit.deploy import storage
    from tagkit.training.devices import choose
    from tagkit.training.loop import train

    devices = choose("cpu")
    run = storage.Mirror(out)
    with storage.following([run]):
        train(TrainingConfig("ds256ra", **SETTINGS, phases=PHASES), Records.open(records), run.copy, devices=devices)


@pytest.mark.cluster
def test_machines_without_a_common_disk_train_in_a_common_store(tone_records, tmp_path):
    out = f"file://{tmp_path}/bucket/run"
    workers = [
        start(
            tmp_path / f"worker{i}.log",
            *(train_in_phases, tone_records.root, out),
            **{"TF_CONFIG": json.dumps(task), "TAGKIT_HOME": str(tmp_path / f"machine{i}")},
        )
        for i, task in enumerate(launch.tasks(2))
    ]
    with ended(workers):
        join(workers, 400)
        assert [worker.exitcode for worker in workers] == [0, 0]
    stored = Run.open(tmp_path / "bucket" / "run")
    assert len({row["stage"] for row in stored.record["history"]}) == 3
    alone = loop.train(
        TrainingConfig("ds256ra", **SETTINGS, phases=PHASES), tone_records, tmp_path / "alone", progress=False
    )
    for ours, theirs in zip(stored.record["history"], alone.record["history"], strict=True):
        assert ours["stage"] == theirs["stage"]
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.02)  # dropout masks differ
    assert not list((tmp_path / "machine1").rglob("best.weights.h5"))
