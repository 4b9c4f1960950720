"""Folders in object storage: what is copied when, what is refused, and a training that moves between machines.

The store is fsspec's in memory. For one where several processes meet, see tests/cluster/test_launch.py.
"""

import functools
import os
import shutil
import signal
from datetime import UTC, datetime

import fsspec
import numpy as np
import pytest
from waiting import until

from tagkit import cli
from tagkit.deploy import storage
from tagkit.system import arguments
from tagkit.training import loop
from tagkit.training.runs import Run


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """The URL of an empty bucket; copies lie under `tmp_path`."""
    monkeypatch.setenv("TAGKIT_HOME", str(tmp_path))
    store = fsspec.filesystem("memory")
    store.store.clear()
    yield "memory://bucket"
    store.store.clear()


def read(url: str) -> bytes:
    with fsspec.open(url, "rb") as file:
        return file.read()


def write(url: str, content: bytes) -> None:
    with fsspec.open(url, "wb") as file:
        file.write(content)


def another_machine(tmp_path) -> None:
    """What this machine had copied is gone."""
    shutil.rmtree(tmp_path / "data" / "remote")


def test_a_path_stays_a_path():
    assert arguments.folder("runs/dm16").parts == ("runs", "dm16")
    assert arguments.folder("gs://b/runs/").url == "gs://b/runs"


@pytest.mark.parametrize(
    "command",
    [
        ["compare", "run", "--json", "gs://b/scores.json"],
        ["render", "--root", "s3://b/demo"],
        ["tag", "gs://b/song.mp3", "--run", "run"],
        ["export", "run", "--format", "onnx", "--out", "gs://b/onnx"],
    ],
)
def test_a_url_is_not_taken_for_a_path(command, capsys):
    with pytest.raises(SystemExit) as ending:
        cli.main(command)
    message = capsys.readouterr().err
    assert ending.value.code == 2 and "is a URL; only a file or folder on this machine will do here." in message


def test_only_what_changed_is_copied_and_only_what_is_finished(bucket, monkeypatch):
    write(f"{bucket}/run/a/there.txt", b"there")
    mirror = storage.Mirror(f"{bucket}/run")
    mirror.fetch(progress=False)
    assert (mirror.copy / "a" / "there.txt").read_bytes() == b"there"
    (mirror.copy / "here.txt").write_bytes(b"here")
    (mirror.copy / ".lock").touch()
    (mirror.copy / ".123.weights").write_bytes(b"half of th")
    mirror.send()
    system = fsspec.filesystem("memory")
    assert read(f"{bucket}/run/here.txt") == b"here"
    assert sorted(system.find("/bucket/run")) == ["/bucket/run/a/there.txt", "/bucket/run/here.txt"]
    for name in ("put_file", "get_file"):
        monkeypatch.setattr(type(system), name, lambda *_, **__: pytest.fail("copied what had not changed"))
    mirror.send()
    for again in (mirror, storage.Mirror(f"{bucket}/run")):
        again.fetch(progress=False)
        again.send()


@pytest.mark.parametrize(
    "listed",
    [
        {"mtime": 1_767_225_600.25},
        {"LastModified": datetime(2026, 1, 1, 0, 0, 0, 250_000, UTC)},
        {"updated": "2026-01-01T00:00:00.250Z"},
    ],
)
def test_every_kind_of_time_in_a_listing_is_understood(listed):
    assert storage._modified_ns(None, "run/weights", listed) == 1_767_225_600_250_000_000


def test_nothing_is_removed_from_the_store(bucket):
    write(f"{bucket}/run/checkpoint", b"1")
    mirror = storage.Mirror(f"{bucket}/run")
    mirror.fetch(progress=False)
    (mirror.copy / "checkpoint").unlink()
    mirror.send()
    assert read(f"{bucket}/run/checkpoint") == b"1"


def test_a_copy_that_somebody_removed_is_fetched_again(bucket):
    write(f"{bucket}/run/weights", b"w")
    mirror = storage.Mirror(f"{bucket}/run")
    mirror.fetch(progress=False)
    shutil.rmtree(mirror.copy)
    mirror.fetch(progress=False)
    assert (mirror.copy / "weights").read_bytes() == b"w" == read(f"{bucket}/run/weights")


def test_the_newer_version_counts_even_at_the_same_size(bucket):
    """Another machine went on with a run, then this one does; what it could not send is not lost either."""
    write(f"{bucket}/run/checkpoint", b"1")
    storage.Mirror(f"{bucket}/run").fetch(progress=False)
    write(f"{bucket}/run/checkpoint", b"2")
    mirror = storage.Mirror(f"{bucket}/run")
    mirror.fetch(progress=False)
    assert (mirror.copy / "checkpoint").read_bytes() == b"2"
    (mirror.copy / "checkpoint").write_bytes(b"3")
    mirror = storage.Mirror(f"{bucket}/run")  # of a process that takes over from one that was killed here
    mirror.fetch(progress=False)
    assert (mirror.copy / "checkpoint").read_bytes() == b"3"
    mirror.send()
    assert read(f"{bucket}/run/checkpoint") == b"3"


def test_sending_that_breaks_off_half_way_goes_on(bucket, monkeypatch):
    mirror = storage.Mirror(f"{bucket}/run")
    mirror.fetch(progress=False)
    log = mirror.copy / "log"
    log.write_bytes(b"1")
    (mirror.copy / "weights").write_bytes(b"w")
    system = type(fsspec.filesystem("memory"))
    put = system.put_file

    def put_logs_alone(self, local, *args, **kwargs):
        if local.endswith("weights"):
            raise ConnectionError("the line is cut")
        put(self, local, *args, **kwargs)

    monkeypatch.setattr(system, "put_file", put_logs_alone)
    with pytest.raises(ConnectionError):
        mirror.send()
    monkeypatch.setattr(system, "put_file", put)
    log.write_bytes(b"12")
    mirror.send()
    assert read(f"{bucket}/run/log") == b"12" and read(f"{bucket}/run/weights") == b"w"


def test_files_are_sent_in_the_order_in_which_they_were_written(bucket, monkeypatch):
    mirror = storage.Mirror(f"{bucket}/run")
    mirror.fetch(progress=False)
    for age, name in enumerate(("a_checkpoint", "b_log", "c_weights")):
        (mirror.copy / name).write_bytes(b"x")
        os.utime(mirror.copy / name, (1e9 - age, 1e9 - age))
    system = type(fsspec.filesystem("memory"))
    put, sent = system.put_file, []

    def put_and_note(self, local, path, **kwargs):
        sent.append(path.rpartition("/")[2])
        put(self, local, path, **kwargs)

    monkeypatch.setattr(system, "put_file", put_and_note)
    mirror.send()
    assert sent == ["c_weights", "b_log", "a_checkpoint"]


def test_copies_are_called_as_their_folders_are():
    assert storage.Mirror("gs://b/runs/dm16").copy.name == "dm16"


def test_an_error_of_the_stores_own_names_the_folder(bucket, monkeypatch):
    class LoginError(Exception):
        pass

    def refuse(*_, **__):
        raise LoginError("no login")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "find", refuse)
    with pytest.raises(storage.StorageError, match=r"bucket/run could not be read or written \(LoginError: no login"):
        storage.Mirror(f"{bucket}/run").fetch(progress=False)


def test_a_log_that_grows_while_it_is_copied_is_copied_again(bucket, monkeypatch):
    mirror = storage.Mirror(f"{bucket}/run")
    mirror.fetch(progress=False)
    log = mirror.copy / "log"
    log.write_bytes(b"1")
    system = type(fsspec.filesystem("memory"))
    put = system.put_file

    def put_and_grow(*args, **kwargs):
        put(*args, **kwargs)
        log.write_bytes(b"12")

    monkeypatch.setattr(system, "put_file", put_and_grow)
    mirror.send()
    monkeypatch.setattr(system, "put_file", put)
    mirror.send()
    assert read(f"{bucket}/run/log") == b"12"


def test_a_name_cannot_lead_out_of_the_folder(bucket):
    fsspec.filesystem("memory").store["/bucket/run/../../evil"] = fsspec.implementations.memory.MemoryFile(
        fsspec.filesystem("memory"), "/bucket/run/../../evil", b"x"
    )
    with pytest.raises(storage.StorageError, match="would lie outside"):
        storage.Mirror(f"{bucket}/run").fetch(progress=False)


def test_a_store_that_fails_is_tried_again_and_told(bucket, monkeypatch, capfd):
    monkeypatch.setattr(storage, "EVERY_S", 0.05)
    system = type(fsspec.filesystem("memory"))
    put, tried = system.put_file, []

    def put_at_the_third_try(*args, **kwargs):
        tried.append(args)
        if len(tried) < 3:
            raise ConnectionError("the line is cut")
        put(*args, **kwargs)

    monkeypatch.setattr(system, "put_file", put_at_the_third_try)
    mirror = storage.Mirror(f"{bucket}/run")
    with storage.following([mirror]):
        (mirror.copy / "x").write_bytes(b"x")
        until(lambda: len(tried) >= 3, "it was not tried again")
    assert read(f"{bucket}/run/x") == b"x"
    assert f"{bucket}/run could not be written (the line is cut); trying again." in capfd.readouterr().err


def test_a_store_that_nothing_here_opens_is_one_sentence(tone_records, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TAGKIT_HOME", str(tmp_path))
    assert cli.main(["evaluate", "nosuch://bucket/run"]) == 1
    message = capsys.readouterr().err
    assert "nosuch://bucket/run cannot be opened" in message and "pip install -e '.[storage]'" in message


def test_a_training_goes_on_on_another_machine(bucket, tone_records, tmp_path, monkeypatch, capsys):
    """Interrupted here, taken up there, scored by a third: the weights are those of a training in a local folder."""
    for path in tone_records.root.rglob("*"):
        if path.is_file():
            name = path.relative_to(tone_records.root).as_posix()
            fsspec.filesystem("memory").put_file(str(path), f"/bucket/records/{name}")
    settings = ["--model", "ds256ra", "--steps", "12", "--eval-every", "4", "--batch-size", "3"]
    assert cli.main(["train", *settings, "--records", str(tone_records.root), "--out", str(tmp_path / "whole")]) == 0
    there = [*settings, "--records", f"{bucket}/records", "--out", f"{bucket}/run"]

    def interrupt(step: int) -> None:
        if step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    whole_train = loop.train
    monkeypatch.setattr(loop, "train", functools.partial(whole_train, after=interrupt))
    assert cli.main(["train", *there]) == 130
    monkeypatch.setattr(loop, "train", whole_train)
    assert fsspec.filesystem("memory").exists("/bucket/run/checkpoint.npz")
    another_machine(tmp_path)
    assert cli.main(["train", *there]) == 0
    another_machine(tmp_path)
    capsys.readouterr()
    assert cli.main(["evaluate", f"{bucket}/run", "--records", f"{bucket}/records"]) == 0
    assert "roc" in capsys.readouterr().out.lower()
    runs = [Run.open(tmp_path / "whole"), Run.open(storage.Mirror(f"{bucket}/run").copy)]
    weights = [run.model().get_weights() for run in runs]
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
