import gzip
import hashlib
import io
import tarfile

import numpy as np
import pytest
from faulty_server import serve

from tagkit import audio, cli
from tagkit.data import download, jamendo
from tagkit.data.archive import ArchiveError, unpack_tar
from tagkit.data.catalog import CatalogError
from tagkit.data.records import Records

ROWS = [  # track, artist, folder, tags, part
    (1, 1, 1, ["genre---rock", "instrument---guitar"], "train"),
    (101, 1, 1, ["genre---rock"], "train"),
    (202, 2, 2, ["genre---jazz"], "validation"),
    (301, 3, 1, ["genre---jazz", "mood/theme---happy"], "test"),
]


def tables():
    """The dataset's tables, for split 0 and the top 50 tags, of four tracks; the others have only a header."""
    content = {name: "\t".join(jamendo.HEADER) + "\n" for name in jamendo.TABLES.checksums if name != jamendo.SUMS}
    for track, artist, folder, tags, part in ROWS:
        path = f"{folder:02}/{track}.mp3"
        row = [f"track_{track:07}", f"artist_{artist:06}", "album_000001", path, "20.0", *tags]
        content[jamendo.table(0, "autotagging_top50tags", part)] += "\t".join(row) + "\n"
    return {name: text.encode() for name, text in content.items()}


def tar_of(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(data, bytes):
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            else:
                info.type, info.linkname = data
                archive.addfile(info)
    return stream.getvalue()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The dataset on a local server, with the checksums of what is there: tars 1 and 2, with a track of 20 s each."""
    content = tables()
    rng = np.random.default_rng(0)
    for number in (1, 2):
        members = {}
        for track, _, folder, _, _ in ROWS:
            if folder == number:
                audio.save(tmp_path / "a.mp3", 0.1 * rng.standard_normal(8_000 * track // 20), 16_000)
                members[f"{number:02}/{track}.low.mp3"] = (tmp_path / "a.mp3").read_bytes()
        content[f"raw_30s/audio-low/raw_30s_audio-low-{number:02}.tar"] = tar_of(members)
    sums = [f"{hashlib.sha256(data).hexdigest()} {name.rpartition('/')[2]}" for name, data in content.items()]
    content[jamendo.SUMS] = ("\n".join(line for line in sums if line.endswith(".tar")) + "\n").encode()
    right = {name: "sha256:" + hashlib.sha256(content[name]).hexdigest() for name in jamendo.TABLES.checksums}
    monkeypatch.setitem(vars(jamendo.TABLES), "checksums", right)
    monkeypatch.setattr(download, "GB", 1.0)  # there may be less room here than a real tar needs
    with serve(content) as (url, faults):
        yield url, faults


def test_fetched_unpacked_and_prepared(server, tmp_path, capsys):
    url, faults = server
    root, out = tmp_path / "jamendo", tmp_path / "records"
    command = ["download", "jamendo", "--root", str(root), "--base-url", url]
    assert cli.main([*command, "--tars", "1"]) == 0
    assert "Next: tagkit prepare jamendo" in capsys.readouterr().out
    assert sorted(p.name for p in (root / "audio-low" / "01").iterdir()) == ["1.low.mp3", "101.low.mp3", "301.low.mp3"]
    assert not list(root.rglob("*.tar")) and not list(root.rglob("*.part"))
    assert jamendo.read(root).split_sizes() == {"train": 2, "valid": 0, "test": 1}
    asked = len(faults.requests)
    assert cli.main([*command, "--tars", "1-2"]) == 0
    assert [name for name, _ in faults.requests[asked:]] == ["raw_30s/audio-low/raw_30s_audio-low-02.tar"]

    assert cli.main(["prepare", "jamendo", "--root", str(root), "--out", str(out), "--seconds", "0.5"]) == 0
    records = Records.open(out)
    assert records.catalog.split_sizes() == {"train": 2, "valid": 1, "test": 1}
    assert records.catalog.tags() == ("genre---jazz", "genre---rock", "instrument---guitar", "mood/theme---happy")
    y = audio.load_int16(root / "audio-low" / "01" / "301.low.mp3", 16_000)
    start = (len(y) - 8_000) // 2
    np.testing.assert_array_equal(records.read(records.index_of["track_0000301"]), y[start : start + 8_000])
    assert cli.main(["prepare", "jamendo", "--root", str(root), "--out", str(tmp_path / "whole")]) == 0
    assert Records.open(tmp_path / "whole").fingerprint != records.fingerprint
    assert cli.main(["prepare", "jamendo", "--root", str(root), "--out", str(out)]) == 1
    assert "records with seconds 0.5, not None" in capsys.readouterr().err


def test_a_tar_with_another_checksum_is_refused(server, tmp_path, capsys):
    url, faults = server
    assert cli.main(["download", "jamendo", "--root", str(tmp_path / "j"), "--base-url", url, "--tars", "1"]) == 0
    faults.contents[:] = [tar_of({"02/9.low.mp3": b"x"})] * 2
    assert cli.main(["download", "jamendo", "--root", str(tmp_path / "j"), "--base-url", url, "--tars", "2"]) == 1
    assert "has the checksum" in capsys.readouterr().err and not (tmp_path / "j" / "audio-low" / "02").exists()
    assert cli.main(["download", "jamendo", "--root", str(tmp_path / "j"), "--base-url", url, "--tars", "7"]) == 1
    assert "knows no raw_30s_audio-low-07.tar" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"../x": b"x"}, "leads out of its folder"),
        ({"/etc/x": b"x", "a": (tarfile.SYMTYPE, "/etc/passwd")}, "leads out of its folder"),
        ({"01/a": (tarfile.SYMTYPE, "b")}, "is a link or device"),
        ({"01/a": (tarfile.FIFOTYPE, "")}, "leads out of its folder"),
    ],
)
def test_a_tar_that_could_do_harm_writes_nothing(tmp_path, members, words):
    (tmp_path / "a.tar").write_bytes(tar_of({"01/good": b"good"} | members))
    with pytest.raises(ArchiveError, match=words):
        unpack_tar(tmp_path / "a.tar", tmp_path / "out", progress=False)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_cut_tar_is_damaged_and_resumes(tmp_path):
    data = tar_of({"01/a": b"a" * 5000, "01/b": b"b" * 5000})
    (tmp_path / "a.tar").write_bytes(data[:8000])
    with pytest.raises(ArchiveError, match=r"damaged|ends early"):
        unpack_tar(tmp_path / "a.tar", tmp_path / "out", progress=False)
    assert not (tmp_path / "out" / "01" / "b").exists()
    (tmp_path / "a.tar").write_bytes(data)
    unpack_tar(tmp_path / "a.tar", tmp_path / "out", progress=False)
    assert (tmp_path / "out" / "01" / "b").read_bytes() == b"b" * 5000
    assert unpack_tar(tmp_path / "a.tar", tmp_path / "out", progress=False) == 0


def test_damaged_tables_are_named(tmp_path):
    with pytest.raises(CatalogError, match="holds no audio"):
        jamendo.read(tmp_path)
    (tmp_path / "audio-low" / "01").mkdir(parents=True)
    for name, data in tables().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    damaged = tmp_path / jamendo.table(0, "autotagging_top50tags", "test")
    damaged.write_bytes(damaged.read_bytes() + b"track_1\tartist_1\n")
    with pytest.raises(CatalogError, match="line 3 is no track"):
        jamendo.read(tmp_path)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("tags", "sizes", "many"), [("top50", (32_136, 10_888, 11_356), 50), ("moodtheme", (9_949, 3_802, 4_231), 56)]
)
def test_the_published_sizes(real_data, tmp_path, tags, sizes, many):
    for number in jamendo.TARS:
        (tmp_path / "audio-low" / f"{number:02}").mkdir(parents=True)
    (tmp_path / "splits" / "split-0").mkdir(parents=True)
    for part, sha256 in zip(jamendo.PARTS, jamendo.SPLIT_0_SHA256[jamendo.SETS[tags]], strict=True):
        data = gzip.decompress((real_data / "jamendo" / f"{jamendo.SETS[tags]}-{part}.tsv.gz").read_bytes())
        assert hashlib.sha256(data).hexdigest() == sha256
        (tmp_path / jamendo.table(0, jamendo.SETS[tags], part)).write_bytes(data)
    catalog = jamendo.read(tmp_path, tags)
    assert tuple(catalog.split_sizes().values()) == sizes and len(catalog.tags()) == many
    artists = [set(catalog.clips.loc[catalog.ids(part), "artist"]) for part in ("train", "valid", "test")]
    assert not artists[0] & artists[1] | artists[0] & artists[2] | artists[1] & artists[2]
