"""What the listening page carries: sizes, rounding, choice of channels; tests/browser opens it."""

import dataclasses
import re

import numpy as np
import pytest
import soundfile

from tagkit.analysis import signals, sonify, spectra
from tagkit.analysis.feature_maps import FeatureMaps
from tagkit.analysis.geometry import Stage
from tagkit.analysis.selectivity import ChannelTag
from tagkit.analysis.spectra import ToneProbe
from tagkit.data.catalog import Clip
from tagkit.listening import html, packing
from tagkit.listening import page as listen
from tagkit.listening.network import Excerpt, Network, network

SR = 16000


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def clip(rng, seconds=1.0, title="A piece"):
    return Excerpt(title, (0.1 * rng.standard_normal(round(seconds * SR))).astype(np.float32), SR, ("loud",))


def probe_of(places, responses=None):
    """What tones would say of these stages: channels spread over the frequencies, an octave wide."""
    frequencies = np.geomspace(30, 7800, 64)
    found = {}
    for place in places:
        centre = np.geomspace(100, 4000, place.channels)
        curve = np.exp(-(np.log2(frequencies[:, None] / centre) ** 2)) if responses is None else responses
        found[place.name] = curve[None]
    nothing = {name: np.zeros_like(curve) for name, curve in found.items()}
    return ToneProbe(frequencies, (-20.0,), found, nothing, nothing, {place.name: place for place in places})


def heard(rng, clips, stages=(("conv1", 16, 8),), title="A network", **more):
    """A network with random maps of these stages (name, stride, channels)."""
    places = [Stage(name, n, 1, stride, stride, (stride - 1) / 2, True, SR) for name, stride, n in stages]
    maps = {
        c.title: FeatureMaps(
            {p.name: rng.standard_normal((len(c.y) // p.stride, p.channels)).astype(np.float32) for p in places},
            {p.name: p for p in places},
            c.y,
            SR,
            "dm16",
        )
        for c in clips
    }
    return Network(title, maps, probe_of(places), **more)


def rendered(packed):
    return html.render(packed, title="A <title>", lead="Lead", facts="Facts")


def test_rounding_to_int8_loses_at_most_half_a_step(rng):
    a = rng.standard_normal((500, 6)) * 10.0 ** np.arange(-3, 3)
    a[:, 5] = 2.5  # a channel that never moves
    steps, ranges = packing.quantise(a)
    half_a_step = (a.max(0) - a.min(0)) / 508
    assert steps.shape == (6, 500)
    assert (np.abs(packing.dequantise(steps, ranges) - a) <= half_a_step * 1.0001 + 1e-12).all()


@pytest.mark.parametrize("mode", ["raw", "carrier"])
def test_rounding_to_int8_stays_40_db_below_the_sound(rng, mode):
    a = rng.standard_normal((1000, 1))
    geometry = Stage("conv1", 1, 1000, 16, 16, 7.5, True, SR)
    stored = packing.dequantise(*packing.quantise(a))
    tone = {"carrier": {"centre_hz": 1000.0}, "raw": {}}[mode]
    exact, rounded = (getattr(signals, mode)(x[:, 0], geometry, SR, **tone) for x in (a, stored))
    assert np.sum((rounded - exact) ** 2) < 1e-4 * np.sum(exact**2)


def test_the_rendered_page_gives_its_numbers_back(rng):
    clips = [clip(rng), clip(rng, title="Another")]
    seen = heard(rng, clips, scores={"A piece": {"loud": 0.9}})
    packed = packing.pack(clips, [seen])
    again = html.unpack(rendered(packed))
    assert again == packed
    assert again.header["models"][0]["scores"] == [{"loud": 0.9}, {}]
    stored = again.header["models"][0]["stages"][0]
    assert [c["index"] for c in stored["channels"]] == list(range(8))
    steps = np.frombuffer(again.bytes(), np.int8, 8 * 1000, stored["maps"][1]["at"]).reshape(8, 1000)
    restored = packing.dequantise(steps, stored["maps"][1]["range"])
    np.testing.assert_allclose(restored, seen.maps["Another"].maps["conv1"], atol=0.02)
    curves = np.frombuffer(again.bytes(), np.int8, 8 * 64, stored["curves"]["at"]).reshape(8, 64) / 2
    assert (curves.max(1) == 0).all()
    assert (np.abs(np.diff(stored["frequencies_hz"])) > 0).all()


def test_the_page_asks_for_nothing_from_elsewhere(rng):
    clips = [clip(rng)]
    text = rendered(packing.pack(clips, [heard(rng, clips)]))
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:|#)", text)
    assert not re.search(r"https?://", text)
    assert "{{" not in text
    assert "A &lt;title&gt;" in text


def test_a_title_cannot_end_the_script_that_holds_it(rng):
    evil = clip(rng, title="</script><script>alert(1)</script>")
    packed = packing.pack([evil], [heard(rng, [evil])])
    text = rendered(packed)
    assert "</script><script>alert" not in text
    assert html.unpack(text).header["clips"][0]["title"] == evil.title


def test_long_stages_give_up_channels_before_short_ones(rng):
    clips = [clip(rng, 6.0)]
    packed = packing.pack(clips, [heard(rng, clips, [("long", 4, 32), ("short", 64, 32)])], max_bytes=400_000)
    kept = {s["name"]: len(s["channels"]) for s in packed.header["models"][0]["stages"]}
    assert kept["short"] == 32
    assert 4 <= kept["long"] < 32
    assert len(packed.blob) <= 400_000


def test_what_cannot_fit_is_refused_with_advice(rng):
    clips = [clip(rng, 6.0)]
    with pytest.raises(packing.PageTooLargeError, match="choose fewer or shorter clips"):
        packing.pack(clips, [heard(rng, clips, [("long", 2, 8)])], max_bytes=60_000)


def test_a_full_page_stays_below_two_megabytes(rng):
    clips = [clip(rng, 7.0, f"piece {k}") for k in range(4)]
    seen = heard(rng, clips, [(f"conv{n}", 4**n, 64) for n in range(1, 6)])
    packed = packing.pack(clips, [seen], max_bytes=html.data_budget())
    assert len(rendered(packed).encode()) < 2_000_000


def test_channels_are_chosen_lively_and_spread_over_frequency(rng):
    maps = (rng.standard_normal((100, 6)) * [1, 5, 2, 1, 9, 0],)
    centre = np.array([100, 110, 1000, 1100, 4000, np.nan])
    np.testing.assert_array_equal(packing.choose_channels(maps, centre, 3), [1, 2, 4])
    assert 0 in packing.choose_channels(maps, centre, 4, first=[5, 0])
    assert 5 not in packing.choose_channels(maps, centre, 6)


def test_channels_that_tell_a_tag_go_first_the_best_of_each_tag_before_all_others():
    own = [ChannelTag("harp", 0.9, 1e-4), ChannelTag("harp", 0.95, 1e-5), ChannelTag("drums", 0.85, 0.01)]
    untested = [ChannelTag("loud", 0.99, 0.2), ChannelTag("loud", 0.7, 1e-9)]
    assert packing.tag_order(own + untested) == [1, 2, 0]
    assert packing.tag_order([]) == []


def test_the_curves_of_the_control_and_the_tested_tags_are_on_the_page(rng):
    clips = [clip(rng)]
    tags = {"conv1": [ChannelTag("loud", 0.9, p) for p in (1e-6, 0.5, *[1.0] * 6)]}
    seen = heard(rng, clips)
    before = probe_of(seen.probe.geometry.values(), np.ones((64, 8)) * np.linspace(1, 0.1, 64)[:, None])
    packed = packing.pack(clips, [dataclasses.replace(seen, channel_tags=tags, control=before)])
    found = packed.header["models"][0]["stages"][0]
    assert [c["tested"] for c in found["channels"]] == [True, *[False] * 7]
    curves = np.frombuffer(packed.bytes(), np.int8, 8 * 64, found["control"]["at"]).reshape(8, 64) / 2
    np.testing.assert_allclose(curves[3, -1], -20, atol=0.5)
    (plain,) = packing.pack(clips, [seen]).header["models"][0]["stages"]
    assert plain["control"] is None and plain["channels"][0]["tag"] == ""


def test_a_channel_that_no_tone_moves_offers_no_carrier(rng):
    clips = [clip(rng)]
    seen = heard(rng, clips, [("conv3", 128, 8)])
    curves = np.ones((64, 8)) * np.linspace(1, 0.1, 64)[:, None]
    curves[:, 2] = 0
    seen = dataclasses.replace(seen, probe=probe_of(seen.probe.geometry.values(), curves))
    (stage,) = packing.pack(clips, [seen]).header["models"][0]["stages"]
    assert list(stage["refused"]) == ["raw"]
    assert {c["index"]: list(c["refused"]) for c in stage["channels"] if c["refused"]} == {2: ["carrier"]}


def test_a_map_with_nan_and_a_clip_that_was_not_heard_are_named(rng):
    clips = [clip(rng)]
    broken = heard(rng, clips)
    with pytest.raises(ValueError, match="A network has not heard 'Another'"):
        packing.pack([clip(rng, title="Another")], [broken])
    broken.maps["A piece"].maps["conv1"][3, 2] = np.nan
    with pytest.raises(ValueError, match="A network, stage conv1: a feature map holds NaN"):
        packing.pack(clips, [broken])


def test_python_and_javascript_know_the_same_modes(rng):
    """The page offers the modes of Python's table that need no network, and its scripts have all of them."""
    clips = [clip(rng)]
    modes = packing.pack(clips, [heard(rng, clips)]).header["modes"]
    assert modes == ["original", *sonify.MAP_MODES]
    made = set(re.findall(r"^    (\w+): \(a, \{", html.static("synthesis.js"), re.M))
    described = set(re.findall(r"^    (\w+): (?:`|\")", html.static("words.js"), re.M))
    assert made == set(sonify.MAP_MODES) and described == set(modes)
    keys = [re.search(rf"<kbd>{mode[0].upper()}</kbd> {mode}", html.static("page.html")) for mode in modes]
    assert all(keys) and len({mode[0] for mode in modes}) == len(modes)


def test_an_excerpt_starts_where_something_happens(tmp_path):
    t = np.arange(20 * SR) / SR
    y = 0.3 * np.sin(2 * np.pi * 440 * t) * np.where((t > 10) & (t < 15), np.exp(-8 * (t % 0.25)), 1e-3)
    soundfile.write(tmp_path / "a.wav", y, SR)
    found = listen.excerpt(Clip("7", tmp_path / "a.wav", ("guitar",), "Bach", "", "Prelude"), SR, seconds=4.0)
    assert found.title == "Bach: Prelude"
    assert found.tags == ("guitar",)
    assert len(found.y) == 4 * SR
    start = np.flatnonzero(np.isclose(y[: -len(found.y)], found.y[0], atol=1e-4))
    assert any(np.allclose(y[s : s + len(found.y)], found.y, atol=1e-3) and 9 <= s / SR <= 11.5 for s in start)


def test_write_takes_networks_and_shows_each_with_its_refusals(tmp_path, rng):
    from tagkit.graph import zoo

    model = zoo.build("dm16")
    clips, probe = [clip(rng, 1.0)], spectra.tone_probe(model, tones=16, levels_dbfs=[-20])
    networks = [network(model, clips, title=title, probe=probe) for title in ("First", "Second")]
    path = listen.write(tmp_path / "listen.html", networks, clips, max_channels=4, faithful=False)
    header = html.unpack(path.read_text(encoding="utf-8")).header
    assert [m["title"] for m in header["models"]] == ["First", "Second"]
    stages = {s["name"]: s for s in header["models"][0]["stages"]}
    assert list(stages) == [f"conv{n}" for n in range(1, 8)]
    assert stages["conv2"]["stride"] == 64
    assert "raw" not in stages["conv2"]["refused"]
    assert "31.2 Hz" in stages["conv3"]["refused"]["raw"]
    assert all("raw" not in each["refused"] for each in stages["conv3"]["channels"])  # the stage says it for all
    assert all(len(s["channels"]) == 4 for s in stages.values())
