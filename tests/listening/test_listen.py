"""What the listening page carries: sizes, rounding, choice of channels; tests/browser opens it."""

import re

import numpy as np
import pytest
import soundfile

from tagkit.analysis import sonify
from tagkit.analysis.geometry import Stage
from tagkit.analysis.selectivity import ChannelTag
from tagkit.data.catalog import Clip
from tagkit.listening import html, packing, parts
from tagkit.listening import page as listen

SR = 16000


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def clip(rng, seconds=1.0):
    return parts.PageClip("A piece", (0.1 * rng.standard_normal(round(seconds * SR))).astype(np.float32), ("loud",))


def stage(rng, clips, name="conv1", stride=16, channels=8, **more):
    maps = tuple(rng.standard_normal((len(c.y) // stride, channels)).astype(np.float32) for c in clips)
    centre = np.geomspace(100, 4000, channels)
    frequencies = np.geomspace(30, 7800, 64)
    responses = np.exp(-(np.log2(frequencies[:, None] / centre) ** 2))
    return parts.PageStage(
        name, stride, stride, (stride - 1) / 2, maps, frequencies, responses, centre, centre / 1.2, centre * 1.2, **more
    )


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
    geometry = Stage("conv1", 1, 1000, 16, 16, 7.5, True)
    stored = packing.dequantise(*packing.quantise(a))
    tone = {"carrier": {"centre_hz": 1000.0}, "raw": {}}[mode]
    exact, rounded = (getattr(sonify, mode)(x[:, 0], geometry, SR, **tone) for x in (a, stored))
    assert np.sum((rounded - exact) ** 2) < 1e-4 * np.sum(exact**2)


def test_the_rendered_page_gives_its_numbers_back(rng):
    clips = [clip(rng), clip(rng)]
    view = parts.PageModel("dm16", "A network", (stage(rng, clips),), ({"loud": 0.9}, {"loud": 0.1}))
    packed = packing.pack(clips, [view])
    again = html.unpack(rendered(packed))
    assert again == packed
    stored = again.header["models"][0]["stages"][0]
    assert [c["index"] for c in stored["channels"]] == list(range(8))
    steps = np.frombuffer(again.bytes(), np.int8, 8 * 1000, stored["maps"][1]["at"]).reshape(8, 1000)
    restored = packing.dequantise(steps, stored["maps"][1]["range"])
    np.testing.assert_allclose(restored, view.stages[0].maps[1], atol=0.02)
    curves = np.frombuffer(again.bytes(), np.int8, 8 * 64, stored["curves"]["at"]).reshape(8, 64) / 2
    assert (curves.max(1) == 0).all()
    assert (np.abs(np.diff(stored["frequencies_hz"])) > 0).all()


def test_the_page_asks_for_nothing_from_elsewhere(rng):
    clips = [clip(rng)]
    text = rendered(packing.pack(clips, [parts.PageModel("dm16", "A network", (stage(rng, clips),))]))
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:|#)", text)
    assert not re.search(r"https?://", text)
    assert "{{" not in text
    assert "A &lt;title&gt;" in text


def test_a_title_cannot_end_the_script_that_holds_it(rng):
    evil = parts.PageClip("</script><script>alert(1)</script>", clip(rng).y)
    packed = packing.pack([evil], [parts.PageModel("m", "m", (stage(rng, [evil]),))])
    text = rendered(packed)
    assert "</script><script>alert" not in text
    assert html.unpack(text).header["clips"][0]["title"] == evil.title


def test_long_stages_give_up_channels_before_short_ones(rng):
    clips = [clip(rng, 6.0)]
    stages = (stage(rng, clips, "long", 4, 32), stage(rng, clips, "short", 64, 32))
    packed = packing.pack(clips, [parts.PageModel("m", "m", stages)], max_bytes=400_000)
    kept = {s["name"]: len(s["channels"]) for s in packed.header["models"][0]["stages"]}
    assert kept["short"] == 32
    assert 4 <= kept["long"] < 32
    assert len(packed.blob) <= 400_000


def test_what_cannot_fit_is_refused_with_advice(rng):
    clips = [clip(rng, 6.0)]
    view = parts.PageModel("m", "m", (stage(rng, clips, "long", 2, 8),))
    with pytest.raises(parts.PageTooLargeError, match="choose fewer or shorter clips"):
        packing.pack(clips, [view], max_bytes=60_000)


def test_a_full_page_stays_below_two_megabytes(rng):
    clips = [clip(rng, 7.0) for _ in range(4)]
    stages = tuple(stage(rng, clips, f"conv{n}", 4**n, 64) for n in range(1, 6))
    packed = packing.pack(clips, [parts.PageModel("m", "m", stages)], max_bytes=html.data_budget())
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


def test_the_untrained_curves_and_the_tested_tags_are_on_the_page(rng):
    clips = [clip(rng)]
    tags = tuple(ChannelTag("loud", 0.9, p) for p in (1e-6, 0.5, *[1.0] * 6))
    before = np.ones((64, 8)) * np.linspace(1, 0.1, 64)[:, None]
    shown = stage(rng, clips, channel_tags=tags, untrained=before)
    packed = packing.pack(clips, [parts.PageModel("m", "m", (shown,))])
    found = packed.header["models"][0]["stages"][0]
    assert [c["tested"] for c in found["channels"]] == [True, *[False] * 7]
    curves = np.frombuffer(packed.bytes(), np.int8, 8 * 64, found["untrained"]["at"]).reshape(8, 64) / 2
    np.testing.assert_allclose(curves[3, -1], -20, atol=0.5)
    plain = packing.pack(clips, [parts.PageModel("m", "m", (stage(rng, clips),))])
    assert plain.header["models"][0]["stages"][0]["untrained"] is None


def test_a_map_with_nan_is_named(rng):
    clips = [clip(rng)]
    broken = stage(rng, clips)
    broken.maps[0][3, 2] = np.nan
    with pytest.raises(ValueError, match="m, stage conv1: a feature map holds NaN"):
        packing.pack(clips, [parts.PageModel("m", "m", (broken,))])


def test_an_excerpt_starts_where_something_happens(tmp_path):
    t = np.arange(20 * SR) / SR
    y = 0.3 * np.sin(2 * np.pi * 440 * t) * np.where((t > 10) & (t < 15), np.exp(-8 * (t % 0.25)), 1e-3)
    soundfile.write(tmp_path / "a.wav", y, SR)
    found = listen.excerpt(Clip("7", tmp_path / "a.wav", ("guitar",), "Bach", "", "Prelude"), seconds=4.0)
    assert found.title == "Bach: Prelude"
    assert found.tags == ("guitar",)
    assert len(found.y) == 4 * SR
    start = np.flatnonzero(np.isclose(y[: -len(found.y)], found.y[0], atol=1e-4))
    assert any(np.allclose(y[s : s + len(found.y)], found.y, atol=1e-3) and 9 <= s / SR <= 11.5 for s in start)


def test_write_takes_networks_and_shows_each_with_its_refusals(tmp_path, rng):
    from tagkit.graph import zoo

    network = zoo.build("dm16")
    clips = [clip(rng, 1.0)]
    path = listen.write(tmp_path / "listen.html", {"First": network, "Second": network}, clips, max_channels=4)
    header = html.unpack(path.read_text(encoding="utf-8")).header
    assert [m["title"] for m in header["models"]] == ["First", "Second"]
    stages = {s["name"]: s for s in header["models"][0]["stages"]}
    assert list(stages) == [f"conv{n}" for n in range(1, 8)]
    assert stages["conv2"]["stride"] == 64
    assert "raw" not in stages["conv2"]["refused"]
    assert "31.2 Hz" in stages["conv3"]["refused"]["raw"]
    assert all(len(s["channels"]) == 4 for s in stages.values())
