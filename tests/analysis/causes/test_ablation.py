"""Ablation where the answer is known: each tag reads channels that are known, and no others."""

import keras
import numpy as np
import pytest
from scipy import stats

from tagkit.analysis.causes import ablation
from tagkit.analysis.causes.ablation import Silenced

SR, CHANNELS, WINDOW, CLIPS = 16_000, 48, 320, 60


def network(weights):
    """48 channels that filter noise, each averaged over time; the tags read them by these weights (channels, tags)."""
    rng = np.random.default_rng(5)
    source = keras.Input((WINDOW, 1))
    conv = keras.layers.Conv1D(CHANNELS, 32, strides=8, use_bias=False, activation="relu", name="conv1_conv")
    pooled = keras.layers.GlobalAveragePooling1D(name="logits_mean")(conv(source))
    dense = keras.layers.Dense(weights.shape[1], use_bias=False, name="logits_dense")
    model = keras.Model(source, dense(pooled), name="known")
    model.sr = SR
    t = np.arange(32)[:, None] / SR
    hz = np.linspace(300, 7500, CHANNELS)
    conv.set_weights([(np.cos(2 * np.pi * hz * t + rng.uniform(0, 6, CHANNELS)) * np.hanning(32)[:, None])[:, None]])
    dense.set_weights([weights])
    return model


def clips(seed=0):
    """One window of each clip: noise of a colour of its own."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal((CLIPS, WINDOW)))
    place = np.linspace(0, 1, spectrum.shape[1])
    colour = np.exp(0.2 * sum(rng.normal(size=(CLIPS, 1)) * np.sin(np.pi * (k + 1) * place + k) for k in range(6)))
    return (0.05 * np.fft.irfft(spectrum * colour)).astype(np.float32)


@pytest.fixture(scope="module")
def readers():
    """Tag 0 reads channel 7 alone, tag 1 channels 20 to 23, tag 2 all channels alike."""
    weights = np.zeros((CHANNELS, 3), np.float32)
    weights[7, 0], weights[20:24, 1], weights[:, 2] = 40, 20, 2
    model = network(weights)
    plain = Silenced(model, "conv1", np.zeros(CHANNELS))
    windows = clips()
    fill = plain.maps(clips(1)).mean(axis=(0, 1))
    silenced = Silenced(model, "conv1", fill)
    labels = plain.logits(plain.maps(windows))[0]
    return silenced, windows, labels > np.quantile(labels, 0.6, axis=0)


def compared(readers, speakers, **settings):
    silenced, windows, labels = readers
    settings = {"draws": 199, "progress": False, "tags": ("one", "four", "all")} | settings
    return ablation.compare(silenced, windows, labels, np.array(speakers), **settings)


RIGHT = [[7, 30, 31, 32], [20, 21, 22, 23], [0, 12, 24, 36]]
WRONG = [[8, 30, 31, 32], [24, 25, 26, 27], [0, 12, 24, 36]]


def test_only_the_channel_that_a_tag_reads_has_an_effect(readers):
    found = compared(readers, RIGHT)
    silenced, windows, labels = readers
    assert found.drops.shape == (CHANNELS, 3)
    assert set(np.flatnonzero(found.p[:, 0] <= 0.05)) == {7}
    assert set(np.flatnonzero(found.drops[:, 0])) == {7} and set(np.flatnonzero(found.drops[:, 1])) == {20, 21, 22, 23}
    maps = silenced.maps(windows)[labels[:, 0]][..., 7]
    assert found.drops[7, 0] == pytest.approx(40 * (maps.mean() - silenced.fill[7]), rel=1e-3)


def test_speakers_carry_their_tag_and_random_channels_do_not(readers):
    table = compared(readers, RIGHT).of_tags()
    assert list(table.index) == ["one", "four", "all"]
    for tag in ("one", "four"):
        row = table.loc[tag]
        assert row["low"] > 0 and row["speakers"] > 3 * row["random"]
        assert row["auc"] == 1 and row["auc_speakers"] == pytest.approx(0.5, abs=0.05) and row["auc_random"] > 0.9
    assert table.loc["four", "p"] <= 0.03
    assert table.loc["all", "p"] > 0.05, "of a tag that reads all channels alike, none are its speakers"
    assert table["energy"].between(0.5, 2).all()


def test_speakers_that_are_not_are_told_from_those_that_are(readers):
    """What a ranking that is one channel off would give, and one that silences nothing."""
    table = compared(readers, WRONG).of_tags()
    assert (table["p"] > 0.05).all() and table.loc["one", "speakers"] == pytest.approx(0, abs=1e-5)
    silenced, windows, _ = readers
    maps = silenced.maps(windows)
    nothing = silenced.logits(maps, [[7], []])
    assert not np.allclose(nothing[0], nothing[1], atol=1e-3)


class Linear:
    """What `Silenced` does to `network`, which is linear in its channels' means, without TensorFlow: for many tags."""

    def __init__(self, means, weights, fill):
        self.means, self.weights, self.fill = means, weights, fill

    def maps(self, windows):
        return self.means

    def energy(self, maps):
        return np.square(maps - self.fill).mean(axis=0)

    def logits(self, maps, sets=((),)):
        x = np.repeat(maps[None], len(sets), axis=0)
        for changed, channels in zip(x, sets, strict=True):
            changed[:, list(channels)] = self.fill[list(channels)]
        return x @ self.weights


@pytest.fixture(scope="module")
def means():
    """Of the channels in 60 clips (clips, channels), and over other clips (channels,)."""
    silenced = Silenced(network(np.zeros((CHANNELS, 1), np.float32)), "conv1", np.zeros(CHANNELS))
    return silenced.maps(clips(3)).mean(axis=1), silenced.maps(clips(4)).mean(axis=(0, 1))


def chance(means, trials=1000, at_once=20):
    """p of tags that read channels at random, for speakers that are chosen at random: each is one question."""
    rng, p = np.random.default_rng(11), []
    for seed in range(trials // at_once):
        linear = Linear(means[0], rng.normal(size=(CHANNELS, at_once)), means[1])
        labels = rng.random((CLIPS, at_once)) < 0.4
        speakers = np.array([rng.choice(CHANNELS, 4, replace=False) for _ in range(at_once)])
        settings = {"tags": [str(t) for t in range(at_once)], "draws": 19, "progress": False, "seed": seed}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ablation, "holm", lambda p: p)
            p += list(ablation.compare(linear, None, labels, speakers, **settings).of_tags()["p"])
    return np.array(p)


def test_chance_passes_for_speakers_as_rarely_as_stated(means):
    """The null on independent data, and what it is with random channels that are never the speakers themselves."""
    small = int((chance(means) <= 0.05).sum())
    assert stats.binomtest(small, 1000, 0.05).pvalue > 0.01, f"{small} of 1000"

    def others(energy, own, draws, rng):
        blocks = np.array_split(np.argsort(energy), CHANNELS // 8)
        for _ in range(draws):
            drawn = [rng.choice(np.setdiff1d(block, own), np.isin(block, own).sum(), replace=False) for block in blocks]
            yield np.concatenate(drawn)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablation, "matched", others)
        wrong = int((chance(means) <= 0.05).sum())
    assert stats.binomtest(wrong, 1000, 0.05).pvalue < 0.001, f"{wrong} of 1000"


def test_the_null_silences_as_networks_do(means):
    weights = np.random.default_rng(1).normal(size=(CHANNELS, 3)).astype(np.float32)
    silenced, sets = Silenced(network(weights), "conv1", means[1]), [(), (7,), (3, 20, 47)]
    expected = Linear(means[0], weights, means[1]).logits(means[0], sets)
    np.testing.assert_allclose(silenced.logits(silenced.maps(clips(3)), sets), expected, atol=1e-5)


def test_random_channels_vary_about_as_much():
    rng = np.random.default_rng(0)
    energy, own = np.exp(rng.normal(0, 1.5, 200)), np.arange(6)
    sets = np.array(list(ablation.matched(energy, own, 200, rng)))
    assert np.isin(sets, own).mean() < 0.1 and all(len(set(each)) == 6 for each in sets)
    ratio = energy[sets].sum(axis=1) / energy[own].sum()
    assert np.median(ratio) == pytest.approx(1, abs=0.2)


def test_a_stage_that_others_pass_by_is_refused():
    source = keras.Input((64, 1))
    one = keras.layers.Conv1D(3, 3, padding="same", name="conv1_conv")(source)
    two = keras.layers.Conv1D(3, 3, padding="same", name="conv2_conv")(one)
    both = keras.layers.Concatenate(name="logits_join")([one, two])
    pooled = keras.layers.GlobalAveragePooling1D(name="logits_mean")(both)
    model = keras.Model(source, keras.layers.Dense(2, name="logits_dense")(pooled), name="by two ways")
    model.sr = SR
    with pytest.raises(ValueError, match=r"past conv2, too, .*choose a later stage"):
        Silenced(model, "conv2", np.zeros(3))
