import dataclasses
import hashlib
import io
import os
import shutil
import zipfile
from collections import namedtuple

import filelock
import numpy as np
import pytest
import requests
from faulty_server import Faults, serve

from tagkit.data import datasets, download, magnatagatune
from tagkit.data.download import Download, DownloadError, fetch, fetch_file

DATA = np.random.default_rng(0).bytes(300_000)
SHA = "sha256:" + hashlib.sha256(DATA).hexdigest()
SHA1 = "sha1:" + hashlib.sha1(DATA).hexdigest()


@pytest.fixture
def waits():
    return []


def fetch_with(tmp_path, faults, waits, checksum=SHA, name="a.bin"):
    with serve({"a.bin": DATA}, faults) as (url, _), requests.Session() as session:
        fetch_file(session, url + name, tmp_path / "a.bin", checksum, progress=False, sleep=waits.append)


def assert_whole(tmp_path):
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("checksum", [SHA, SHA1, ""])
def test_a_file_is_fetched_in_one_go(tmp_path, waits, checksum):
    fetch_with(tmp_path, Faults(), waits, checksum)
    assert_whole(tmp_path)
    assert waits == []


def test_cuts_are_resumed_by_range(tmp_path, waits):
    faults = Faults(cut_after=[100_000, 0, 50_000])
    fetch_with(tmp_path, faults, waits)
    assert_whole(tmp_path)
    assert [wanted for _, wanted in faults.requests] == [None, "bytes=98304-", "bytes=98304-", "bytes=147456-"]


def test_a_later_run_goes_on_from_the_part(tmp_path, waits):
    (tmp_path / "a.bin.part").write_bytes(DATA[:200_000])
    faults = Faults()
    fetch_with(tmp_path, faults, waits)
    assert_whole(tmp_path)
    assert faults.requests == [("a.bin", "bytes=200000-")]


def test_a_server_without_ranges_starts_over(tmp_path, waits):
    faults = Faults(ranges=False, cut_after=[100_000])
    fetch_with(tmp_path, faults, waits)
    assert_whole(tmp_path)
    assert len(faults.requests) == 2


def test_a_server_that_sends_another_range_is_not_believed(tmp_path, waits):
    (tmp_path / "a.bin.part").write_bytes(DATA[:1000])
    fetch_with(tmp_path, Faults(wrong_range=[True]), waits)
    assert_whole(tmp_path)


def test_a_part_that_is_already_whole_is_taken(tmp_path, waits):
    (tmp_path / "a.bin.part").write_bytes(DATA)
    fetch_with(tmp_path, Faults(), waits)
    assert_whole(tmp_path)


def test_a_part_longer_than_the_file_is_dropped(tmp_path, waits):
    (tmp_path / "a.bin.part").write_bytes(DATA + b"more")
    fetch_with(tmp_path, Faults(), waits)
    assert_whole(tmp_path)


def test_a_part_of_another_file_is_found_by_the_checksum(tmp_path, waits):
    (tmp_path / "a.bin.part").write_bytes(b"?" * 1000)
    faults = Faults()
    fetch_with(tmp_path, faults, waits)
    assert_whole(tmp_path)
    assert [wanted for _, wanted in faults.requests] == ["bytes=1000-", None]


def test_a_body_without_length_that_is_cut_is_found_by_the_checksum(tmp_path, waits):
    fetch_with(tmp_path, Faults(declare_length=False, cut_after=[1000]), waits)
    assert_whole(tmp_path)


def test_a_damaged_file_is_fetched_again_once(tmp_path, waits):
    damaged = bytes([DATA[0] ^ 1]) + DATA[1:]
    fetch_with(tmp_path, Faults(contents=[damaged]), waits)
    assert_whole(tmp_path)
    (tmp_path / "a.bin").unlink()
    with pytest.raises(
        DownloadError, match=r"a\.bin has the checksum sha256:.* and should have sha256:.*another mirror"
    ):
        fetch_with(tmp_path, Faults(contents=[damaged, damaged]), waits)
    assert list(tmp_path.iterdir()) == [], "nothing wrong is left under any name"


def test_a_wrong_file_under_the_final_name_is_replaced(tmp_path, waits):
    (tmp_path / "a.bin").write_bytes(b"half")
    fetch_with(tmp_path, Faults(), waits)
    assert_whole(tmp_path)


def test_a_wrong_file_stays_until_the_right_one_has_come(tmp_path, waits):
    (tmp_path / "a.bin").write_bytes(b"mine")
    damaged = bytes([DATA[0] ^ 1]) + DATA[1:]
    for faults in (Faults(statuses=[404]), Faults(contents=[damaged, damaged]), Faults(cut_after=[0] * 20)):
        with pytest.raises(DownloadError):
            fetch_with(tmp_path, faults, waits)
        assert (tmp_path / "a.bin").read_bytes() == b"mine"
    fetch_with(tmp_path, Faults(), waits)
    assert_whole(tmp_path)


def test_a_file_without_a_published_checksum_is_kept_and_that_is_said(tmp_path, capsys):
    (tmp_path / "a.bin").write_bytes(b"mine")
    dataset = Download("http://127.0.0.1:1/", {"a.bin": ""}, download_gb=1e-9)
    fetch(dataset, tmp_path, progress=False)
    said = f"{tmp_path / 'a.bin'} is kept: no checksum of it is published; remove it to fetch it again.\n"
    assert capsys.readouterr() == ("", said)
    fetch(dataset, tmp_path, progress=False)
    assert capsys.readouterr() == ("", ""), "it was noted"
    os.utime(tmp_path / "a.bin", (0, 0))
    fetch(dataset, tmp_path, progress=False)
    assert capsys.readouterr() == ("", said)
    assert (tmp_path / "a.bin").read_bytes() == b"mine"


def test_busy_servers_are_waited_for_ever_longer(tmp_path, waits):
    fetch_with(tmp_path, Faults(statuses=[503, 500, 429]), waits)
    assert_whole(tmp_path)
    assert waits == [3.0, 4.0, 8.0], "Retry-After: 3 first, then twice as long each time"


def test_a_server_that_stays_broken_is_given_up_and_the_part_kept(tmp_path, waits):
    faults = Faults(cut_after=[20_000] + [0] * 20)
    with pytest.raises(DownloadError, match=r"6 times in a row\); rerun the command to resume from 16384 bytes"):
        fetch_with(tmp_path, faults, waits)
    assert (tmp_path / "a.bin.part").stat().st_size == 16384
    assert not (tmp_path / "a.bin").exists()


def test_a_stalled_connection_is_left_and_resumed(tmp_path, waits, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT_S", (1, 0.2))
    fetch_with(tmp_path, Faults(stall_s=[5.0]), waits)
    assert_whole(tmp_path)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_missing_file_is_an_error_at_once(tmp_path, waits, status):
    with pytest.raises(DownloadError, match=f"HTTP {status} .*name a mirror"):
        fetch_with(tmp_path, Faults(statuses=[status]), waits)
    assert waits == []


def test_a_host_that_does_not_answer(tmp_path, waits):
    with serve({}) as (url, _):
        pass
    with requests.Session() as session, pytest.raises(DownloadError, match=r"cannot be fetched .*Connection refused"):
        fetch_file(session, url + "a.bin", tmp_path / "a.bin", SHA, progress=False, sleep=waits.append)
    assert len(waits) == 5


def test_a_full_disk_is_said_before_the_first_byte(tmp_path, waits, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 1e6))
    with pytest.raises(DownloadError, match=r"has 0\.0 GB free and this dataset needs about 6\.1 GB; make room"):
        fetch(magnatagatune.DOWNLOAD, tmp_path, base_url="http://127.0.0.1:1/", progress=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 1000))
    with pytest.raises(DownloadError, match="are free; make room"):
        fetch_with(tmp_path, Faults(), waits)


def test_room_is_asked_for_only_what_is_still_missing(tmp_path, split_archive, monkeypatch):
    dataset, content, members = split_archive
    dataset = dataclasses.replace(dataset, download_gb=1e-4, unpacked_gb=1e-4)  # 200 kB
    with serve(content) as (url, _):
        fetch(dataset, tmp_path, url, progress=False)
        (tmp_path / "a.csv").unlink()
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, 110_000))
        fetch(dataset, tmp_path, url, progress=False)
        assert (tmp_path / "a.csv").read_bytes() == content["a.csv"]
        (tmp_path / ".download.json").unlink()
        (tmp_path / "mp3" / next(iter(members))).unlink()
        fetch(dataset, tmp_path, url, progress=False)  # 95 kB of 100 are unpacked already
        shutil.rmtree(tmp_path / "mp3")
        with pytest.raises(DownloadError, match=r"needs about 0\.0 GB; make room"):
            fetch(dataset, tmp_path, url, progress=False)


def test_unknown_names_and_what_there_is():
    with pytest.raises(DownloadError, match="no dataset 'mtat' to fetch; choose one of magnatagatune, fma_small"):
        datasets.find("mtat")
    assert len(datasets.DOWNLOADS) == 8
    for dataset in datasets.DOWNLOADS.values():
        assert set(dataset.archive) <= set(dataset.checksums)
        for checksum in dataset.checksums.values():
            kind, _, digest = checksum.partition(":")
            assert len(digest) == {"sha256": 64, "sha1": 40, "": 0}[kind]


@pytest.fixture
def split_archive():
    """A dataset of one table and a zip archive (deflate and bzip2) in three parts, and its content."""
    members = {f"{k % 4}/Stück {k}.mp3": np.random.default_rng(k).bytes(5000) for k in range(20)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for k, (name, data) in enumerate(members.items()):
            archive.writestr(name, data, zipfile.ZIP_BZIP2 if k % 2 else zipfile.ZIP_DEFLATED)
    whole = buffer.getvalue()
    third = len(whole) // 3
    content = {
        "a.csv": b"x" * 10,
        "z.001": whole[:third],
        "z.002": whole[third : 2 * third],
        "z.003": whole[2 * third :],
    }
    remote = {name: "sha256:" + hashlib.sha256(data).hexdigest() for name, data in content.items()}
    return Download("http://nowhere.invalid/", remote, ("z.001", "z.002", "z.003"), "mp3", "mp3"), content, members


def test_a_dataset_in_parts_is_fetched_unpacked_and_not_fetched_again(tmp_path, waits, split_archive):
    dataset, content, members = split_archive
    with serve(content, Faults(cut_after=[None, 20_000])) as (url, faults):
        for _ in range(2):
            fetch(dataset, tmp_path, base_url=url.rstrip("/"), progress=False, sleep=waits.append)
        assert len(faults.requests) == 5, "four files, one of them cut once; nothing the second time"
    for name, data in members.items():
        assert (tmp_path / "mp3" / name).read_bytes() == data
    assert sorted(path.name for path in tmp_path.iterdir()) == [".download.json", ".lock", "a.csv", "mp3"]


def test_two_downloads_into_one_folder(tmp_path):
    with filelock.FileLock(tmp_path / ".lock"), pytest.raises(DownloadError, match="by another process; wait for it"):
        fetch(magnatagatune.DOWNLOAD, tmp_path, progress=False)


def test_a_changed_file_is_fetched_again(tmp_path, split_archive):
    dataset, content, _ = split_archive
    with serve(content) as (url, faults):
        fetch(dataset, tmp_path, url, progress=False)
        (tmp_path / "a.csv").write_text("changed by hand")
        shutil.rmtree(tmp_path / "mp3")
        fetch(dataset, tmp_path, url, progress=False)
        assert len(faults.requests) == 8
    assert (tmp_path / "a.csv").read_bytes() == content["a.csv"]
    assert (tmp_path / "mp3").is_dir()


def test_archives_are_kept_when_asked(tmp_path, split_archive):
    dataset, content, _ = split_archive
    with serve(content) as (url, _):
        fetch(dataset, tmp_path, url, progress=False, keep_archives=True)
    assert (tmp_path / "z.002").read_bytes() == content["z.002"]
