import time

import numpy as np
import pandas as pd
import pytest
from test_fma import write

from tagkit.datasets import fma, lastfm
from tagkit.datasets.lastfm import LastfmError

pytest.importorskip("pylast")
from lastfm_server import ERROR, Lastfm, serve

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
    pairs = lastfm.read_tags(TRACKS, store)
    assert pairs[pairs["clip_id"] == "0"][["tag", "weight", "source"]].values.tolist() == [
        ["seen live", 3, "track"],
        ["guitar <3", 60, "track"],
        ["rock", 100, "track"],
    ]
    labels = lastfm.labels(TRACKS, store)
    assert list(labels.columns) == ["rock", "guitar <3"], "seen live lies below the weight"
    assert labels.index.tolist() == ["0", "1", "2", "7"]
    assert labels["guitar <3"].tolist() == [True, False, False, True]


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
    with pytest.raises(LastfmError, match=r"refused.*6 times in a row\); run the command again later"):
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
    pace = lastfm._Pace(0.02)
    returned = [pace.wait() or time.monotonic() for _ in range(5)]
    assert np.diff(returned).min() >= 0.0199


def test_a_store_that_is_none(tmp_path, server):
    (tmp_path / "s").write_text("no database " * 100)
    with pytest.raises(LastfmError, match=r"is no store of Last\.fm answers .* move it away"):
        ask(server, tmp_path / "s")


def test_fma_takes_the_labels(server, tmp_path):
    write(tmp_path)
    tracks = fma.read_tracks(tmp_path, "medium")
    server.known = {("track", "Ann", "Song, with a comma"): [("Rock", 100), ("happy", 80)]}
    with serve(server) as network:
        lastfm.collect(tracks, tmp_path / "s", network, progress=False)
    catalog = fma.read(tmp_path, "medium", tags="lastfm", lastfm=lastfm.labels(tracks, tmp_path / "s"))
    assert set(catalog.tags()) == {"rock (last.fm)", "happy"}
    assert catalog.labels["happy"].tolist() == [True, False, False, False]
