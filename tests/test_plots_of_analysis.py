"""Pictures of the analysis: the artists are looked at, never the pixels."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tagkit import plots


@pytest.fixture(autouse=True)
def figures():
    plots.use_style()
    yield
    plt.close("all")


def test_similarity_says_value_and_half_of_the_interval():
    value = np.array([[0.9, 0.1]])
    ax = plots.similarity(value, ["conv1"], ["a", "b"], low=value - 0.05, high=value + 0.05)
    assert [text.get_text() for text in ax.texts] == [".90\n±.05", ".10\n±.05"]


def test_tags_are_sorted_by_the_first_network_and_the_untrained_one_is_grey():
    ax = plots.tag_channels({"dm16": {"a": 0.7, "b": 0.9}, "untrained": {"b": 0.6}}, untrained="untrained")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    trained, twin = ax.lines[:2]
    assert list(trained.get_xdata()) == [0.7, 0.9] and twin.get_color() == plots.style.QUIET
    assert np.isnan(twin.get_xdata()[0])


def test_by_stage_draws_intervals():
    ax = plots.by_stage(["conv1", "conv2"], {"dm16": [(1, 0.5, 2), (3, 2, 5)]})
    segments = [segment[:, 1].tolist() for segment in ax.containers[0][2][0].get_segments()]
    assert segments == [[0.5, 2], [2, 5]]


def test_construction_has_a_heat_map_or_a_reason_in_every_panel():
    f = np.linspace(1, 100, 20)
    gain = np.stack([np.exp(-((f - 20) ** 2) / 50), np.exp(-((f - 80) ** 2) / 50)], axis=1)
    panels = {"weights": (f, gain), "H1": "too few segments", "ratio": (f, gain), "tone probe": (f * 50, gain)}
    axes = plots.construction({"conv1": panels}, {"conv1": np.array([1, 0])}, notes={"conv1": {"ratio": "a note"}})
    assert axes.shape == (1, 4)
    drawn = np.asarray(axes[0, 0].collections[0].get_array()).reshape(2, 20)
    assert f[drawn.argmax(axis=1)] == pytest.approx([80, 20], abs=3)  # in the order asked for
    assert [text.get_text() for text in axes[0, 1].texts] == ["too few segments"] and not axes[0, 1].collections
    assert "a note" in [text.get_text() for text in axes[0, 2].texts]
