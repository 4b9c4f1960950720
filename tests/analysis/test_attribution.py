"""From channels back to waveforms: acceptance check 9, gradients that are gradients, masks beside their control."""

import keras
import numpy as np
import pytest
from keras import layers
from known_networks import SR, filterbank, gabor_bank, sampled, small_tagger

from tagkit.analysis import attribution, feature_maps
from tagkit.graph import zoo


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).normal(size=samples)).astype(np.float32)


def test_check_9_a_mask_of_ones_changes_nothing():
    y = noise(20_000)
    shape = attribution.stft(SR).stft(y.astype(float)).shape
    error = attribution.apply_mask(y, np.ones(shape), SR) - y
    assert 10 * np.log10(np.square(y).sum() / np.square(error).sum()) > 100


def test_saliency_is_the_derivative():
    model, y = small_tagger(), noise(4096)
    channel = int(feature_maps.compute(model, y, ["conv3"]).maps["conv3"].std(axis=0).argmax())

    def energy(clip):
        return np.square(feature_maps.compute(model, clip, ["conv3"]).channel("conv3", channel).astype(float)).mean()

    found = attribution.saliency(model, y, "conv3", channel)
    direction = found / np.linalg.norm(found)
    step = 1e-2
    slope = (energy(y + step * direction) - energy(y - step * direction)) / (2 * step)
    assert slope == pytest.approx(np.linalg.norm(found), rel=0.02)


def test_deconvnet_of_a_linear_stage_is_the_transposed_filter():
    bank = gabor_bank(np.array([1000.0]), 64)
    model = filterbank(bank, 1000, stride=4)
    y = noise(1000)
    a = np.maximum(feature_maps.compute(model, y).channel("conv1", 0), 0)
    back = np.zeros(1000)
    for n, value in enumerate(a):
        back[4 * n : 4 * n + 64] += value * bank[:, 0]
    np.testing.assert_allclose(attribution.deconvnet(model, y, "conv1", 0), back, atol=1e-5)


def test_only_what_is_positive_flows_back():
    source = keras.Input((8, 1), name="waveform")
    x = layers.Conv1D(1, 1, use_bias=False, name="conv1_conv")(source)
    x = layers.Activation("elu", name="conv1_elu")(x)
    model = sampled(source, layers.Conv1D(1, 1, use_bias=False, name="conv2_conv")(x))
    model.set_weights([np.full((1, 1, 1), 2.0), np.full((1, 1, 1), -1.0)])
    y = np.array([1, -1, 2, -2, 0.5, 0, 1, 1], np.float32)
    assert (attribution.deconvnet(model, y, "conv2", 0) == 0).all()  # a negative weight sends nothing positive back
    model.set_weights([np.full((1, 1, 1), 2.0), np.full((1, 1, 1), 1.0)])
    assert (attribution.deconvnet(model, y, "conv1", 0)[y > 0] > 0).all()


def two_tones(seconds: float = 2.0) -> np.ndarray:
    time = np.arange(int(seconds * SR)) / SR
    return (0.2 * np.sin(2 * np.pi * 500 * time) + 0.2 * np.sin(2 * np.pi * 3000 * time)).astype(np.float32)


def level_at(y: np.ndarray, hz: float) -> float:
    magnitude = np.abs(np.fft.rfft(y * np.hanning(len(y))))
    return float(magnitude[round(hz * len(y) / SR)])


def test_mask_keeps_what_the_channel_heard():
    y = two_tones()
    model = filterbank(gabor_bank(np.array([500.0, 3000.0]), 256), 4096, stride=8, activation="relu")
    found = attribution.masked(model, y, "conv1", 0)
    assert found.y.shape == y.shape
    assert found.mask.min() >= 0
    assert found.mask.max() <= 1
    assert level_at(found.y, 500) > 0.5 * level_at(y, 500)
    assert level_at(found.y, 3000) < 0.05 * level_at(y, 3000)
    assert found.error < 0.3
    assert found.score > 0.2  # of two tones, to turn both down takes half of what the channel heard
    other = attribution.masked(model, y, "conv1", 1)
    assert level_at(other.y, 500) < 0.05 * level_at(y, 500)


def test_mask_behind_a_spectrogram():
    y = two_tones()
    model = zoo.build("logmel")
    channel = int(feature_maps.compute(model, y, ["conv2"]).maps["conv2"].mean(axis=0).argmax())
    found = attribution.masked(model, y, "conv2", channel)
    assert found.y.shape == y.shape
    assert found.mask.max() == 1
    assert np.isfinite(found.error)


def test_a_masks_control_is_the_clip_turned_down_and_silence():
    y = two_tones()
    model = filterbank(gabor_bank(np.array([500.0, 3000.0]), 256), 4096, stride=8, activation="relu")
    found = attribution.masked(model, y, "conv1", 0)
    gain = np.sqrt(np.square(found.y).sum() / np.square(y).sum())
    assert found.turned_down == pytest.approx(1 - gain, rel=1e-3)  # the channel has no bias: it follows the gain
    assert found.silence == pytest.approx(1, abs=1e-6)
    assert found.control == found.turned_down
    assert found.score == pytest.approx(1 - gain - found.error, rel=1e-2)


def test_a_mask_that_knows_nothing_scores_no_better_than_its_control(monkeypatch):
    """A channel of one tap hears everything alike, so a mask can only turn the clip down."""
    y, rng = noise(8192), np.random.default_rng(3)
    model = filterbank(np.ones((1, 1)), 8192)
    monkeypatch.setattr(attribution, "mask_of", lambda magnitude: rng.uniform(0, 1, magnitude.shape))
    assert attribution.masked(model, y, "conv1", 0).score < 0.02
