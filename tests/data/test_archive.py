import io
import stat
import zipfile
from collections import namedtuple

import numpy as np
import pytest

from tagkit.data.archive import ArchiveError, JoinedFile, unpack


def write_zip(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_joined_file_reads_as_one(tmp_path):
    data = np.random.default_rng(0).bytes(1000)
    parts = [tmp_path / str(k) for k in range(4)]
    for part, piece in zip(parts, (data[:300], b"", data[300:301], data[301:]), strict=True):
        part.write_bytes(piece)
    with io.BufferedReader(JoinedFile(parts), 64) as file:
        assert file.read() == data
        assert file.seek(-10, io.SEEK_END) == 990
        assert file.read(5) == data[990:995]
        file.seek(295)
        assert file.read(10) == data[295:305]
        assert file.seek(5, io.SEEK_CUR) == 310
        assert file.seek(2000) == 2000
        assert file.read(1) == b""


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_method_is_unpacked(tmp_path, method):
    members = {"a/b/c.mp3": b"sound" * 1000, "empty": b"", "Ümläut 音.txt": b"text"}
    count = unpack([write_zip(tmp_path / "z.zip", members, method)], tmp_path / "out", progress=False)
    assert count == 3
    for name, data in members.items():
        assert (tmp_path / "out" / name).read_bytes() == data


def test_an_interrupted_run_resumes(tmp_path):
    path = write_zip(tmp_path / "z.zip", {"a": b"1" * 100, "b": b"2" * 100, "c": b"3" * 100})
    out = tmp_path / "out"
    unpack([path], out, progress=False)
    (out / "b").unlink()
    (out / "c").write_bytes(b"short")
    assert unpack([path], out, progress=False) == 2
    assert (out / "c").read_bytes() == b"3" * 100
    assert unpack([path], out, progress=False) == 0


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "C:/evil", "..\\evil", "a\\..\\..\\evil"])
def test_nothing_is_written_outside(tmp_path, name):
    path = write_zip(tmp_path / "z.zip", {"good": b"1", name: b"2"})
    with pytest.raises(ArchiveError, match="leads out of its folder"):
        unpack([path], tmp_path / "out", progress=False)
    assert list((tmp_path / "out").iterdir()) == [], "not even the good member"
    assert not (tmp_path / "evil").exists()


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr(link, "/etc")
        archive.writestr("link/passwd", b"x")
    with pytest.raises(ArchiveError, match="'link', which is a link"):
        unpack([tmp_path / "z.zip"], tmp_path / "out", progress=False)


def test_a_link_in_the_target_is_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").symlink_to(tmp_path / "outside")
    with pytest.raises(ArchiveError, match="is a link that leads out"):
        unpack([write_zip(tmp_path / "z.zip", {"a/b": b"1"})], tmp_path / "out", progress=False)
    assert list((tmp_path / "outside").iterdir()) == []


def test_damage_is_named_and_leaves_no_half_file(tmp_path):
    path = write_zip(tmp_path / "z.zip", {"a": b"1" * 50_000, "b": np.random.default_rng(0).bytes(50_000)})
    data = bytearray(path.read_bytes())
    data[len(data) - 10_000] ^= 255
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"z\.zip: b is damaged \(.*\); fetch the archive again"):
        unpack([path], tmp_path / "out", progress=False)
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["a"]


@pytest.mark.parametrize("data", [b"", b"no archive" * 100])
def test_what_is_no_archive(tmp_path, data):
    (tmp_path / "z.zip").write_bytes(data)
    with pytest.raises(ArchiveError, match="is damaged or no zip archive"):
        unpack([tmp_path / "z.zip"], tmp_path / "out", progress=False)


def test_a_cut_archive(tmp_path):
    path = write_zip(tmp_path / "z.zip", {"a": np.random.default_rng(0).bytes(50_000)})
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(ArchiveError, match="fetch it again"):
        unpack([path], tmp_path / "out", progress=False)


def test_a_full_disk_is_said_first(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(0, 0, 10))
    with pytest.raises(ArchiveError, match=r"needs 0\.0 GB in .* and 0\.0 GB are free; make room"):
        unpack([write_zip(tmp_path / "z.zip", {"a": b"1" * 100})], tmp_path / "out", progress=False)


def test_a_member_twice(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    with pytest.raises(ArchiveError, match="holds 'a' twice"):
        unpack([tmp_path / "z.zip"], tmp_path / "out", progress=False)
