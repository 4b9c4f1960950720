"""Widgets: the functions behind them, and the dropdowns wired to them without a browser."""

import base64
import dataclasses
import io
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import ipywidgets
import numpy as np
import pytest
import soundfile

from tagkit.analysis import attribution, sonify
from tagkit.analysis.selectivity import ChannelTag
from tagkit.analysis.sonify import CannotPlay
from tagkit.graph import zoo
from tagkit.listening import widgets
from tagkit.listening.network import Excerpt

SR = 16000


def piece(seed, seconds=2.0):
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SR)) / SR
    return (0.2 * rng.standard_normal(len(t)) * np.exp(-10 * (t % 0.5))).astype(np.float32)


@pytest.fixture(scope="module")
def seen():
    clips = {"first": piece(0), "second": piece(1)}
    tags = {"conv2": [ChannelTag("guitar", 0.5 + channel / 200) for channel in range(64)]}
    return widgets.network(zoo.build("dm16"), clips, stages=["conv1", "conv2", "conv3"], channel_tags=tags)


@pytest.fixture(scope="module")
def other(seen):
    return widgets.network(
        zoo.build("dm16", seed=1), {title: maps.y for title, maps in seen.maps.items()}, title="other", stages=["conv1"]
    )


def decoded(audio, step=1):
    y, sr = soundfile.read(io.BytesIO(audio.data))
    return y[::step], sr // step


def test_a_player_is_cut_clipped_and_not_normalised():
    y = np.concatenate([np.full(SR, 0.1), np.full(20 * SR, 3.0)]).astype(np.float32)
    sound, sr = decoded(widgets.player(y, SR, max_s=2.0), 2)
    assert sr == SR
    assert len(sound) == 2 * SR
    assert np.abs(sound).max() <= 1
    quiet = 0.1 * np.sin(2 * np.pi * 440 * np.arange(SR) / SR)
    assert np.abs(decoded(widgets.player(quiet, SR))[0]).max() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("hz", [40, 440, 7000, 7840])
def test_a_player_keeps_the_tones_of_the_whole_band(hz):
    tone = 0.5 * np.sin(2 * np.pi * hz * np.arange(SR) / SR)
    sound, _ = decoded(widgets.player(tone, SR), 2)
    assert np.std(sound) == pytest.approx(np.std(tone), rel=0.1)


def test_ten_seconds_of_music_take_little_of_a_notebook():
    html = widgets.player(piece(0, 30.0), SR)._repr_html_()
    assert "data:audio/mpeg;base64," in html
    assert len(html) < 100_000


@pytest.mark.parametrize(
    ("y", "sr", "reason"),
    [([0.0, np.nan], SR, "NaN"), ([], SR, "at least one sample"), ([[0.0]], SR, "shape"), ([0.0], 1000, "browsers")],
)
def test_what_a_browser_would_play_wrongly_is_refused(y, sr, reason):
    with pytest.raises(CannotPlay, match=reason):
        widgets.player(np.array(y), sr)


def test_a_rate_without_mp3_is_embedded_as_wav():
    sound, sr = decoded(widgets.player(np.full(9000, 0.25), 9000))
    assert sr == 9000
    np.testing.assert_allclose(sound, 0.25, atol=1e-4)


def test_channels_are_sorted_by_frequency_energy_and_tag(seen):
    centres = seen.probe.tuning("conv2").centre_hz[widgets.channel_order(seen, "conv2")]
    assert (np.diff(centres) >= 0).all()
    spread = np.concatenate([maps.maps["conv2"] - maps.maps["conv2"].mean(0) for maps in seen.maps.values()]).std(0)
    assert (np.diff(spread[widgets.channel_order(seen, "conv2", "energy")]) <= 1e-6).all()
    assert widgets.channel_order(seen, "conv2", "tag")[0] == 63
    with pytest.raises(ValueError, match="pass channel_tags"):
        widgets.channel_order(seen, "conv1", "tag")
    with pytest.raises(ValueError, match="centre frequency, energy, tag"):
        widgets.channel_order(seen, "conv1", "colour")


def test_labels_say_what_a_channel_is(seen):
    label, channel = widgets.channel_choices(seen, "conv2", "tag")[0]
    assert channel == 63
    assert label.startswith("channel 63, ")
    assert label.endswith("Hz, guitar .81")


def test_what_is_heard_is_what_the_analysis_makes(seen):
    sound = widgets.hear(seen, "second", "conv2", 5, "gated")
    np.testing.assert_array_equal(sound, sonify.sonify(seen.maps["second"], "conv2", 5, "gated", probe=seen.probe))
    original = widgets.hear(seen, "second", "conv2", 5, "original")
    assert np.corrcoef(original, piece(1))[0, 1] > 0.99


def test_every_mode_can_be_heard_and_the_mask_says_how_far_it_can_be_trusted(seen):
    assert widgets.MODES == ("original", "raw", "carrier", "gated", "saliency", "mask", "maximisation")
    for mode in widgets.MODES:
        sound = widgets.hear(seen, "first", "conv1", 7, mode)
        assert sound.shape == seen.maps["first"].y.shape and np.abs(sound).max() > 0.1
    error = attribution.masked(seen.model, seen.maps["first"].y, "conv1", 7).error
    assert f"re-encoding error {error:.2f}" in widgets.fidelity(seen, "first", "conv1", 7, "mask")
    assert "of the channel's answer; aimed at random" in widgets.fidelity(seen, "first", "conv1", 7, "carrier")
    assert widgets.fidelity(seen, "first", "conv1", 7, "raw") == ""
    with pytest.raises(CannotPlay, match="pass model="):
        widgets.hear(dataclasses.replace(seen, model=None), "first", "conv1", 7, "saliency")


def test_the_picture_has_clip_channel_sound_and_curve(seen):
    figure = widgets.draw(seen, "first", "conv2", 5, "carrier")
    titles = [ax.get_title(where) for ax in figure.axes for where in ("left", "center")]
    for expected in ("first", "conv2, channel 5", "What you hear (carrier)", "Answers to tones"):
        assert expected in titles
    refused = widgets.draw(seen, "first", "conv3", 5, "raw")
    assert "mode='carrier'" in " ".join(text.get_text() for ax in refused.axes for text in ax.texts)


def test_a_and_b_share_one_gain(seen, other):
    first, second = widgets.compare((seen, "conv1", 3), (other, "conv1", 3), "first", "raw")
    alone = [sonify.render(each.maps["first"], "conv1", 3, "raw").y for each in (seen, other)]
    gains = [np.median(y[100:900] / x[100:900]) for y, x in zip((first, second), alone, strict=True)]
    assert gains[0] == pytest.approx(gains[1], rel=1e-4)


def test_nine_channels_are_chosen_and_played(seen):
    assert widgets.nine(seen, "first", "conv2") == widgets.channel_order(seen, "conv2", "energy")[:9]
    spread = widgets.nine(seen, "first", "conv2", "centre frequency")
    centres = seen.probe.tuning("conv2").centre_hz
    assert centres[spread[-1]] == np.nanmax(centres)
    grid = widgets.nine_players(seen, "first", "conv2", max_s=1.0)
    assert len(grid.children) == 9
    mp3 = base64.b64decode(grid.children[0].value.split("base64,")[1].split('"')[0])
    sound, sr = soundfile.read(io.BytesIO(mp3))
    assert len(sound) == sr


def dropdowns(widget):
    found = {}
    for child in getattr(widget, "children", ()):
        found |= {child.description: child} if isinstance(child, ipywidgets.Dropdown) else dropdowns(child)
    return found


def test_the_explorer_follows_its_dropdowns(seen, other, capsys):
    chosen = dropdowns(widgets.explorer([seen, other]))
    assert capsys.readouterr().out.count("Audio") == 1
    chosen["stage"].value = "conv3"
    assert capsys.readouterr().out.count("Audio") == 1
    chosen["mode"].value = "raw"
    assert "Markdown" in capsys.readouterr().out  # refused, in words
    chosen["stage"].value = "conv2"
    assert "tag" in chosen["sort by"].options
    chosen["sort by"].value = "tag"
    assert chosen["channel"].options[0][1] == 63
    capsys.readouterr()
    chosen["network"].value = "other"
    assert capsys.readouterr().out.count("Audio") == 1
    assert chosen["stage"].options == ("conv1",)
    assert "tag" not in chosen["sort by"].options


def test_the_ab_widget_plays_two(seen, other, capsys):
    widget = widgets.ab([seen, other])
    assert capsys.readouterr().out.count("Audio") == 2
    mode = dropdowns(widget)["mode"]
    mode.value = "raw"
    assert capsys.readouterr().out.count("Audio") == 2


class Library:
    """Stands in for a portrait and its records: two moments, of which the explorer knows no more than that."""

    def moments(self, stage, channel, kind, n=3):
        excerpt = Excerpt(f"{kind} of {stage} {channel}", piece(2), SR, ("harp",))
        return [(excerpt, SimpleNamespace(time_s=1.5, rank=rank, pieces=9)) for rank in (1, 2)]


def test_moments_that_excite_a_channel_are_played(seen, capsys):
    with pytest.raises(ValueError, match="pass library="):
        widgets.moments(seen, "conv2", 5)
    known = dataclasses.replace(seen, library=Library())
    (words, sound), _ = widgets.moments(known, "conv2", 5, "least")
    assert words == "least of conv2 5, around 1.5 s (harp): rank 1 of 9 pieces"
    assert np.abs(decoded(sound)[0]).max() > 0.3
    grid = widgets.moment_players(known, "conv2", 5)
    assert [cell.value.count("<audio") for cell in grid.children] == [2, 2, 2]
    explorer = widgets.explorer([known])
    (kind,) = [each for each in explorer.children[1].children if isinstance(each, ipywidgets.ToggleButtons)]
    capsys.readouterr()
    kind.value = "most"
    assert capsys.readouterr().out.count("Audio") == 2
    dropdowns(explorer)["channel"].value = 7
    assert capsys.readouterr().out.count("Audio") == 3, "the channel's own sound, and its moments"


def test_networks_need_their_own_titles(seen):
    with pytest.raises(ValueError, match="same title"):
        widgets.explorer([seen, seen])


def test_examples_carry_the_tag_and_start_again(tone_catalog, capsys):
    clip, y = widgets.example(tone_catalog, "high", 0, SR)
    assert "high" in clip.tags and len(y) == soundfile.info(clip.path).frames
    count = int(tone_catalog.labels["high"].sum())
    assert widgets.example(tone_catalog, "high", count, SR)[0] == clip
    box = widgets.examples(tone_catalog)
    tag, number = box.children[0].children
    capsys.readouterr()
    tag.value = "middle"  # without a kernel, what is displayed is printed
    assert "Audio object" in capsys.readouterr().out
    number.value = 2  # clip 7, whose file is empty
    assert "Markdown" in capsys.readouterr().out
