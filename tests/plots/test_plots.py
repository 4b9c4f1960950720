"""Pictures: the artists are looked at, never the pixels."""

import itertools
import subprocess
import sys

import matplotlib

matplotlib.use("Agg")

import librosa
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import FancyBboxPatch
from matplotlib.transforms import Bbox

from tagkit import plots

SR = 16000
FREQUENCIES = np.geomspace(30, 7800, 128)


@pytest.fixture(autouse=True)
def figures():
    plots.use_style()
    yield
    plt.close("all")


def gaussian_bank(centres, octaves=0.3):
    return np.exp(-(np.log2(FREQUENCIES[:, None] / centres) ** 2) / (2 * octaves**2))


def tone(hz, seconds=1.0):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * SR)) / SR).astype(np.float32)


def labelled(ax):
    return ax.get_title(loc="left") and ax.get_xlabel() and ax.get_ylabel()


def test_every_picture_draws_on_the_axes_it_is_given():
    y, maps = tone(440), np.random.default_rng(0).standard_normal((50, 4))
    labels = pd.DataFrame({"guitar": [True, False], "drums": [True, True]})
    drawn = [
        lambda ax: plots.waveform(y, SR, ax=ax),
        lambda ax: plots.spectrogram(y, SR, ax=ax),
        lambda ax: plots.log_mel(y, SR, ax=ax),
        lambda ax: plots.feature_maps(maps, np.arange(50) / 10, ax=ax),
        lambda ax: plots.filter_spectra(FREQUENCIES, gaussian_bank([200.0, 900.0]), ax=ax),
        lambda ax: plots.filter_bank(FREQUENCIES, gaussian_bank([200.0, 900.0]), ax=ax),
        lambda ax: plots.centre_frequencies({"trained": np.array([200.0, 900.0])}, ax=ax),
        lambda ax: plots.training_curves([1, 2], {"loss": [2.0, 1.0]}, ax=ax),
        lambda ax: plots.tag_cooccurrence(labels, ax=ax),
    ]
    for draw in drawn:
        _, ax = plt.subplots()
        assert draw(ax) is ax
        assert labelled(ax)


def test_the_spectrogram_is_brightest_at_the_tone():
    ax = plots.spectrogram(tone(1000), SR, n_fft=1024, hop_length=256)
    mesh = ax.collections[0]
    levels = np.asarray(mesh.get_array()).reshape(513, -1)
    assert np.argmax(levels[:, 20]) == 64
    assert levels.max() == 0
    assert ax.get_xlabel() == "time (s)"


def test_the_feature_map_has_time_in_seconds_and_channels_in_the_order_asked_for():
    maps = np.random.default_rng(0).standard_normal((100, 3)) * [1, 100, 0]
    ax = plots.feature_maps(maps, 0.5 + np.arange(100) / 50, order=[2, 0, 1])
    image = ax.images[0]
    shown = np.asarray(image.get_array())
    assert image.get_extent() == pytest.approx((0.49, 2.49, 3, 0))
    assert (shown[0] == 0).all()
    np.testing.assert_allclose(shown[2], (maps[:, 1] - maps[:, 1].mean()) / maps[:, 1].std())


def test_filter_curves_peak_at_the_centre_at_zero_db():
    ax = plots.filter_spectra(FREQUENCIES, 7.0 * gaussian_bank(np.array([200.0, 900.0])), [1])
    (line,) = ax.lines
    assert line.get_xdata()[np.argmax(line.get_ydata())] == pytest.approx(900, rel=0.03)
    assert line.get_ydata().max() == 0
    assert ax.get_xscale() == "log"


def test_several_filter_curves_stand_one_above_the_other():
    ax = plots.filter_spectra(FREQUENCIES, gaussian_bank(np.array([200.0, 900.0, 4000.0])), [2, 0, 1])
    curves = [line.get_ydata() for line in ax.lines]
    assert [FREQUENCIES[np.argmax(curve)] for curve in curves] == pytest.approx([4000, 200, 900], rel=0.04)
    assert all(below.max() < above.min() for below, above in itertools.pairwise(curves))
    assert all(np.ptp(curve) == pytest.approx(30) for curve in curves)
    lanes = {tick.get_text(): y for tick, y in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}
    assert [min(lanes, key=lambda c: abs(lanes[c] - np.mean([y.min(), y.max()]))) for y in curves] == ["2", "0", "1"]


def test_more_curves_than_colours_are_refused():
    bank = gaussian_bank(np.geomspace(50, 5000, 20))
    assert len(plots.filter_spectra(FREQUENCIES, bank).lines) == 8
    with pytest.raises(ValueError, match="filter_bank"):
        plots.filter_spectra(FREQUENCIES, bank, range(9))


def test_the_filter_bank_is_sorted_by_centre_frequency():
    centres = np.array([3000.0, 100.0, 800.0])
    mesh = plots.filter_bank(FREQUENCIES, gaussian_bank(centres), centres).collections[0]
    peaks = FREQUENCIES[np.argmax(np.asarray(mesh.get_array()).reshape(3, -1), axis=1)]
    np.testing.assert_allclose(peaks, [100, 800, 3000], rtol=0.03)


def test_centre_frequencies_stand_beside_mel_erb_and_the_untrained_network():
    trained, twin = np.array([900.0, np.nan, 100.0]), np.array([50.0, 60.0])
    ax = plots.centre_frequencies({"dm16": trained, "untrained": twin}, untrained="untrained", fmin_hz=50, fmax_hz=8000)
    lines = {line.get_label(): line for line in ax.lines}
    assert set(lines) == {"mel scale", "ERB scale", "linear", "dm16 (2)", "untrained (2)"}
    assert list(lines["dm16 (2)"].get_ydata()) == [100, 900]
    mel, erb = lines["mel scale"].get_ydata(), lines["ERB scale"].get_ydata()
    np.testing.assert_allclose(mel, librosa.mel_frequencies(len(mel), fmin=100, fmax=900, htk=True))
    np.testing.assert_allclose(lines["linear"].get_ydata(), np.linspace(100, 900, len(mel)))
    assert (erb[1:-1] < mel[1:-1]).all()
    np.testing.assert_allclose(lines["mel scale"].get_xdata()[[0, -1]], [0.25, 0.75], err_msg="from dot to dot")
    assert lines["untrained (2)"].get_color() == plots.style.QUIET
    assert lines["untrained (2)"].get_zorder() < lines["dm16 (2)"].get_zorder()


def test_what_answers_most_to_the_lowest_tone_is_within_the_axes_and_said_to():
    ax = plots.centre_frequencies({"dm16": np.array([30.0, 31.5, 900.0])}, fmin_hz=30, fmax_hz=7800)
    assert ax.get_ylim()[0] < 30 and ax.get_ylim()[1] > 7800
    (words,) = ax.texts
    assert words.get_text() == "answer most to the lowest tone"
    assert words.xy == (pytest.approx(0.5), 30), "beside the second of three"
    assert len(ax.lines) == 1, "one dot is left, and spans no scale"
    assert not plots.centre_frequencies({"dm16": np.array([200.0, 900.0])}).texts


def test_twelve_networks_are_told_apart_by_colour_and_mark():
    centres = {f"net {k}": np.array([200.0, 900.0]) for k in range(12)}
    best = {f"net {k}": {"guitar": 0.9} for k in range(12)}
    stages = {f"net {k}": [(1, 0.5, 2)] for k in range(12)}
    for ax in (plots.centre_frequencies(centres), plots.tag_channels(best), plots.by_stage(["conv1"], stages)):
        lines = [line for line in ax.lines if line.get_marker() in plots.style.MARKERS]
        assert len({(line.get_color(), line.get_marker()) for line in lines}) == 12


def test_training_curves_mark_the_best_step():
    ax = plots.training_curves([1, 2, 3], {"training": [3, 2, 1], "validation": [3, 2.5, 2.7]}, best_step=2)
    assert [line.get_label() for line in ax.lines] == ["training", "validation", "best (step 2)"]
    assert list(ax.lines[1].get_ydata()) == [3, 2.5, 2.7]


def test_tag_balance_counts_clips_most_frequent_first():
    labels = pd.DataFrame({"rare": [1, 0, 0], "all": [1, 1, 1], "some": [0, 1, 1]}).astype(bool)
    ax = plots.tag_balance(labels)
    assert [bar.get_width() for bar in ax.patches] == [3, 2, 1]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["all", "some", "rare"]


def test_cooccurrence_is_the_share_of_the_rows_clips():
    labels = pd.DataFrame({"a": [1, 1, 1, 1], "b": [1, 0, 0, 0], "never": [0, 0, 0, 0]}).astype(bool)
    shown = np.ma.asarray(plots.tag_cooccurrence(labels).collections[0].get_array()).reshape(3, 3)
    assert shown[0, 1] == 25
    assert shown[1, 0] == 100
    assert shown[2, 0] == 0
    assert shown.mask[0, 0]


def test_per_tag_scores_are_sorted_dots_with_intervals():
    ax = plots.per_tag_scores(
        ["a", "b", "c"], [0.7, np.nan, 0.9], [0.6, np.nan, 0.8], [0.8, np.nan, 0.95], positives=[4, 0, 9]
    )
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a (4)", "c (9)"]
    assert list(ax.lines[0].get_xdata()) == [0.7, 0.9]
    intervals = [segment[:, 0].tolist() for segment in ax.collections[0].get_segments()]
    assert intervals == [[0.6, 0.8], [0.8, 0.95]]


def test_a_published_score_is_a_line_across_the_ranking():
    scores = {"values": [0.87, 0.89], "low": [0.85, 0.87], "high": [0.89, 0.91]}
    ax = plots.score_ranking(["dm16", "logmel"], **scores, kinds=["raw", "mel"], reference=("paper", 0.88))
    (line,) = (line for line in ax.lines if line.get_label() == "paper: 0.880")
    assert list(line.get_xdata()) == [0.88, 0.88]


def test_legends_lie_on_no_data():
    names, values = ["dm16", "logmel", "dm8"], np.array([0.99, 0.5, 0.7])
    ranking = plots.score_ranking(names, values, values - 0.1, values + 0.1, kinds=["raw", "mel", "raw"])
    cost = plots.score_against_cost(names, values, [1.0, 1.0, 90.0], kinds=["raw", "mel", "raw"])
    trust = plots.reliability(np.linspace(0.05, 0.95, 4), np.array([0.9, 0.95, 0.9, 1.0]), np.full(4, 50))
    for ax in (ranking, cost, trust):
        ax.figure.canvas.draw()
        assert ax.get_legend().get_window_extent().x0 >= ax.bbox.x1


def test_a_dot_without_an_interval_is_hollow():
    ax = plots.per_tag_scores(["a", "b"], [0.7, 1.0], [0.6, np.nan], [0.8, np.nan])
    hollow = [line.get_xdata().tolist() for line in ax.lines if line.get_fillstyle() == "none"]
    assert hollow == [[1.0]] and len(ax.collections[0].get_segments()) == 1


def test_twelve_curves_are_told_apart():
    ax = plots.training_curves([1, 2], {f"net {k}": [0.5, 0.6] for k in range(12)})
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 12
    assert len(ax.get_legend().get_texts()) == 12


def test_the_ranking_puts_the_best_on_top_and_colours_by_kind():
    scores = {"values": np.array([0.7, 0.9, 0.8]), "low": np.array([0.6, 0.8, 0.7]), "high": np.array([0.8, 0.95, 0.9])}
    ax = plots.score_ranking(
        ["dm16", "logmel", "dm8"], **scores, kinds=["raw", "mel", "raw"], seeds=[[0.68, 0.72], [0.9], [0.8]]
    )
    assert [text.get_text() for text in ax.get_yticklabels()] == ["dm16", "dm8", "logmel"]
    colour = {line.get_label(): line.get_color() for line in ax.lines if line.get_label() in ("raw", "mel")}
    dots = [
        (line.get_xdata()[0], line.get_color())
        for line in ax.lines
        if line.get_marker() == "o" and len(line.get_xdata())
    ]
    assert dots == [(0.7, colour["raw"]), (0.8, colour["raw"]), (0.9, colour["mel"])]
    ticks = [list(line.get_xdata()) for line in ax.lines if line.get_marker() == "|"]
    assert ticks == [[0.68, 0.72], [0.8], [0.9]]


def test_the_heat_map_shows_every_tag_of_every_network():
    scores = pd.DataFrame({"dm16": [0.9, 0.6], "logmel": [0.95, 1.0]}, ["guitar", "slow"])
    ax = plots.tag_heat_map(scores)
    assert [text.get_text() for text in ax.texts] == [".90", ".95", ".60", "1.00"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["guitar", "slow"]
    np.testing.assert_allclose(ax.collections[0].get_array().ravel(), scores.to_numpy().ravel())


def test_cost_is_logarithmic_and_every_network_is_named():
    ax = plots.score_against_cost(["dm16", "logmel"], [0.9, 0.95], [36.0, 12.0], kinds=["raw", "mel"])
    ax.figure.canvas.draw()
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    assert ax.get_xscale() == "log" and labelled(ax) and {"10", "100"} <= set(ticks)
    assert not any("$" in tick for tick in ticks + [label.get_text() for label in ax.get_xticklabels(minor=True)])
    assert {text.get_text(): text.xy for text in ax.texts} == {"dm16": (36.0, 0.9), "logmel": (12.0, 0.95)}


def boxes_of(ax):
    """Extents in pixels of the names and of the dots."""
    ax.figure.canvas.draw()
    names = {text.get_text(): text.get_window_extent() for text in ax.texts}
    dots = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata())]
    points = np.concatenate([ax.transData.transform(line.get_xydata()) for line in dots])
    half = 3 * ax.figure.dpi / 72
    return names, [Bbox([point - half, point + half]) for point in points]


def test_names_cover_neither_dots_nor_each_other_nor_leave_the_axes():
    rng = np.random.default_rng(0)
    costs, values = 10 ** rng.normal(1.5, 0.4, 40), rng.normal(0.9, 0.02, 40)
    kinds = rng.choice(["raw", "mel"], 40)
    networks = [f"network_{k}" for k in range(40)]
    networks[np.argmin(values)] = "dm16"
    ax = plots.score_against_cost(networks, values, costs, kinds=kinds)
    names, dots = boxes_of(ax)
    legend = ax.get_legend().get_window_extent()
    assert len(names) > 20
    for name, box in names.items():
        assert not any(box.overlaps(dot) for dot in dots), name
        assert not any(box.overlaps(other) for own, other in names.items() if own != name), name
        assert not box.overlaps(legend), name
        assert ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 and ax.bbox.y0 <= box.y0 and box.y1 <= ax.bbox.y1, name
    unbeaten = [
        networks[i] for i in range(40) if not ((costs <= costs[i]) & (values > values[i]) & (kinds == kinds[i])).any()
    ]
    assert {"dm16", *unbeaten} <= set(names)


def test_a_name_far_from_its_dot_has_a_line_that_leads_there():
    crowd = [0.5, *np.linspace(0.9, 0.93, 11)]
    ax = plots.score_against_cost([f"net_{k}" for k in range(12)], crowd, np.full(12, 30.0), kinds=["raw"] * 12)
    names, _ = boxes_of(ax)
    lines = [line for line in ax.lines if line.get_marker() == "None"]
    dots = {text.get_text(): ax.transData.transform(text.xy) for text in ax.texts}
    nearest = {name: np.clip(dots[name], box.min, box.max) for name, box in names.items()}
    far = [name for name in names if np.hypot(*(nearest[name] - dots[name])) > 8 * ax.figure.dpi / 72]
    assert 2 <= len(far) == len(lines) < len(names)
    for name, line in zip(far, lines, strict=True):
        np.testing.assert_allclose(ax.transData.transform(line.get_xydata()), [dots[name], nearest[name]], atol=4)


def test_more_kinds_than_colours_are_refused():
    kinds = [f"kind {k}" for k in range(7)]
    with pytest.raises(ValueError, match="9 kinds"):
        plots.score_against_cost(kinds, np.ones(7), np.ones(7), kinds=kinds)


def test_the_architecture_shows_each_stage_longer_and_narrower_as_it_should():
    stages = [("conv1", 2427, 64), ("conv2", 606, 64), ("conv3", 151, 128)]
    ax = plots.architecture(stages, samples=38832, outputs=50)
    boxes = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    assert [box.get_gid() for box in boxes] == ["waveform", "conv1", "conv2", "conv3", "tags"]
    widths, heights = [b.get_width() for b in boxes], [b.get_height() for b in boxes]
    assert widths == sorted(widths, reverse=True)
    assert heights[2] < heights[3]
    assert "38,832\nx 1" in [text.get_text() for text in ax.texts]


def test_the_grid_holds_nine_channels_and_no_more():
    maps = np.random.default_rng(0).standard_normal((20, 12))
    axes = plots.channel_grid(maps, np.arange(20) / 10, [3, 1, 7], labels=["100 Hz", "200 Hz", "1 kHz"])
    assert axes.shape == (3, 3)
    assert [ax.get_title(loc="left") for ax in axes.flat][:3] == [
        "channel 3, 100 Hz",
        "channel 1, 200 Hz",
        "channel 7, 1 kHz",
    ]
    assert not axes[2, 2].axison
    with pytest.raises(ValueError, match="holds 9"):
        plots.channel_grid(maps, np.arange(20) / 10, range(10))


def test_plots_start_without_tensorflow():
    code = "import sys, tagkit.plots; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_taggram_reaches_from_the_start_to_the_end():
    ax = plots.taggram(np.eye(3), np.array([0.0, 2.0, 4.0]), 2.5, ["a", "b", "c"], duration_s=6.4)
    (mesh,) = ax.collections
    np.testing.assert_allclose(mesh.get_array(), np.eye(3))
    np.testing.assert_allclose(mesh.get_coordinates()[0, :, 0], [0, 2.25, 4.25, 6.4])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b", "c"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    long = plots.taggram(np.zeros((2, 1)), np.array([0.0, 300.0]), 300.0, ["a"])
    assert long.get_xlabel() == "time (min)" and long.get_xlim() == (0, 10)


def test_reliability_shows_the_bins_that_hold_something():
    ax = plots.reliability(np.array([0.1, np.nan, 0.9]), np.array([0.2, np.nan, 0.7]), np.array([50, 0, 3]))
    np.testing.assert_allclose(ax.collections[0].get_offsets()[[0, 2]], [[0.1, 0.2], [0.9, 0.7]])
    assert [t.get_text() for t in ax.texts] == ["50", "3"]
    assert labelled(ax)


def test_reliability_has_wilsons_intervals_and_numbers_on_the_side_away_from_the_diagonal():
    ax = plots.reliability(np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.3, 1.0]), np.array([50, 10, 3]))
    low, high = np.array([segment[:, 1] for segment in ax.collections[1].get_segments()]).T
    np.testing.assert_allclose(low, [0.1124, 0.1078, 0.4385], atol=1e-4)
    np.testing.assert_allclose(high, [0.3304, 0.6032, 1.0], atol=1e-4)
    assert [text.get_ha() for text in ax.texts] == ["right", "left", "right"]
    assert [np.sign(text.get_position()[0]) for text in ax.texts] == [-1, 1, -1]


def test_a_picture_that_fails_leaves_the_one_before_in_place(tmp_path, monkeypatch):
    figure, path = plots.waveform(tone(440), SR).figure, tmp_path / "new" / "a.png"
    assert plots.save_figure(figure, path) == path
    before = path.read_bytes()
    assert before.startswith(b"\x89PNG")

    def interrupted(temporary, **_):
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(figure, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plots.save_figure(figure, path)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]
