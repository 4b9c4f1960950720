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


def test_a_stage_that_the_axis_lacks_is_named_beside_its_point():
    triple = (2.0, 1.0, 3.0)
    crnn = {"conv1": triple, "mel": triple, "conv3": triple, "gru1": triple, "gru2": triple}
    ax = plots.by_stage(["conv1", "conv2", "conv3"], {"dm16": [triple] * 3, "crnn": crnn})
    assert [text.get_text() for text in ax.get_xticklabels()] == ["conv1", "conv2", "conv3"]
    x = {container.get_label(): container[0].get_xdata().round() for container in ax.containers}
    assert list(x["dm16"]) == [0, 1, 2]
    assert list(x["crnn"]) == [0, 1, 2, 3, 4]
    assert {text.get_text(): round(text.xy[0]) for text in ax.texts} == {"mel": 1, "gru1": 3, "gru2": 4}


def test_stages_of_the_same_name_stand_above_each_other_wherever_they_are():
    networks = {"dm16": [(1, 0, 2)] * 3, "short": {"conv1": (1, 0, 2), "conv3": (5, 4, 6)}}
    ax = plots.by_stage(["conv1", "conv2", "conv3"], networks)
    assert list(ax.containers[1][0].get_xdata().round()) == [0, 2]


def test_bare_values_beyond_the_named_stages_are_refused():
    with pytest.raises(ValueError, match="samplecnn: 2 values, stages named: 1"):
        plots.by_stage(["conv1"], {"samplecnn": [(1, 0, 2)] * 2})


def test_what_cannot_be_negative_starts_at_0_and_one_network_has_no_legend():
    ax = plots.by_stage(["conv1", "conv2"], {"dm16": [(3, 2.5, 4), (8, 7, 9)]})
    assert ax.get_ylim()[0] == 0 and ax.get_legend() is None
    ax = plots.by_stage(["conv1"], {"dm16": [(-1, -2, 0)], "untrained": [(0, -1, 1)]}, untrained="untrained")
    assert ax.get_ylim()[0] < -2 and len(ax.get_legend().get_texts()) == 2


def test_probes_of_trained_networks_stand_beside_those_of_untrained_ones():
    def stages(value, *names):
        return {name: (value, value - 0.1, value + 0.1) for name in names}

    found = {
        "dm16": {"trained": stages(0.9, "conv1", "conv2"), "untrained": stages(0.4, "conv1", "conv2")},
        "crnn": {"trained": stages(0.8, "conv1", "gru1", "gru2")},
    }
    trained, untrained = plots.probes(found)
    drawn = {c.get_label(): c[0].get_ydata().tolist() for c in trained.containers}
    assert drawn == {"dm16": [0.9, 0.9], "crnn": [0.8, 0.8, 0.8]}
    assert [c.get_label() for c in untrained.containers] == ["dm16"]
    assert trained.get_ylim() == untrained.get_ylim() == (pytest.approx(0.28), 1.0)
    assert len(plots.probes({"crnn": found["crnn"]})) == 1


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


def test_every_drawn_panel_of_the_construction_says_what_its_frequencies_are_of():
    curve = np.linspace(1, 100, 20), np.ones((20, 2))
    drawn = {"weights": curve, "H1": curve, "ratio": curve, "tone probe": curve}
    stages = {"conv1": drawn, "gru1": drawn | {"weights": "no weights", "H1": "too few segments"}}
    axes = plots.construction(stages, {stage: np.arange(2) for stage in stages})
    below, own, sound = "Hz in the maps below", "Hz in the stage's own maps", "Hz of the sound"
    assert [ax.get_xlabel() for ax in axes[0]] == [below, below, own, sound]
    assert [ax.get_xlabel() for ax in axes[1]] == ["", "", own, sound]
