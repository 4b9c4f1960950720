import os

import mutagen
import mutagen.id3
import mutagen.wave
import numpy as np
import pytest

from tagkit import audio
from tagkit.data import folder, splits
from tagkit.data.catalog import CatalogError
from tagkit.data.prepare import prepare

PARTS = ("train", "valid", "test")


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
        ('path,rock\n"a.wav,1\n', "line 2: unexpected end of data; look for a stray quotation mark"),
        ('path,tags\na.wav,rock\nb.wav,"Heroes" (remix)\n', "line 3: .*; look for a stray quotation mark"),
        ("id,path,tags\n0,a.wav,rock\n1,b.wav,pop\n2,a.wav,pop\n", "lines 2 and 4 give a.wav different tags"),
        ("path,tags\na.wav,\"['rock', 'pop']\"\nb.wav,rock\n", "line 3 has 'rock' where other rows have lists"),
        ("path,part,rock\na.wav,often,1\n", "has 'often' in the column 'part'"),
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


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("path,tags\na.wav,\"['rock', 'new wave']\"\nb.wav,[]\n", ("new wave", "rock")),
        ('path,tags\na.wav,"[""rock"", ""new wave""]"\nb.wav,\n', ("new wave", "rock")),
        ("sep=;\npath;tags\na.wav;rock\nb.wav;new  wave\n", ("new wave", "rock")),
        (",path,rock,new wave\n0,a.wav,1,0\n1,b.wav,0,1\n", ("rock", "new wave")),
        ("path,set,rock\na.wav,0,1\nb.wav,1,0\n", ("set", "rock")),
        ("path,tags\na.wav,mu\u0301sica\nb.wav,m\u00fasica\n", ("m\u00fasica",)),
    ],
)
def test_tags_as_other_programs_write_them(tmp_path, text, tags):
    write(tmp_path / "t.csv", text)
    assert folder.read(tmp_path, "t.csv").tags() == tags


def test_tags_that_look_alike_are_named(tmp_path):
    write(tmp_path / "t.csv", "path,tags\na.wav,Hip-Hop\nb.wav,hip hop\nc.wav,rock\n")
    (note,) = folder.read(tmp_path, "t.csv").notes
    assert "Hip-Hop/hip hop" in note and "rock" not in note


def test_a_name_is_found_however_its_accents_are_composed(tmp_path):
    write(tmp_path / "audio" / "cafe\u0301.wav", "x")
    write(tmp_path / "t.csv", "path,tags\naudio/caf\u00e9.wav,rock\naudio/gone.wav,pop\n")
    assert folder.read(tmp_path, "t.csv").clips["path"].tolist() == ["audio/cafe\u0301.wav", "audio/gone.wav"]


def parted(catalog, by):
    """Values of a column that are in more than one part of the default split."""
    parts = catalog.parts().groupby(catalog.clips[by]).nunique()
    return list(parts.index[parts > 1])


def test_what_belongs_together_is_not_parted(tmp_path):
    """By song without artists; by file under several ids; and by way of one another."""
    rng = np.random.default_rng(0)
    rows = [f"{k},{k // 2}.wav,song {k // 6},{('rock', 'pop')[k // 2 % 2]}" for k in range(60)]
    write(tmp_path / "t.csv", "id,path,song,tags\n" + "\n".join(rng.permutation(rows)) + "\n")
    catalog = folder.read(tmp_path, "t.csv")
    assert catalog.default_split == "song" and not parted(catalog, "song") and not parted(catalog, "path")
    assert all(catalog.split_sizes().values())
    write(tmp_path / "u.csv", "id,path,tags\n" + "\n".join(f"{k},{k // 2}.wav,rock" for k in range(20)) + "\n")
    catalog = folder.read(tmp_path, "u.csv")
    assert catalog.default_split == "file" and not parted(catalog, "path")
    rows = [f"{k}.wav,{'ABC'[k % 3] if k < 9 else ''},song {k % 9},rock" for k in range(27)]
    write(tmp_path / "v.csv", "path,artist,song,tags\n" + "\n".join(rows) + "\n")
    catalog = folder.read(tmp_path, "v.csv")
    assert catalog.default_split == "artist" and not parted(catalog, "song")


def test_one_artist_is_said(tmp_path):
    write(tmp_path / "t.csv", "path,artist,tags\n" + "\n".join(f"{k}.wav,Me,rock" for k in range(9)) + "\n")
    catalog = folder.read(tmp_path, "t.csv")
    assert catalog.default_split == "random"
    assert "9 clips are of 1 groups that belong together" in catalog.notes[0]


def test_the_given_split_is_not_the_only_one(tmp_path):
    write(tmp_path / "t.csv", "path,split,tags\n" + "\n".join(f"{k}.wav,train,rock" for k in range(9)) + "\n")
    catalog = folder.read(tmp_path, "t.csv")
    assert catalog.default_split == "given" and list(catalog.splits.columns) == ["given", "random"]


@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg", "m4a", "opus", "wav"])
def test_artists_stand_in_the_files(tmp_path, suffix):
    for k in range(12):
        path = tmp_path / ("rock", "pop")[k % 2] / f"{k}.{suffix}"
        audio.save(path, 0.1 * np.sin(np.arange(4_000) / 9), 16_000)
        if suffix == "wav":
            tagged = mutagen.wave.WAVE(path)
            tagged.add_tags()
            tagged.tags.add(mutagen.id3.TPE1(text=[f"Artist {k // 3}"]))
            tagged.tags.add(mutagen.id3.TIT2(text=[f"Title {k}"]))
        else:
            tagged = mutagen.File(path, easy=True)
            if tagged.tags is None:
                tagged.add_tags()
            tagged["artist"], tagged["title"] = f"Artist {k // 3}", f"Title {k}"
        tagged.save()
    catalog = folder.read(tmp_path)
    assert catalog.default_split == "artist" and not parted(catalog, "artist")
    assert catalog.clips["artist"].nunique() == 4 and "12 of 12 files name one" in catalog.notes[0]
    assert catalog[f"rock/0.{suffix}"].title == "Title 0"


def test_damaged_tags_of_files_are_passed_over(tmp_path):
    for k, data in enumerate((b"ID3\4\0\0\x7f\x7f\x7f\x7f", b"fLaC\x84\0\0\x28" + b"\xff" * 40, b"OggS" + bytes(60))):
        (tmp_path / "rock").mkdir(exist_ok=True)
        (tmp_path / "rock" / f"{k}.{('mp3', 'flac', 'ogg')[k]}").write_bytes(data)
    assert not folder.read(tmp_path).notes


def test_links_at_the_top_are_followed_and_others_are_named(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    for name in ("rock/a.wav", "more/b.wav"):
        audio.save(elsewhere / name, 0.1 * np.random.default_rng(0).standard_normal(20_000), 16_000)
    root = tmp_path / "music"
    audio.save(root / "pop" / "c.wav", 0.1 * np.random.default_rng(1).standard_normal(20_000), 16_000)
    (root / "rock").symlink_to(elsewhere / "rock")
    (root / "pop" / "deep").symlink_to(elsewhere / "more")
    catalog = folder.read(root)
    assert sorted(catalog.clips["path"]) == ["pop/c.wav", "rock/a.wav"]
    assert any("pop/deep" in note and "is a link" in note for note in catalog.notes)
    assert len(prepare(catalog, tmp_path / "records", 16_000, jobs=1, progress=False).quarantine) == 0


def test_the_report_says_who_is_in_two_parts_and_which_tags_lack(tmp_path):
    rows = [f"{k}.wav,{('train', 'test')[k % 2]},artist {k // 2},{'rock' if k % 2 else 'blues'}" for k in range(8)]
    write(tmp_path / "t.csv", "path,split,artist,tags\n" + "\n".join(rows) + "\n")
    said = " ".join(splits.report(folder.read(tmp_path, "t.csv")))
    assert "4 of the 4 test clips share their artist with clips in train (4 artists)" in said
    assert "No train clip has the tag rock." in said and "No test clip has the tag blues." in said
    assert "name no artist" not in said


def test_a_random_split_spreads_the_tags(tmp_path):
    """Forty clips with four genres: a shuffle leaves the rare one out of a part in one of two draws."""
    genres = [*["rock"] * 16, *["jazz"] * 11, *["pop"] * 9, *["blues"] * 4]
    write(tmp_path / "t.csv", "path,tags\n" + "\n".join(f"{k}.wav,{g}" for k, g in enumerate(genres)) + "\n")
    catalog = folder.read(tmp_path, "t.csv")
    blues = catalog.labels["blues"].to_numpy()
    lacking = [set(PARTS) - set(splits.shuffled(catalog.clips.index, seed=seed)[blues]) for seed in range(20)]
    assert sum(map(bool, lacking)) > 5, "a shuffle is as good, or this test shows nothing"
    for seed in range(3):
        catalog = folder.read(tmp_path, "t.csv", seed=seed)
        assert catalog.default_split == "random" and set(catalog.splits["random"][blues]) == set(PARTS)
        assert catalog.split_sizes() == {"train": 28, "valid": 4, "test": 8}
        assert catalog.labels[catalog.splits["random"] == "test"].sum().tolist() == [1, 2, 2, 3]
    assert any(sentence.startswith("8 of the 8 test clips name no artist") for sentence in splits.report(catalog))


def test_parts_of_too_few_artists_for_intervals_are_named(tmp_path):
    rows = [f"{k}.wav,artist {k % 4},{('rock', 'pop')[k // 4 % 2]}" for k in range(24)]
    write(tmp_path / "t.csv", "path,artist,tags\n" + "\n".join(rows) + "\n")
    catalog = folder.read(tmp_path, "t.csv")
    said = " ".join(splits.report(catalog))
    for part in ("valid", "test"):
        artists = catalog.clips.loc[catalog.ids(part), "artist"].nunique()
        assert (f"The {part} part has clips of {artists} artist" in said) == (artists < 3)
    assert "will be unknown" in said
    rows = [f"{k}.wav,artist {k % 40},{('rock', 'pop')[k // 4 % 2]}" for k in range(80)]
    write(tmp_path / "t.csv", "path,artist,tags\n" + "\n".join(rows) + "\n")
    assert "will be unknown" not in " ".join(splits.report(folder.read(tmp_path, "t.csv")))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("case_variants", lambda c: any("look alike" in note for note in c.notes)),
        ("excel_sep", lambda c: "hip-hop/rap" in c.tags()),
        ("one_artist", lambda c: any("belong together" in note for note in c.notes)),
        ("pandas_index_flags", lambda c: c.tags() == ("rock", "pop")),
        ("python_list_repr", lambda c: set(c.tags()) == {"rock", "pop"}),
        ("song_col", lambda c: c.default_split == "song" and not parted(c, "song")),
        ("split_no_valid", lambda c: "random" in c.splits),
        ("tag_called_set", lambda c: "set" in c.tags()),
        ("unicode_variants", lambda c: c.tags()[-1] == "m\u00fasica" or "m\u00fasica" in c.tags()),
    ],
)
def test_tables_of_real_users(real_data, tmp_path, name, found):
    assert found(folder.read(tmp_path, real_data / "awkward" / "csv" / f"{name}.csv"))


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "words"), [("heroes_quote", "line 2"), ("same_path_two_ids", "different tags")])
def test_tables_of_real_users_that_are_refused(real_data, tmp_path, name, words):
    with pytest.raises(CatalogError, match=words):
        folder.read(tmp_path, real_data / "awkward" / "csv" / f"{name}.csv")
