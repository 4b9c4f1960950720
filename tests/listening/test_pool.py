"""The pool of excerpts: few enough for a page, and every channel points at music that moves it as it says."""

import base64
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from test_listen import clip, heard

from tagkit.analysis import excerpts
from tagkit.analysis.geometry import Stage
from tagkit.data.catalog import Clip
from tagkit.listening import html, pool, telling
from tagkit.listening.packing import Packed, pack

SR, CLIPS, SECONDS = 16_000, 60, 3


@pytest.fixture(scope="module")
def page():
    """A page of one stage of 8 channels, a portrait of 60 clips of 30 pieces, and records that hold them."""
    rng = np.random.default_rng(0)
    frames = SECONDS * SR // 64
    stage = Stage("conv1", 8, frames, 64, 64, 31.5, True, SR)
    maxima, peaks = rng.normal(size=(CLIPS, 8)), rng.integers(0, frames, (CLIPS, 8))
    names = np.array([f"clip {i}" for i in range(CLIPS)])
    portrait = SimpleNamespace(
        clips=names,
        pieces=np.array([f"piece {i // 2}" for i in range(CLIPS)]),
        trained=SimpleNamespace(
            heard=SimpleNamespace(maxima={"conv1": maxima}, peaks={"conv1": peaks}),
            probe=SimpleNamespace(geometry={"conv1": stage}),
        ),
    )
    waveforms = {name: (0.1 * rng.standard_normal(SECONDS * SR)).astype(np.float32) for name in names}
    known = {
        name: Clip(name, Path(f"{name}.flac"), tags=("flute",), artist="Bach", title=f"Piece {name}") for name in names
    }
    records = SimpleNamespace(sr=SR, waveform=waveforms.__getitem__, catalog=known)
    clips = [clip(rng)]
    packed = pack(clips, [heard(rng, clips, [("conv1", 64, 8)])])
    return packed, portrait, records


def at_most(places):
    """Whether one more fits: so often it does."""
    left = iter([True] * places)
    return lambda place: next(left, False)


def test_every_channel_points_at_the_music_that_it_names(page):
    packed, portrait, records = page
    found = pool.add(packed, [portrait], records)
    header, heard, stage = found.header, portrait.trained.heard, portrait.trained.probe.geometry["conv1"]
    assert header["pool_pieces"] == 30
    for channel in header["models"][0]["stages"][0]["channels"]:
        c = channel["index"]
        rows = excerpts.strongest(heard.maxima["conv1"], portrait.pieces)[:, c]
        for kind, wanted in pool.WANTED.items():
            pointers = channel["moments"][kind]
            assert len(pointers) == wanted
            for number, rank in pointers:
                row, place = rows[rank - 1], header["pool"][number]
                assert rank - 1 in pool.accepted(kind, 30)
                assert place["title"] == f"Bach: Piece {portrait.clips[row]}"
                at = stage.time(heard.peaks["conv1"][row, c]) - place["start_s"]
                assert 0 <= at <= excerpts.SECONDS, "the moment is in the excerpt"
    assert len(header["pool"]) < sum(pool.WANTED.values()) * 8, "channels share excerpts"
    assert packed.bytes() == found.bytes()[: len(packed.bytes())], "what the page held stays where it was"


def test_excerpts_are_playable_and_fit_their_budget(page):
    packed, portrait, records = page
    found = pool.add(packed, [portrait], records, max_bytes=40_000)
    places = found.header["pool"]
    assert 1 <= len(places) < 10
    assert sum(each["mp3"]["bytes"] for each in places) <= 30_000, "base64 makes four bytes of three"
    for each in places:
        mp3 = found.bytes()[each["mp3"]["at"] :][: each["mp3"]["bytes"]]
        y, sr = soundfile.read(io.BytesIO(mp3))
        assert sr == SR and len(y) == pytest.approx(excerpts.SECONDS * SR, abs=2_500)
        assert 0.2 < np.abs(y).max() <= 1.05
    granted = [len(c["moments"]["most"]) for c in found.header["models"][0]["stages"][0]["channels"]]
    assert max(granted) >= 1
    whole = pool.add(packed, [portrait], records)
    text = html.render(whole, title="A", lead="B", facts="C")
    grown = len(text) - len(html.render(packed, title="A", lead="B", facts="C"))
    assert grown < html.MAX_POOL_BYTES and len(base64.b64encode(whole.blob)) < len(text)


def test_choosing_grants_most_with_few_places():
    reached = {
        (0, 0): [((0, "s", 0, "median"), 3), ((0, "s", 1, "median"), 3), ((0, "s", 2, "median"), 4)],
        (1, 0): [((0, "s", 0, "median"), 2)],
        (2, 0): [((0, "s", 3, "median"), 2), ((0, "s", 0, "median"), 5)],
    }
    granted = pool.choose(reached, at_most(2))
    assert {place for by_rank in granted.values() for place in by_rank.values()} == {(0, 0), (2, 0)}
    assert len(granted) == 4 and granted[0, "s", 0, "median"] == {3: (0, 0)}
    assert set(pool.choose(reached, at_most(1))) == {
        (0, "s", 0, "median"),
        (0, "s", 1, "median"),
        (0, "s", 2, "median"),
    }


def test_portraits_of_other_clips_are_refused(page):
    packed, portrait, records = page
    other = SimpleNamespace(clips=portrait.clips[::-1])
    with pytest.raises(ValueError, match="must be of the same clips"):
        pool.add(packed, [portrait, other], records)


def test_the_page_opens_with_the_sound_that_tells_most():
    """Channel 1 in piece 1 carries itself alone; channel 2 carries as much, but of all others, too."""
    shares = np.full((2, 3, 3), 0.1)
    shares[1, 1, 1] = 0.9
    shares[0, 2, :] = 0.95
    stage = {"channels": [{"tested": c > 0, "tag": "harp"} for c in range(3)]}
    clips = [SimpleNamespace(tags=("harp",)), SimpleNamespace(tags=("harp", "flute"))]
    worths = telling._worths(stage, shares, clips)
    assert max(worths)[1:] == (1, 1)
    assert not np.isfinite(telling.control(np.full((1, 1), 0.5))).any()
    silent = [SimpleNamespace(tags=("drums",))] * 2
    assert not any(told for (told, _), _, _ in telling._worths(stage, shares, silent))


def test_numbers_stand_beside_the_sounds():
    """A network whose two channels hear two tones: each gated sound carries its own channel."""
    import keras

    from tagkit.listening.network import Excerpt, network

    t = np.arange(SR) / SR
    y = 0.2 * np.sin(2 * np.pi * 400 * t) * (t % 0.5 < 0.2) + 0.2 * np.sin(2 * np.pi * 2000 * t) * (t % 0.3 < 0.1)
    clips = [Excerpt("Tones", y.astype(np.float32), SR, ())]
    taps = np.arange(256)[:, None] / SR
    bank = np.hanning(256)[:, None] * np.cos(2 * np.pi * taps * np.array([400.0, 2000.0]))
    source = keras.Input((SR, 1), name="waveform")
    conv = keras.layers.Conv1D(2, 256, strides=4, use_bias=False, activation="relu", name="conv1_conv")
    model = keras.Model(source, keras.layers.MaxPooling1D(16, name="conv1_pool")(conv(source)))
    conv.set_weights([bank[:, None].astype(np.float32)])
    model.sr = SR
    seen = network(model, clips)
    packed = telling.add(pack(clips, [seen]), [seen], clips)
    assert isinstance(packed, Packed)
    for channel in packed.header["models"][0]["stages"][0]["channels"]:
        ((own, others),) = channel["carried"]["gated"]
        assert own > 0.85 and others < 0.2
    assert packed.header["opening"]["model"] == 0
