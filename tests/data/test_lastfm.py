import json
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from contextlib import closing

import filelock
import numpy as np
import pandas as pd
import pytest
from lastfm_server import ERROR, Lastfm, serve
from test_fma import write

from tagkit import cli
from tagkit.data import fma, lastfm
from tagkit.data.lastfm import LastfmError

TRACKS = pd.DataFrame(
    [
        ("Ann & Sons", "Tagged", "A"),
        ("Bob", "Untagged", "Tagged album"),
        ("Bob", "Unknown", "Tagged album"),
        ("Cyd", "Untagged", "Unknown album"),
        ("Cyd", "Unknown", "Untagged album"),
        ("Dee", "Unknown", ""),
        ("", "Nameless", ""),
        ("Ann & Sons", "Tagged", "A"),
    ],
    columns=["artist", "title", "album"],
    index=pd.Index([str(k) for k in range(8)], name="clip_id"),
)
KNOWN = {
    ("track", "Ann & Sons", "Tagged"): [("Rock", 100), ("Guitar <3", 60), ("seen live", 3)],
    ("track", "Bob", "Untagged"): [],
    ("album", "Bob", "Tagged album"): [("Rock", 100)],
    ("track", "Cyd", "Untagged"): [],
    ("album", "Cyd", "Untagged album"): [],
}


@pytest.fixture(autouse=True)
def no_rate_limit(monkeypatch, request):
    if "rate" not in request.node.name:
        monkeypatch.setattr(lastfm, "CALL_INTERVAL_S", 0.0)


@pytest.fixture
def server():
    return Lastfm(KNOWN)


def ask(server, store, waits=None):
    with serve(server) as network:
        sleep = (waits if waits is not None else []).append
        return lastfm.collect(TRACKS, store, network, progress=False, sleep=sleep)


def test_track_then_album_each_asked_once(server, tmp_path):
    report = ask(server, tmp_path / "answers.sqlite")
    assert report["tracks"].to_dict() == {
        "track tagged": 2,
        "album tagged": 2,
        "track found without tags": 1,
        "album found without tags": 1,
        "nothing found": 1,
        "not asked yet": 0,
        "no artist or title": 1,
    }
    assert report["share"].sum() == pytest.approx(1)
    assert len(server.asked) == len(set(server.asked)) == 9
    assert ("album", "Ann & Sons", "A") not in server.asked, "a tagged track's album is not asked"


def test_tags_and_labels(server, tmp_path):
    store = tmp_path / "answers.sqlite"
    ask(server, store)
    labels = lastfm.labels(TRACKS, store)
    assert list(labels.columns) == ["rock", "guitar <3"], "seen live lies below the weight"
    assert labels.index.tolist() == ["0", "1", "2", "7"]
    assert labels["guitar <3"].tolist() == [True, False, False, True]
    for least, tags in ((3, 3), (4, 2), (60, 2), (61, 1)):
        assert lastfm.labels(TRACKS, store, min_weight=least).loc["0"].sum() == tags, "the weights as they were given"


def write_store(path, found):
    """A store of answers: tags and their weights by track title."""
    with sqlite3.connect(path) as base:
        base.execute(
            "CREATE TABLE answers (kind TEXT, artist TEXT, title TEXT, found INTEGER, tags TEXT, "
            "PRIMARY KEY (kind, artist, title))"
        )
        rows = [("track", "Ann", title, True, json.dumps(tags)) for title, tags in found.items()]
        base.executemany("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", rows)
    base.close()
    index = pd.Index([str(k) for k in range(len(found))], name="clip_id", dtype="str")
    return pd.DataFrame({"artist": "Ann", "title": list(found), "album": ""}, index=index)


def labels_by_a_table_of_all_tags(found, k, min_weight):
    rows = [(str(n), tag, weight) for n, tags in enumerate(found.values()) for tag, weight in tags.items()]
    pairs = pd.DataFrame(rows, columns=["clip_id", "tag", "weight"])
    table = pd.crosstab(pairs["clip_id"], pairs["tag"], values=pairs["weight"], aggfunc="max").fillna(-1) >= min_weight
    table = table[table.sum().sort_values(ascending=False, kind="stable").index[:k]]
    return table.loc[:, table.any()].rename_axis(index="clip_id", columns=None)


def test_labels_are_those_of_a_table_of_all_tags(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"tag {k}" for k in range(30)] + ["Ärger", "\U0001f3b8", "\uffee"]  # many ties of counts
    found = {
        f"song {k}": {names[t]: int(rng.integers(101)) for t in rng.choice(len(names), k % 6, replace=False)}
        for k in range(40)
    }
    tracks = write_store(tmp_path / "s", found)
    for k, min_weight in ((50, 50), (7, 50), (1, 0), (20, 99)):
        expected = labels_by_a_table_of_all_tags(found, k, min_weight)
        assert 0 < expected.shape[1] <= k and len(expected) == 33
        pd.testing.assert_frame_equal(lastfm.labels(tracks, tmp_path / "s", k, min_weight), expected)


def test_memory_of_labels_does_not_grow_with_the_tags_that_nobody_keeps(tmp_path):
    found = {f"song {k}": {"rock": 100} | {f"only {k} {t}": 1 for t in range(200)} for k in range(300)}
    tracks = write_store(tmp_path / "s", found)
    tracemalloc.start()
    table = lastfm.labels(tracks, tmp_path / "s")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert table.shape == (300, 1) and table["rock"].all()
    assert peak < 4e6, "a table of 300 tracks and 60,001 tags has 18 million cells"


def test_answers_without_a_tag_of_weight_are_refused(tmp_path):
    tracks = write_store(tmp_path / "s", {"song": {"rock": 49}, "untagged": {}})
    with pytest.raises(LastfmError, match=r"s has no tag of weight 50 or more for any of 2 tracks; collect them with"):
        lastfm.labels(tracks, tmp_path / "s")


@pytest.mark.parametrize("read", [lastfm.coverage, lastfm.labels])
def test_reading_neither_makes_a_store_nor_changes_one(tmp_path, read):
    with pytest.raises(LastfmError, match=r"typo is not a file; check its name, or collect it with `tagkit lastfm`\."):
        read(TRACKS, tmp_path / "typo")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").touch()
    with pytest.raises(LastfmError, match=r"empty is no store of Last\.fm answers \(no such table"):
        read(TRACKS, tmp_path / "empty")
    tracks = write_store(tmp_path / "s", {"song": {"rock": 100}})
    before = (tmp_path / "s").read_bytes()
    read(tracks, tmp_path / "s")
    assert (tmp_path / "s").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "s"}


def test_a_store_that_a_killed_run_left_is_read(tmp_path):
    tracks = write_store(tmp_path / "s", {f"song {k}": {"rock": 100, "x" * 500: 1} for k in range(100)})
    code = (
        "import os, sqlite3; base = sqlite3.connect('s'); base.execute('PRAGMA cache_size = 2'); "
        "base.execute('UPDATE answers SET tags = ?', ('half',)); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 9
    assert (tmp_path / "s-journal").exists()
    assert lastfm.labels(tracks, tmp_path / "s")["rock"].all()


def test_an_interrupted_run_goes_on(server, tmp_path):
    server.faults = [(200, "nonsense")] * 100
    waits = []
    with pytest.raises(LastfmError, match=r"did not answer for track 'Ann & Sons', 'Tagged' .*6 times in a row"):
        ask(server, tmp_path / "s", waits)
    assert waits == [2, 4, 8, 16, 32]
    server.faults, server.asked = [], []
    half = TRACKS.iloc[:2]
    with serve(server) as network:
        lastfm.collect(half, tmp_path / "s", network, progress=False)
    before = len(server.asked)
    assert lastfm.coverage(TRACKS, tmp_path / "s").at["not asked yet", "tracks"] == 4
    ask(server, tmp_path / "s")
    assert before == 3
    assert len(server.asked) == 9, "what was answered is not asked again"
    ask(server, tmp_path / "s")
    assert len(server.asked) == 9


def test_passing_troubles_are_waited_out(server, tmp_path):
    server.faults = [
        (200, ERROR.format(29, "Rate limit exceeded")),
        (503, ""),
        (200, ERROR.format(16, "Temporarily unavailable")),
        (200, "<html>"),
    ]
    waits = []
    assert ask(server, tmp_path / "s", waits).at["track tagged", "tracks"] == 2
    assert waits == [2, 4, 8, 16]


def test_a_server_that_is_gone(tmp_path, server):
    with serve(server) as network:
        pass
    with pytest.raises(LastfmError, match=r"refused.*6 times in a row\); rerun the command later to resume"):
        lastfm.collect(TRACKS, tmp_path / "s", network, progress=False, sleep=lambda seconds: None)


def test_a_refused_key_stops_at_once_and_is_not_stored(server, tmp_path):
    server.key = "another"
    with pytest.raises(LastfmError, match=r"refuses the key \(Invalid API key.*check LASTFM_API_KEY"):
        ask(server, tmp_path / "s")
    assert len(server.asked) == 1


def test_the_key_comes_from_the_environment_and_stays_there(server, tmp_path, monkeypatch):
    monkeypatch.delenv("LASTFM_API_KEY", raising=False)
    with pytest.raises(LastfmError, match="LASTFM_API_KEY is not set; get a key at"):
        lastfm.collect(TRACKS, tmp_path / "s")
    monkeypatch.setenv("LASTFM_API_KEY", " abc-secret ")
    assert lastfm._network().api_key == "abc-secret"
    ask(server, tmp_path / "s")
    assert b"secret" not in (tmp_path / "s").read_bytes()
    assert b'"key"' not in (tmp_path / "s").read_bytes()


def test_the_rate_limit_is_five_calls_a_second(server, tmp_path):
    ask(server, tmp_path / "s")
    assert len(server.times) == 9
    assert server.times[-1] - server.times[0] > 8 * 0.2 - 0.2, "0.2 s for the unsteady arrival of the first and last"
    started, pace = time.monotonic(), lastfm._Pace(0.02)
    for _ in range(5):
        pace.wait()
    assert time.monotonic() - started >= 4 * 0.02


def test_a_store_that_is_none(tmp_path, server):
    (tmp_path / "s").write_text("no database " * 100)
    with pytest.raises(LastfmError, match=r"is no store of Last\.fm answers .* move it away"):
        ask(server, tmp_path / "s")


def test_a_store_that_another_process_uses_is_no_damaged_one(tmp_path, server, monkeypatch):
    ask(server, tmp_path / "s")
    (tmp_path / "s").rename(tmp_path / "other")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **options, timeout=0.1))
    with closing(connect(tmp_path / "other")) as base:
        base.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LastfmError, match=r"other is in use by another process \(database is locked\); wait"):
            lastfm.coverage(TRACKS, tmp_path / "other")
    assert lastfm.coverage(TRACKS, tmp_path / "other")["tracks"].sum() == 8


def test_a_full_disk_is_no_damaged_store(tmp_path, server, monkeypatch):
    class Full(sqlite3.Connection):
        def commit(self):
            self.execute("PRAGMA max_page_count = 1")  # SQLite's own stand-in for a full disk
            self.executemany("INSERT INTO answers VALUES (?, '', '', 0, ?)", [(k, "x" * 5000) for k in range(9)])

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **options, factory=Full))
    with pytest.raises(LastfmError, match=r"s cannot be read or written \(database or disk is full\); make room"):
        ask(server, tmp_path / "s")


def test_two_collectors_of_one_store(tmp_path, server):
    with filelock.FileLock(tmp_path / ".s.lock"), pytest.raises(LastfmError, match="by another process; wait for it"):
        ask(server, tmp_path / "s")
    assert server.asked == []
    ask(server, tmp_path / "s")


def test_the_command_answers_in_one_sentence(tmp_path, capsys, monkeypatch):
    write(tmp_path)
    monkeypatch.delenv("LASTFM_API_KEY", raising=False)
    root = ["--root", str(tmp_path)]
    prepare = ["prepare", "fma", *root, "--out", str(tmp_path / "out"), "--tags", "lastfm"]
    for arguments, said in (
        (["lastfm", *root, "--store", str(tmp_path / "s")], "tagkit lastfm: LASTFM_API_KEY is not set; get a key"),
        ([*prepare, "--lastfm", str(tmp_path / "typo")], f"tagkit prepare: {tmp_path / 'typo'} is not a file; check"),
        (prepare, "tagkit prepare: --tags lastfm needs --lastfm FILE, the answers that `tagkit lastfm` collected."),
    ):
        assert cli.main(arguments) == 1
        error = capsys.readouterr().err
        assert error.startswith(said) and "Traceback" not in error and len(error.splitlines()) == 1
    assert not (tmp_path / "typo").exists() and not (tmp_path / "out").exists()


def test_fma_takes_the_labels(server, tmp_path):
    write(tmp_path)
    tracks = fma.read_tracks(tmp_path, "medium")
    server.known = {("track", "Ann", "Song, with a comma"): [("Rock", 100), ("happy", 80)]}
    with serve(server) as network:
        lastfm.collect(tracks, tmp_path / "s", network, progress=False)
    catalog = fma.read(tmp_path, "medium", tags="lastfm", lastfm=lastfm.labels(tracks, tmp_path / "s"))
    assert set(catalog.tags()) == {"rock (last.fm)", "happy"}
    assert catalog.labels["happy"].tolist() == [True, False, False, False]
