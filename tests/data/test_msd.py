import pickle
import sqlite3

import numpy as np
import pandas as pd
import pytest

from tagkit import cli
from tagkit.data import msd
from tagkit.data.catalog import CatalogError

TIDS = ["TRAAAAA128F0000001", "TRABCDE128F0000002", "TRAXYZW128F0000003", "TRZZZZZ128F0000004"]
TAGS = ["rock", "pop", "jazz", "seen live"]
# tid, tag (both 1-based ROWIDs), val
PAIRS = [(1, 1, 100), (1, 2, 50), (2, 2, 51), (2, 4, 100), (3, 1, 60), (3, 3, 99), (4, 4, 100), (4, 3, 0)]


@pytest.fixture
def db(tmp_path):
    path = tmp_path / "lastfm_tags.db"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE tids (tid TEXT)")
        base.execute("CREATE TABLE tags (tag TEXT)")
        base.execute("CREATE TABLE tid_tag (tid INT, tag INT, val FLOAT)")
        base.executemany("INSERT INTO tids VALUES (?)", [(tid,) for tid in TIDS])
        base.executemany("INSERT INTO tags VALUES (?)", [(tag,) for tag in TAGS])
        base.executemany("INSERT INTO tid_tag VALUES (?, ?, ?)", PAIRS)
    base.close()
    return path


def test_labels_by_one_based_rowids_and_values_above_fifty(db, tmp_path):
    catalog = msd.read(db, tmp_path, vocabulary=("pop", "rock", "jazz"))
    assert catalog.clips.index.tolist() == TIDS[:3], "the fourth carries no tag of the vocabulary above 50"
    assert catalog.labels.to_numpy().tolist() == [[False, True, False], [True, False, False], [False, True, True]]
    assert catalog.clips.at[TIDS[1], "path"] == "A/B/C/TRABCDE128F0000002.mp3"


def test_the_most_frequent_tags(db, tmp_path):
    assert msd.read(db, tmp_path, vocabulary=2).tags() == ("rock", "seen live")
    assert msd.read(db, tmp_path, vocabulary=2, min_val=40).tags() == ("pop", "rock")


def test_a_path_table_chooses_the_tracks(db, tmp_path):
    (tmp_path / "p.csv").write_text(f"path,track_id\nmine/x y.flac,{TIDS[2]}\nz.mp3,{TIDS[3]}\n")
    catalog = msd.read(db, tmp_path / "audio", paths=tmp_path / "p.csv", vocabulary=("rock",))
    assert catalog[TIDS[2]].path == tmp_path / "audio/mine/x y.flac"
    assert [catalog[tid].tags for tid in TIDS[2:]] == [("rock",), ()]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("a,b\n1,2\n", "has no column track_id, path; its columns are a, b"),
        ("track_id,path\nT1,../x\n", r"line 2: path '\.\./x' is empty or leads out of"),
        ("track_id,path\nT1,x\nT1,y\n", "line 3 has 'T1', no track id or one that is there twice"),
    ],
)
def test_wrong_path_tables(db, tmp_path, table, words):
    (tmp_path / "p.csv").write_text(table)
    with pytest.raises(CatalogError, match=words):
        msd.read(db, tmp_path, paths=tmp_path / "p.csv", vocabulary=1)


def test_metadata_gives_artists(db, tmp_path):
    with sqlite3.connect(tmp_path / "track_metadata.db") as base:
        base.execute("CREATE TABLE songs (track_id TEXT, title TEXT, song_id TEXT, artist_name TEXT)")
        base.execute("INSERT INTO songs VALUES (?, 'Song', 'SO1', 'Ann')", TIDS[:1])
    base.close()
    catalog = msd.read(db, tmp_path, vocabulary=("rock",), metadata=tmp_path / "track_metadata.db")
    assert catalog.clips.loc[TIDS[0]].tolist() == ["A/A/A/TRAAAAA128F0000001.mp3", "Ann", "SO1", "Song"]
    assert catalog.clips.loc[TIDS[2], ["artist", "song"]].tolist() == ["", TIDS[2]]


def test_broken_databases(db, tmp_path):
    with pytest.raises(CatalogError, match="knows no tag polka"):
        msd.read(db, tmp_path, vocabulary=("rock", "polka"))
    with pytest.raises(CatalogError, match=r"nowhere\.db is not a file"):
        msd.read(tmp_path / "nowhere.db", tmp_path)
    (tmp_path / "text.db").write_text("no database " * 1000)
    with pytest.raises(CatalogError, match="is no SQLite database"):
        msd.read(tmp_path / "text.db", tmp_path)
    with sqlite3.connect(tmp_path / "other.db") as base:
        base.execute("CREATE TABLE tids (tid TEXT)")
    base.close()
    with pytest.raises(CatalogError, match=r"other\.db has no tags\.tag"):
        msd.read(tmp_path / "other.db", tmp_path)
    with sqlite3.connect(db) as base:
        base.execute("INSERT INTO tid_tag VALUES (99, 1, 100)")
    base.close()
    with pytest.raises(CatalogError, match="has tags of tracks that it does not hold"):
        msd.read(db, tmp_path, vocabulary=("rock",))


def test_the_command_takes_artists_from_the_metadata(tmp_path):
    with sqlite3.connect(tmp_path / "tags.db") as base:
        for table in ("tids (tid TEXT)", "tags (tag TEXT)", "tid_tag (tid INT, tag INT, val FLOAT)"):
            base.execute(f"CREATE TABLE {table}")
        base.execute("INSERT INTO tids VALUES (?)", TIDS[:1])
        base.executemany("INSERT INTO tags VALUES (?)", [(tag,) for tag in msd.CHOI_TOP50])
        base.execute("INSERT INTO tid_tag VALUES (1, 1, 100)")
    base.close()
    with sqlite3.connect(tmp_path / "about.db") as base:
        base.execute("CREATE TABLE songs (track_id TEXT, title TEXT, song_id TEXT, artist_name TEXT)")
        base.execute("INSERT INTO songs VALUES (?, 'Song', 'SO1', 'Ann')", TIDS[:1])
    base.close()
    files = ["--db", str(tmp_path / "tags.db"), "--metadata", str(tmp_path / "about.db")]
    arguments = ["prepare", "msd", "--root", str(tmp_path), "--out", str(tmp_path / "out"), *files]
    args = cli._parser().parse_args(arguments)
    catalog = args.read(args)
    assert (catalog.cluster_by, catalog[TIDS[0]].artist) == ("artist", "Ann")


def damage(path):
    """Overwrite all but the first page, which holds the names of the tables."""
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"?" * (len(content) - 4096))


def test_damage_that_shows_while_a_database_is_read_names_it(db, tmp_path):
    about = tmp_path / "track_metadata.db"
    with sqlite3.connect(about) as base:
        base.execute("CREATE TABLE songs (track_id TEXT, title TEXT, song_id TEXT, artist_name TEXT)")
    base.close()
    damage(about)
    with pytest.raises(CatalogError, match=r"track_metadata\.db is no SQLite database or a damaged one .*malformed"):
        msd.read(db, tmp_path, vocabulary=("rock",), metadata=about)
    damage(db)
    for vocabulary in (2, ("rock",)):
        with pytest.raises(CatalogError, match=r"lastfm_tags\.db is no SQLite database or a damaged one .*malformed"):
            msd.read(db, tmp_path, vocabulary=vocabulary)


def test_a_track_id_too_short_for_the_layout_is_named(db, tmp_path):
    with sqlite3.connect(db) as base:
        base.execute("UPDATE tids SET tid = 'TR12' WHERE ROWID = 1")
    base.close()
    with pytest.raises(CatalogError, match=r"lastfm_tags\.db has the track id 'TR12', too short .*table of paths"):
        msd.read(db, tmp_path, vocabulary=("rock",))
    (tmp_path / "p.csv").write_text("path,track_id\na.mp3,TR12\n")
    assert msd.read(db, tmp_path, tmp_path / "p.csv", vocabulary=("rock",))["TR12"].tags == ("rock",)


def test_published_splits_are_read(db, tmp_path, monkeypatch):
    choi, lee = tmp_path / "choi", tmp_path / "lee"
    choi.mkdir()
    lee.mkdir()
    for part, tid in zip(("train", "valid", "test"), TIDS, strict=False):
        (choi / f"{part}_x_msd_id.txt").write_text(f"{tid}\n")
    monkeypatch.setattr(msd, "LEE_TRAINING_CLIPS", 1)
    (lee / "filtered_list_train.cP").write_bytes(pickle.dumps(TIDS[:2], protocol=0))
    (lee / "filtered_list_test.cP").write_bytes(pickle.dumps([tid.encode() for tid in TIDS[2:3]]))
    (tmp_path / "msd_splits.tsv").write_text(f"clip_ids\tsplits\n{TIDS[0]}\tTRAIN\n{TIDS[1]}\tVALID\n{TIDS[2]}\tTEST\n")
    expected = dict(zip(TIDS, ("train", "valid", "test"), strict=False))
    sources = {"choi": choi, "lee": lee, "cals": tmp_path / "msd_splits.tsv"}
    sources["files"] = {part: choi / f"{part}_x_msd_id.txt" for part in ("train", "valid", "test")}
    splits = {name: msd.read_split(source) for name, source in sources.items()}
    for split in splits.values():
        assert split.to_dict() == expected
    catalog = msd.read(db, tmp_path, splits=splits, vocabulary=("rock", "seen live"))
    assert catalog.default_split == "choi"
    assert catalog.splits["cals"].to_dict() == expected | {TIDS[3]: ""}


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_pickles_run_no_code(tmp_path, capsys):
    (tmp_path / "a.cP").write_bytes(pickle.dumps([Evil()]))
    with pytest.raises(CatalogError, match=r"is no pickled list of ids \(it asks for builtins\.print\)"):
        msd.read_split({"train": tmp_path / "a.cP"})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.cP", b"\x80\x04nonsense", "is no pickled list of ids"),
        ("a.cP", pickle.dumps({"a": 1}), "holds a dict and no list"),
        ("a.txt", b"", "holds no list of track ids"),
        ("a.txt", b"<html> not found", "holds no list of track ids"),
        ("a.txt", b"T1\nT1\n", "has track T1 more than once"),
    ],
)
def test_wrong_lists_of_ids(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CatalogError, match=words):
        msd.read_split({"train": tmp_path / name})


def test_wrong_splits(tmp_path):
    with pytest.raises(CatalogError, match=r"holds neither Choi's train_x_msd_id\.txt"):
        msd.read_split(tmp_path)
    (tmp_path / "s.tsv").write_text("clip_ids\tsplits\nT1\tTRAIN\nT2\tDEMO\n")
    with pytest.raises(CatalogError, match="line 3 has the part 'DEMO'"):
        msd.read_split(tmp_path / "s.tsv")
    (tmp_path / "a.txt").write_text("T1\n")
    with pytest.raises(CatalogError, match="has track T1 more than once"):
        msd.read_split({"train": tmp_path / "a.txt", "test": tmp_path / "a.txt"})
    with pytest.raises(CatalogError, match="a split has the parts train, valid, test, not training"):
        msd.read_split({"training": tmp_path / "a.txt"})


def test_a_balanced_subset_is_flatter_than_the_whole_and_seeded():
    rng = np.random.default_rng(0)
    flags = rng.random((5000, 10)) < np.geomspace(0.4, 0.02, 10)
    labels = pd.DataFrame(flags, index=[f"T{k}" for k in range(5000)], columns=list("abcdefghij"))
    clips, report = msd.balanced_subset(labels, 500)
    assert len(clips) == clips.nunique() == 500
    assert labels.loc[clips].any(axis=1).all()
    assert report["subset"].tolist() == labels.loc[clips].sum().tolist()
    whole, subset = report.attrs["ratio"]
    assert whole > 15
    assert subset < 1.5
    assert clips.equals(msd.balanced_subset(labels, 500)[0])
    assert not clips.equals(msd.balanced_subset(labels, 500, seed=1)[0])


def test_a_subset_as_large_as_the_whole_and_one_larger():
    labels = pd.DataFrame({"a": [1, 0, 1], "b": [1, 0, 0]}, index=list("xyz"), dtype=bool)
    assert msd.balanced_subset(labels, 2)[0].tolist() == ["x", "z"]
    with pytest.raises(CatalogError, match="3 clips cannot be chosen: 2 clips carry a tag"):
        msd.balanced_subset(labels, 3)
