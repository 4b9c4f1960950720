"""Folders in object storage: what is copied when, what is refused, and a training that moves between machines.

The store is fsspec's in memory. For one where several processes meet, see tests/cluster/test_launch.py.
"""

import functools
import os
import shutil
import signal

import fsspec
import numpy as np
import pytest
from waiting import until

from tagkit import cli
from tagkit.deploy import storage
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
    assert storage.folder("runs/dm16").parts == ("runs", "dm16")
    assert storage.folder("gs://b/runs/").url == "gs://b/runs"


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "run", "--json", "gs://b/scores.json"],
        ["render", "--root", "s3://b/demo"],
        ["tag", "gs://b/song.mp3", "--run", "run"],
        ["export", "run", "--format", "onnx", "--out", "gs://b/onnx"],
    ],
)
def test_a_url_is_not_taken_for_a_path(arguments, capsys):
    with pytest.raises(SystemExit) as ending:
        cli.main(arguments)
    message = capsys.readouterr().err
    assert ending.value.code == 2 and "is a URL; only a file or folder of this machine will do here." in message


def test_changes_go_both_ways_and_nothing_is_copied_twice(bucket, monkeypatch):
    write(f"{bucket}/run/a/there.txt", b"there")
    folder = storage.Remote(f"{bucket}/run")
    folder.pull(progress=False)
    assert (folder.copy / "a" / "there.txt").read_bytes() == b"there"
    (folder.copy / "here.txt").write_bytes(b"here")
    (folder.copy / ".lock").touch()
    folder.push()
    assert read(f"{bucket}/run/here.txt") == b"here"
    system = fsspec.filesystem("memory")
    assert not system.exists("/bucket/run/.lock")
    for name in ("put_file", "get_file", "rm_file"):
        monkeypatch.setattr(type(system), name, lambda *_, **__: pytest.fail("copied what had not changed"))
    folder.pull(progress=False)
    folder.push()


def test_what_is_removed_on_one_side_is_removed_on_the_other(bucket):
    write(f"{bucket}/run/checkpoint", b"1")
    write(f"{bucket}/run/log", b"1")
    folder = storage.Remote(f"{bucket}/run")
    folder.pull(progress=False)
    (folder.copy / "checkpoint").unlink()
    folder.push()
    assert not fsspec.filesystem("memory").exists("/bucket/run/checkpoint")
    fsspec.filesystem("memory").rm("/bucket/run/log")
    folder.pull(progress=False)
    assert not (folder.copy / "log").exists()
    (folder.copy / "checkpoint").write_bytes(b"2")
    folder.push()
    assert read(f"{bucket}/run/checkpoint") == b"2"


def test_a_copy_that_somebody_removed_is_fetched_again(bucket):
    write(f"{bucket}/run/weights", b"w")
    folder = storage.Remote(f"{bucket}/run")
    folder.pull(progress=False)
    shutil.rmtree(folder.copy)
    folder.pull(progress=False)
    assert (folder.copy / "weights").read_bytes() == b"w" == read(f"{bucket}/run/weights")


def test_a_push_that_breaks_off_half_way_goes_on(bucket, monkeypatch):
    folder = storage.Remote(f"{bucket}/run")
    folder.pull(progress=False)
    log = folder.copy / "log"
    log.write_bytes(b"1")
    (folder.copy / "weights").write_bytes(b"w")
    system = type(fsspec.filesystem("memory"))
    put = system.put_file

    def put_logs_alone(self, local, *args, **kwargs):
        if local.endswith("weights"):
            raise ConnectionError("the line is cut")
        put(self, local, *args, **kwargs)

    find = system.find
    monkeypatch.setattr(system, "put_file", put_logs_alone)
    marks = iter([{}])  # once, and not after the line was cut
    monkeypatch.setattr(system, "find", lambda *_, **__: next(marks))
    with pytest.raises(ConnectionError):
        folder.push()
    monkeypatch.setattr(system, "put_file", put)
    monkeypatch.setattr(system, "find", find)
    log.write_bytes(b"12")
    folder.push()
    assert read(f"{bucket}/run/log") == b"12" and read(f"{bucket}/run/weights") == b"w"


def test_what_was_removed_goes_after_what_was_written(bucket, monkeypatch):
    write(f"{bucket}/run/checkpoint", b"1")
    folder = storage.Remote(f"{bucket}/run")
    folder.pull(progress=False)
    (folder.copy / "run.json").write_bytes(b"finished")
    (folder.copy / "checkpoint").unlink()
    system = type(fsspec.filesystem("memory"))
    remove = system.rm_file

    def remove_last(self, path):
        assert self.exists("/bucket/run/run.json")
        remove(self, path)

    monkeypatch.setattr(system, "rm_file", remove_last)
    folder.push()
    assert not fsspec.filesystem("memory").exists("/bucket/run/checkpoint")


def test_copies_are_called_as_their_folders_are():
    assert storage.Remote("gs://b/runs/dm16").copy.name == "dm16"


def test_an_error_of_the_stores_own_names_the_folder(bucket, monkeypatch):
    class LoginError(Exception):
        pass

    def refuse(*_, **__):
        raise LoginError("no login")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "find", refuse)
    with pytest.raises(storage.RemoteError, match=r"bucket/run could not be read or written \(LoginError: no login"):
        storage.Remote(f"{bucket}/run").pull(progress=False)


def test_a_log_that_grows_while_it_is_copied_is_copied_again(bucket, monkeypatch):
    folder = storage.Remote(f"{bucket}/run")
    folder.pull(progress=False)
    log = folder.copy / "log"
    log.write_bytes(b"1")
    system = type(fsspec.filesystem("memory"))
    put = system.put_file

    def put_and_grow(*args, **kwargs):
        put(*args, **kwargs)
        log.write_bytes(b"12")

    monkeypatch.setattr(system, "put_file", put_and_grow)
    folder.push()
    monkeypatch.setattr(system, "put_file", put)
    folder.push()
    assert read(f"{bucket}/run/log") == b"12"


def test_two_writers_are_told_and_equal_files_are_no_conflict(bucket):
    folder = storage.Remote(f"{bucket}/run")
    folder.pull(progress=False)
    for name in ("same", "other"):
        (folder.copy / name).write_bytes(b"mine")
    write(f"{bucket}/run/same", b"mine")
    folder.push()
    write(f"{bucket}/run/other", b"theirs")
    (folder.copy / "other").write_bytes(b"mine again")
    with pytest.raises(storage.RemoteError, match="bucket/run/other was changed there and in its copy"):
        folder.push()
    assert read(f"{bucket}/run/other") == b"theirs" and (folder.copy / "other").read_bytes() == b"mine again"


def test_a_name_cannot_lead_out_of_the_folder(bucket):
    fsspec.filesystem("memory").store["/bucket/run/../../evil"] = fsspec.implementations.memory.MemoryFile(
        fsspec.filesystem("memory"), "/bucket/run/../../evil", b"x"
    )
    with pytest.raises(storage.RemoteError, match="would lie outside"):
        storage.Remote(f"{bucket}/run").pull(progress=False)


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
    folder = storage.Remote(f"{bucket}/run")
    with storage.following([folder]):
        (folder.copy / "x").write_bytes(b"x")
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
    assert not fsspec.filesystem("memory").exists("/bucket/run/checkpoint.npz")
    another_machine(tmp_path)
    capsys.readouterr()
    assert cli.main(["evaluate", f"{bucket}/run", "--records", f"{bucket}/records"]) == 0
    assert "roc" in capsys.readouterr().out.lower()
    runs = [Run.open(tmp_path / "whole"), Run.open(storage.folder(f"{bucket}/run").copy)]
    weights = [run.model().get_weights() for run in runs]
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
