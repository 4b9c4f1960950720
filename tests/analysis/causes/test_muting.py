"""The muting experiment on a network that is known to hear one instrument with each channel."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tagkit.analysis import similarity
from tagkit.analysis.causes import muting
from tagkit.analysis.causes.muting import Changes
from tagkit.data.demo import experiment
from tagkit.data.demo.experiment import Variants

SR, WINDOW = 16_000, 1_600
TONES = {"violin": 2_000, "cello": 500, "flute": 4_000}  # Hz
TAGS = ("violin", "cello", "flute", "loud")


@pytest.fixture(scope="module")
def network():
    """One channel for each instrument's tone, which alone decides its tag; a fourth channel hears everything."""
    x = keras.Input((WINDOW, 1))
    t = np.arange(64) / SR
    filters = [np.cos(2 * np.pi * hz * t) * np.hanning(64) for hz in TONES.values()]
    kernel = np.stack([*filters, np.eye(64)[0]], axis=1)[:, None, :]
    drawn = keras.initializers.GlorotUniform(seed=3)  # of the untrained network: some draws hear an instrument, too
    y = keras.layers.Conv1D(4, 64, use_bias=False, kernel_initializer=drawn, name="conv1_convolution")(x)
    y = keras.layers.ReLU(name="conv1_activation")(y)
    pooled = keras.layers.GlobalAveragePooling1D(name="pool_mean")(y)
    model = keras.Model(x, keras.layers.Dense(4, use_bias=False, name="tags_dense")(pooled))
    model.get_layer("conv1_convolution").set_weights([kernel.astype(np.float32)])
    model.sr = SR
    model.get_layer("tags_dense").set_weights([np.diag([10.0, 10, 10, 100]).astype(np.float32)])
    return model


def piece(number):
    """A trio of tones, its mutings, and its violin played by a flute."""
    rng = np.random.default_rng(number)
    t = np.arange(3 * WINDOW) / SR
    tones = {name: rng.uniform(1500, 3000) * np.sin(2 * np.pi * hz * t) for name, hz in TONES.items()}
    whole = sum(tones.values()) + rng.normal(0, 100, len(t))
    muted = {name: (whole - tone).astype(np.int16) for name, tone in tones.items() if name != "flute" or number % 2}
    names = list(muted)
    pairs = [(name, names[(i + 1) % len(names)]) for i, name in enumerate(names)]
    flute = np.abs(tones["violin"]).max() * np.sin(2 * np.pi * TONES["flute"] * t)
    swapped = (whole - tones["violin"] + flute).astype(np.int16)
    return Variants(str(number), whole.astype(np.int16), muted, pairs, ("violin", "flute"), swapped)


@pytest.fixture(scope="module")
def found(network):
    untrained = similarity.random_control(network)
    listener = muting.Listener("known", TAGS, [network, untrained])
    for i in range(20):
        listener.hear(piece(i))
    return listener.found()


def test_tags_miss_their_own_instrument_only(found):
    table = found.of_tags()
    assert list(table.index) == ["violin", "cello", "flute"]
    assert (table["p"] < 0.01).all() and (table["low"] > 0).all()
    assert (table["muted"] > 5 * table["other"].abs()).all()
    assert table.loc["flute", "pieces"] == 10 and table.loc["cello", "pieces"] == 20


def test_channels_hear_what_they_are_built_to_hear(found):
    table = found.of_channels()
    assert set(zip(table["channel"], table["instrument"], strict=True)) == {(0, "violin"), (1, "cello"), (2, "flute")}
    assert (table["low"] > 0).all() and (table["score"] > 2 * table["control"].abs()).all()


def test_a_wrong_experiment_is_noticed(found):
    """Had muting been compared the wrong way round, or not at all, no channel would be right."""
    for wrong in (found.trained.activity[:, ::-1], np.repeat(found.trained.activity[:, :1], 2, axis=1)):
        table = replace(found, trained=Changes(found.trained.logits, wrong)).of_channels()
        assert not set(zip(table["channel"], table["instrument"], strict=True)) & {(0, "violin"), (1, "cello")}


def test_a_swap_moves_the_score_to_the_other_tag(found):
    row = found.confusion().loc["violin"]
    assert row["old_loses"] > 1 and row["new_gains"] > 1
    assert abs(row["others_gain"]) < 0.2 * row["new_gains"]


def test_strings_stay_true_while_a_violin_plays():
    silence = np.zeros(8, np.int16)
    both = Variants("a", silence, {"violin": silence, "strings": silence}, [], ("violin", "harp"), silence)
    assert both.makes_untrue("violin") and not both.makes_untrue("strings")
    assert Variants("a", silence, {"strings": silence}, [], ("strings", "harp"), silence).makes_untrue("strings")


def test_rendered_variants(scores_folder, tmp_path, monkeypatch):
    (tmp_path / "demo").symlink_to(scores_folder)
    monkeypatch.setattr(experiment.paths, "data_dir", lambda: tmp_path)
    clips = experiment.test_clips(2)
    assert all(clip.part == "test" for clip in clips)
    for variants in experiment.render(clips, jobs=1):
        for mine, other in variants.pairs:
            lost = [np.std(variants.full.astype(float) - variants.muted[each]) for each in (mine, other)]
            assert abs(20 * np.log10(lost[0] / lost[1])) <= experiment.LEVEL_DB + 0.1
        assert variants.swap[0] in variants.muted and variants.swap[1] not in variants.muted
        assert (variants.swapped != variants.full).mean() > 0.3
