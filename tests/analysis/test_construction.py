"""A stage's filters by comparison with the level before: who is valid where, and that streaming changes nothing."""

import numpy as np
import pytest
from known_networks import SR, filterbank, gabor_bank, mel_spaced, small_tagger

from tagkit.analysis import construction, feature_maps, identification, spectra, transfer
from tagkit.graph import zoo


def noises(n, samples, seed=0):
    return [(0.1 * np.random.default_rng(seed + i).normal(size=samples)).astype(np.float32) for i in range(n)]


def test_every_estimator_that_is_valid_stands_beside_the_others():
    model, clips = small_tagger(), [np.random.default_rng(i).normal(size=30_000) * 0.1 for i in range(2)]
    (first,) = construction.construct(model, clips, ["conv1"], length=64)
    assert first.refused == {}
    assert (len(first.weights), first.h1.inputs, first.ratio.gain.shape) == (1, 4, (33, 8))
    _, deep = construction.construct(model, clips, ["conv2", "conv3"], length=32)
    assert deep.h1 is None
    assert "24" in deep.refused["h1"]
    assert deep.ratio.frequencies[-1] == pytest.approx(SR / 72)


def test_streaming_clips_is_the_same_as_having_them_all(monkeypatch):
    monkeypatch.setattr(construction, "LEAST_SEGMENTS", 1)
    model, clips = small_tagger(), noises(3, 30_000)
    levels = construction.construct(model, clips, length=64)
    maps = list(feature_maps.stream(model, clips))
    assert [(level.below, level.stage) for level in levels] == [
        (None, "conv1"), ("conv1", "conv2"), ("conv2", "conv3"), ("conv3", "conv4")
    ]  # fmt: skip
    heard = [(y[:, None], m.maps["conv1"]) for y, m in zip(clips, maps, strict=True)]
    at_once = identification.h1(*zip(*heard, strict=True), 4, SR)
    assert levels[0].h1.segments < at_once.segments  # streaming takes as much of each clip as is enough
    shared = identification.CrossSpectra(1, 4, 64)
    for pair in heard:
        shared.add(*pair, None, most=54)  # 40 segments for each of 4 inputs
    assert shared.segments == levels[0].h1.segments == 162
    np.testing.assert_allclose(levels[0].h1.response, shared.transfer(SR).response, rtol=1e-9, atol=1e-12)
    ratio = transfer.ratio(maps[0].maps["conv1"], maps[0].maps["conv2"], 3, SR / 4, 64)
    alone = construction.construct(model, clips[:1], ["conv1", "conv2"], length=64)[1]
    np.testing.assert_allclose(alone.ratio.gain, ratio.gain)
    assert "take more audio" in levels[3].refused["h1"]


def test_weights_h1_and_probe_agree_on_a_linear_stage():
    """White noise through a bank of known filters: three roads to one curve."""
    model = filterbank(gabor_bank(mel_spaced(300, 5000, 6), 64), 4096, stride=4)
    (level,) = construction.construct(model, noises(4, 160_000), length=256)
    probe = spectra.tone_probe(model, levels_dbfs=(-20.0,))
    gains = level.gains(probe)
    assert list(gains) == ["weights", "H1", "ratio", "tone probe"]
    f, truth = gains["weights"]
    for name in ("H1", "tone probe"):
        at, gain = gains[name]
        scale = 0.1 * np.sqrt(0.5) if name == "tone probe" else 1.0
        inside = (at > 100) & (at < 7000)
        for channel in range(6):
            expected = np.interp(at[inside], f, truth[:, channel])
            strong = expected > 0.3 * expected.max()
            error = 20 * np.log10(gain[inside, channel][strong] / scale / expected[strong])
            assert np.abs(error).max() < 1, name
    assert level.h1.linear_fraction() == pytest.approx(np.ones(6), abs=0.02)


def test_half_a_rectified_signal_is_linear():
    """ReLU of white noise: of the power of its fluctuation, the best line explains .73."""
    bank = np.zeros((4, 1))
    bank[0] = 1
    model = filterbank(bank, 4096, activation="relu")
    (level,) = construction.construct(model, noises(2, 200_000))
    expected = 0.25 / (0.5 - 1 / (2 * np.pi))  # gain 1/2 (Bussgang), variance of max(z, 0)
    assert level.h1.linear_fraction()[0] == pytest.approx(expected, abs=0.01)


def test_refusals_stand_in_the_place_of_curves():
    model = zoo.build("crnn_dm16", n_tags=4)
    levels = {level.stage: level for level in construction.construct(model, noises(2, 80_000))}
    assert "no convolution over time" in levels["gru1"].gains()["weights"]
    assert "take more audio" in levels["gru1"].gains()["H1"]
    assert isinstance(levels["gru1"].gains()["ratio"], tuple)
    (first, second) = construction.construct(zoo.build("res13", n_tags=4), noises(1, 80_000), ["conv1", "conv2"])
    assert isinstance(first.gains()["weights"], tuple)
    assert "holds 2 convolutions" in second.gains()["weights"]


def test_the_table_says_what_was_learned():
    model, other = small_tagger(), small_tagger()
    other.get_layer("conv1_conv").set_weights([w[::-1] * 2 for w in model.get_layer("conv1_conv").get_weights()])
    probes = [spectra.tone_probe(m, levels_dbfs=(-20.0,), tones=48) for m in (model, other)]
    levels = construction.construct(model, noises(3, 30_000))
    same = construction.table(levels, probes[0], probes[0])
    assert (same["moved_db"] == 0).all()
    np.testing.assert_allclose(same[["linear", "aliased", "nonlinear"]].sum(axis=1), 1, atol=1e-6)
    assert same.loc["conv1", "inputs"] == 4 and np.isnan(same.loc["conv4", "linear_fraction"])
    changed = construction.table(levels, *probes)
    assert (changed.loc["conv2", "low"] <= changed.loc["conv2", "moved_db"] <= changed.loc["conv2", "high"]).all()
    assert changed.loc["conv2", "moved_db"] > 0.1
