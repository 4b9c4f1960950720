import os

import numpy as np
import pytest

from tagkit import audio
from tagkit.data import folder
from tagkit.data.catalog import CatalogError


def write(path, text, encoding="utf-8", newline="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.replace("\n", newline).encode(encoding))
    return path


@pytest.mark.parametrize(
    "table",
    [
        "path,guitar,sad song\na.wav,1,0\nb/ü c.mp3,0,1\n",
        "File Path\tguitar\tsad song\na.wav\t1\t0\nb/ü c.mp3\t0\t1\n",
        "guitar;sad song;filename\nyes;no;a.wav\nFALSE;True;b/ü c.mp3\n",
        "path|guitar|sad song\na.wav|1.0|0.0\n\nb\\ü c.mp3|0|1\n",
        'mp3_path,tags\na.wav,guitar\n"b/ü c.mp3",sad song\n',
        "audio,genre\na.wav, guitar ;\nb/ü c.mp3,sad song;\n",
        "audio,genre\na.wav, guitar |\nb/ü c.mp3,|sad song\n",
    ],
)
@pytest.mark.parametrize(("encoding", "newline"), [("utf-8", "\n"), ("utf-8-sig", "\r\n")])
def test_a_table_in_many_spellings(tmp_path, table, encoding, newline):
    write(tmp_path / "my tags.csv", table, encoding, newline)
    catalog = folder.read(tmp_path, tmp_path / "my tags.csv")
    assert catalog.clips["path"].tolist() == ["a.wav", "b/ü c.mp3"]
    assert catalog.tags() == ("guitar", "sad song")
    assert catalog.labels.to_numpy().tolist() == [[True, False], [False, True]]
    assert catalog["b/ü c.mp3"].tags == ("sad song",)
    assert catalog["b/ü c.mp3"].title == "ü c"


@pytest.mark.parametrize(
    ("first", "second", "tags"),
    [
        ("rock; pop", '"drum, bass"', ("drum, bass", "pop", "rock")),
        ('"drum, bass"', "rock | pop", ("drum, bass", "pop", "rock")),
        ("AC|DC", "rock; pop", ("AC|DC", "pop", "rock")),
        ('"drum, bass"', "rock", ("bass", "drum", "rock")),
    ],
)
def test_a_column_of_tags_has_one_separator(tmp_path, first, second, tags):
    write(tmp_path / "t.csv", f"path,tags\na.wav,{first}\nb.wav,{second}\n")
    assert folder.read(tmp_path, "t.csv").tags() == tags


@pytest.mark.parametrize("name", [b"rock/caf\xe9.wav", b"caf\xe9/a.wav"])
def test_a_name_that_is_not_utf8_is_named(tmp_path, name):
    for each in (b"rock/a.wav", b"rock/cover\xff.jpg", b"rock/.hidden\xff.wav", name):
        write(tmp_path / os.fsdecode(each), "x")
    with pytest.raises(
        CatalogError, match=r"caf\\xe9.*' is a name that is not UTF-8 text \(1 in all\); rename it"
    ) as caught:
        folder.read(tmp_path)
    assert str(caught.value).isascii()
    (tmp_path / os.fsdecode(name)).unlink()
    folder.read(tmp_path).fingerprint()


def test_a_folder_whose_own_name_is_not_utf8_is_named(tmp_path):
    root = tmp_path / os.fsdecode(b"m\xfcsic")
    write(root / "rock" / "a.wav", "x")
    with pytest.raises(CatalogError, match=r"m\\xfcsic' is a name that is not UTF-8 text"):
        folder.read(root)


def test_known_columns_are_no_tags_and_splits_are_taken(tmp_path):
    rows = "7,a.wav,Ann,S1,T,Training,1\n8,b.wav,Bob,S2,U,val,0\n9,c.wav,Cyd,S3,V,TEST,1\nx,d.wav,Dee,S4,W,,1\n"
    write(tmp_path / "t.csv", "id,path,artist,song,title,split,rock\n" + rows)
    catalog = folder.read(tmp_path, "t.csv")
    assert catalog.tags() == ("rock",)
    assert catalog.splits["given"].tolist() == ["train", "valid", "test", ""]
    assert (catalog.default_split, catalog.cluster_by) == ("given", "artist")
    assert catalog["8"].artist == "Bob"
    assert catalog["8"].path == tmp_path / "b.wav"


def test_split_by_artist_where_known_else_shuffled(tmp_path):
    rows = [f"{k}.wav,artist {k % 12},{k % 2}" for k in range(120)]
    catalog = folder.read(tmp_path, write(tmp_path / "t.csv", "path,artist,rock\n" + "\n".join(rows)))
    parts = catalog.splits["artist"].groupby(catalog.clips["artist"]).nunique()
    assert catalog.default_split == "artist"
    assert parts.eq(1).all()
    rows = [f"{k}.wav,{k % 2}" for k in range(120)]
    catalog = folder.read(tmp_path, write(tmp_path / "t.csv", "path,rock\n" + "\n".join(rows)))
    assert catalog.split_sizes("random") == {"train": 84, "valid": 12, "test": 24}
    assert catalog.splits.equals(folder.read(tmp_path, "t.csv").splits)


def test_a_folder_for_each_tag(tmp_path):
    for name in ("rock/a.wav", "rock/deep/er/b.MP3", "jazz/c d.flac", "loose.ogg", "rock/.hidden.wav", ".git/x.wav"):
        write(tmp_path / name, "x")
    write(tmp_path / "jazz/cover.jpg", "x")
    catalog = folder.read(tmp_path)
    assert catalog.tags() == ("jazz", "rock")
    assert {clip_id: catalog[clip_id].tags for clip_id in catalog.clips.index} == {
        "loose.ogg": (),
        "jazz/c d.flac": ("jazz",),
        "rock/a.wav": ("rock",),
        "rock/deep/er/b.MP3": ("rock",),
    }


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "t.csv is empty"),
        ("path,rock\n", "has a header and no rows"),
        ("path\na.wav\n", "has one column, 'path'; put comma, TAB, semicolon, pipe between"),
        ("sound file of mine,rock\na.wav,1\n", "has no column path; give this name to the one of its columns"),
        ("path,artist\na.wav,Ann\n", "no tags were found"),
        ("path,rock\na.wav,2\n", "line 2 has '2' in the column 'rock' where 0 or 1 is meant"),
        ("path,rock\na.wav,\n", "line 2 has '' in the column 'rock'"),
        ("path,rock\na.wav,1\na.wav,0\n", "has 'a.wav' more than once"),
        ("id,path,rock\n1,a.wav,1\n1,b.wav,0\n", "has '1' more than once"),
        ("id,path,rock\n,a.wav,1\n", "line 2 has no id"),
        ("path,rock,Rock\na.wav,1,1\n", "has the column 'rock' twice"),
        ("path,,rock\na.wav,1,1\n", "without a name"),
        ("path,rock\n../a.wav,1\n", r"line 2: path '\.\./a\.wav' is empty or leads out of"),
        ("path,rock\nb/../../a.wav,1\n", "leads out of"),
        ("path,rock\n/etc/passwd,1\n", "leads out of"),
        ("path,rock\nC:\\a.wav,1\n", "leads out of"),
        ("path,rock\n..\\a.wav,1\n", "leads out of"),
        ("path,rock\n,1\n", "is empty or leads out of"),
        ("path,rock\na.wav,1,1\n", "line 2 has 3 columns and the header has 2"),
        ('path,rock\n"a.wav,1\n', "cannot be read"),
        ("path,split,rock\na.wav,often,1\n", "'often' in the column 'split' where train, valid or test is meant"),
    ],
)
def test_every_wrong_table_gets_one_clear_sentence(tmp_path, table, words):
    write(tmp_path / "t.csv", table)
    with pytest.raises(CatalogError, match=words) as caught:
        folder.read(tmp_path, "t.csv")
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(CatalogError, match="nowhere is not a folder"):
        folder.read(tmp_path / "nowhere")
    with pytest.raises(CatalogError, match=r"t\.csv is not a file, neither here nor in"):
        folder.read(tmp_path, "t.csv")
    with pytest.raises(CatalogError, match="holds no audio file; known suffixes are"):
        folder.read(tmp_path)
    write(tmp_path / "loose.wav", "x")
    with pytest.raises(CatalogError, match="no tags were found"):
        folder.read(tmp_path)
    write(tmp_path / "t.csv", "path,fröhlich\na.wav,1\n", encoding="latin-1")
    with pytest.raises(CatalogError, match=r"is not UTF-8 text .*; save it as UTF-8"):
        folder.read(tmp_path, "t.csv")


def test_twenty_files_in_ten_formats_hold_their_tones(tmp_path):
    suffixes = ("wav", "flac", "mp3", "ogg", "opus", "aiff", "caf", "m4a", "wma", "ac3")
    rows = ["path,even"]
    for k in range(20):
        name = f"{k} tone.{suffixes[k % 10]}"
        y = (0.3 + 0.02 * k) * np.sin(2 * np.pi * (300 + 50 * k) * np.arange(16_000) / 16_000)
        audio.save(tmp_path / name, y, 16_000)
        rows.append(f"{name},{1 - k % 2}")
    catalog = folder.read(tmp_path, write(tmp_path / "t.csv", "\n".join(rows)))
    for k, clip_id in enumerate(catalog.clips.index):
        y = audio.load(catalog[clip_id].path, 16_000)[4000:12_000]
        spectrum = np.abs(np.fft.rfft(y * np.hanning(8000)))
        assert spectrum.argmax() * 2 == pytest.approx(300 + 50 * k, abs=2)
        assert np.sqrt(2) * y.std() == pytest.approx(0.3 + 0.02 * k, rel=0.02)
