"""Disks that are full or read-only, damaged files, clocks, signals, and other processes in the way."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import filelock
import forked
import numpy as np
import pytest
from test_kills import file_digests, trained

from tagkit.data import prepare
from tagkit.data.records import RecordsError
from tagkit.system import files
from tagkit.training.runs import Run, TrainingError

TRAIN = ("--model", "ds256ra_stochastic", "--steps", 12, "--batch-size", 2, "--eval-every", 4, "--learning-rate", 1e-3)


@contextlib.contextmanager
def small_disk(folder: Path, size: str):
    """A file system of its own at `folder`; skips where this user may not mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tagkit-test", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk needs root and the right to mount: this test did not run")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def command(log: Path, *arguments: object) -> tuple[int, str]:
    """Exit code and output of a `tagkit` command in a process of its own."""
    process = forked.start(log, forked.tagkit, *arguments)
    with forked.ended([process]):
        process.join(300)
    return process.exitcode, log.read_text()


@pytest.fixture(scope="module")
def whole(tone_records, tmp_path_factory):
    """A training that nothing disturbs, as `trained` sees it."""
    folder = tmp_path_factory.mktemp("whole")
    code, output = command(folder / "log", "train", "--records", tone_records.root, "--out", folder / "run", *TRAIN)
    assert code == 0, output
    return trained(folder / "run")


def test_prepare_on_a_full_disk_names_the_file_and_goes_on_once_there_is_room(tone_catalog, tmp_path, report):
    whole = prepare.prepare(tone_catalog, tmp_path / "whole", sr=16_000, jobs=1, clips_per_shard=2, progress=False)
    with small_disk(tmp_path / "disk", "2m") as change:
        out = tmp_path / "disk" / "records"
        with pytest.raises(OSError, match=r"make room and run the command again: .*shard-000\d\d\.tfrecord"):
            prepare.prepare(tone_catalog, out, sr=16_000, jobs=1, clips_per_shard=2, progress=False)
        kept = {path.name: path.stat().st_mtime_ns for path in out.glob("shard-*.tfrecord")}
        assert kept and not list(out.glob(".*.shard*"))
        change("size=64m")
        prepare.prepare(tone_catalog, out, sr=16_000, jobs=1, clips_per_shard=2, progress=False)
        assert file_digests(out) == file_digests(whole.root)
        assert all((out / name).stat().st_mtime_ns == changed for name, changed in kept.items())
    report("disk full while preparing", 1)


@pytest.mark.faults
def test_train_on_a_full_disk_keeps_its_last_checkpoint(tone_records, whole, tmp_path, report):
    with small_disk(tmp_path / "disk", "3m") as change:
        arguments = ("train", "--records", tone_records.root, "--out", tmp_path / "disk" / "run", *TRAIN)
        code, output = command(tmp_path / "a.log", *arguments)
        assert code == 1
        assert "make room and run the command again" in output, output
        assert "Traceback" not in output
        change("size=64m")
        code, output = command(tmp_path / "b.log", *arguments)
        assert code == 0, output
        assert trained(tmp_path / "disk" / "run") == whole
    report("disk full while training", 1)


def test_a_read_only_folder_is_named(tone_catalog, tmp_path, report):
    with small_disk(tmp_path / "disk", "1m") as change:
        change("ro")
        with pytest.raises(OSError, match=r"Read-only file system: .*disk") as caught:
            prepare.prepare(tone_catalog, tmp_path / "disk" / "records", sr=16_000, jobs=1, progress=False)
        assert "records" in str(caught.value)
    report("read-only folder", 1, identical="refused")


@pytest.mark.faults
def test_a_flipped_bit_is_named_and_refused_everywhere(tone_records, whole, tmp_path, report):
    copy = shutil.copytree(tone_records.root, tmp_path / "records")
    code, output = command(tmp_path / "a.log", "train", "--records", copy, "--out", tmp_path / "run", *TRAIN)
    assert code == 0, output
    shard = copy / "shard-00003.tfrecord"
    data = bytearray(shard.read_bytes())
    data[100_000] ^= 4
    shard.write_bytes(data)
    refusal = f"{shard} does not match its sha256: damaged; remove it and prepare again."
    for arguments in (("evaluate", tmp_path / "run"), ("train", "--records", copy, "--out", tmp_path / "new", *TRAIN)):
        code, output = command(tmp_path / f"{arguments[0]}.log", *arguments)
        assert code == 1
        assert refusal in output
    report("a flipped bit in a shard", 2, identical="refused")


@pytest.mark.faults
def test_sigterm_saves_and_ends_with_130(tone_records, whole, tmp_path, report):
    arguments = ("train", "--records", tone_records.root, "--out", tmp_path / "run", *TRAIN)
    process = forked.start(tmp_path / "a.log", forked.tagkit, *arguments)
    with forked.ended([process]):
        forked.wait_for(tmp_path / "run" / "checkpoint.npz", [process])
        process.terminate()
        process.join(60)
    assert process.exitcode == 130
    assert "rerun the command to resume" in (tmp_path / "a.log").read_text()
    code, output = command(tmp_path / "b.log", *arguments)
    assert code == 0, output
    assert trained(tmp_path / "run") == whole
    report("SIGTERM while training", 1, "0 steps")


@pytest.mark.faults
def test_a_checkpoint_cut_short_is_refused_and_training_anew_ends_the_same(tone_records, whole, tmp_path, report):
    rng = np.random.default_rng(0)
    arguments = ("train", "--records", tone_records.root, "--out", tmp_path / "run", *TRAIN)
    process = forked.start(tmp_path / "a.log", forked.tagkit, *arguments)
    with forked.ended([process]):
        forked.wait_for(tmp_path / "run" / "checkpoint.npz", [process])
        os.kill(process.pid, signal.SIGKILL)
    checkpoint = tmp_path / "run" / "checkpoint.npz"
    data = checkpoint.read_bytes()
    for k, size in enumerate(rng.integers(0, len(data), 2)):
        checkpoint.write_bytes(data[:size])
        code, output = command(tmp_path / f"cut{k}.log", *arguments)
        assert code == 1
        assert f"{checkpoint} is damaged" in output
    checkpoint.unlink()
    code, output = command(tmp_path / "b.log", *arguments)
    assert code == 0, output
    assert trained(tmp_path / "run") == whole
    report("a checkpoint cut short", 2, "all steps")


@pytest.mark.faults
def test_a_clock_that_goes_backwards_changes_nothing(tone_records, whole, tmp_path, report):
    process = forked.start(tmp_path / "log", train_back_in_time, tone_records.root, tmp_path / "run")
    with forked.ended([process]):
        process.join(300)
    assert process.exitcode == 130, (tmp_path / "log").read_text()
    for path in (tmp_path / "run").iterdir():
        os.utime(path, (4e9, 4e9))  # written in the year 2096, before the clock was set right
    code, output = command(
        tmp_path / "b.log", "train", "--records", tone_records.root, "--out", tmp_path / "run", *TRAIN
    )
    assert code == 0, output
    assert trained(tmp_path / "run") == whole
    report("a clock going backwards", 1, "0 steps")


def train_back_in_time(data: Path, out: Path) -> int:
    """Train to step 7 with a clock that loses an hour at each look."""
    now = [4e9]

    def earlier() -> float:
        now[0] -= 3600
        return now[0]

    time.time = earlier
    from tagkit.training import loop

    fit = loop.fit
    loop.fit = lambda training, stop, progress, _: fit(
        training, stop, progress, lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 7 else None
    )
    return forked.tagkit("train", "--records", data, "--out", out, *TRAIN)


@pytest.mark.faults
def test_two_trainings_in_one_folder(tone_records, whole, tmp_path, report):
    arguments = ("train", "--records", tone_records.root, "--out", tmp_path / "run", *TRAIN)
    first = forked.start(tmp_path / "a.log", forked.tagkit, *arguments)
    with forked.ended([first]):
        forked.wait_for(tmp_path / "run" / "run.json", [first])
        os.kill(first.pid, signal.SIGSTOP)  # so that it is there still
        code, output = command(tmp_path / "b.log", *arguments)
        os.kill(first.pid, signal.SIGCONT)
        first.join(200)
    assert code == 1
    assert "is being trained by another process; choose another folder" in output
    assert first.exitcode == 0
    assert trained(tmp_path / "run") == whole
    report("two trainings in one folder", 1, identical="second refused")


def test_two_of_everything_else_in_one_folder(tone_catalog, tmp_path):
    with filelock.FileLock(tmp_path / ".lock"), pytest.raises(RecordsError, match="being prepared by another process"):
        prepare.prepare(tone_catalog, tmp_path, sr=16_000, jobs=1, progress=False)


def test_a_worker_that_the_system_kills_is_told(tone_catalog, tmp_path, report):
    whole = prepare.prepare(tone_catalog, tmp_path / "whole", sr=16_000, jobs=1, clips_per_shard=2, progress=False)
    process = forked.start(tmp_path / "a.log", prepare_with_a_victim, tone_catalog, tmp_path / "records")
    with forked.ended([process]):
        process.join(120)
    assert process.exitcode == 1
    output = (tmp_path / "a.log").read_text()
    assert "A worker process was killed, perhaps for want of memory" in output, output
    prepare.prepare(tone_catalog, tmp_path / "records", sr=16_000, jobs=1, clips_per_shard=2, progress=False)
    assert file_digests(tmp_path / "records") == file_digests(whole.root)
    report("out-of-memory killer on a worker", 1)


def prepare_with_a_victim(catalog, out: Path) -> int:
    """Prepare in two worker processes, one of which the system kills."""
    import threading

    from joblib.externals.loky import reusable_executor

    def kill_one() -> None:
        while not list(out.glob("shard-*.json")):
            time.sleep(0.001)
        os.kill(next(iter(reusable_executor._executor._processes)), signal.SIGKILL)

    threading.Thread(target=kill_one, daemon=True).start()
    try:
        prepare.prepare(catalog, out, sr=16_000, jobs=2, clips_per_shard=2, progress=False)
    except RecordsError as error:
        print(error)
        return 1
    return 0


def test_a_damaged_run_record_is_named(tmp_path):
    (tmp_path / "run.json").write_text('{"config": ')
    with pytest.raises(ValueError, match=r"run\.json is not JSON"):
        Run.open(tmp_path)
    files.write_json(tmp_path / "run.json", {"config": {}})
    with pytest.raises(TrainingError, match="older tagkit"):
        Run.open(tmp_path)
