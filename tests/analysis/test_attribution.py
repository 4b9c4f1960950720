"""From channels back to waveforms: acceptance checks 9 and 11, and gradients that are gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from known_networks import SR, filterbank, gabor_bank, sampled, small_tagger, spectrum

from tagkit.analysis import attribution, feature_maps
from tagkit.graph import zoo

FINE = np.linspace(20, 7980, 7961)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).normal(size=samples)).astype(np.float32)


def test_check_9_a_mask_of_ones_changes_nothing():
    y = noise(20_000)
    shape = attribution.stft(SR).stft(y.astype(float)).shape
    error = attribution.apply_mask(y, np.ones(shape), SR) - y
    assert 10 * np.log10(np.square(y).sum() / np.square(error).sum()) > 100


@pytest.mark.parametrize("centre_hz", [500.0, 3000.0])
def test_check_11_gradient_ascent_finds_the_peak_of_a_known_filter(centre_hz):
    bank = gabor_bank(np.array([centre_hz]), 256, q=6)
    truth = FINE[spectrum(bank, FINE)[:, 0].argmax()]
    found = attribution.maximise(filterbank(bank, 2048, stride=4), "conv1", 0)
    assert abs(found.peak_hz / truth - 1) < 0.01
    assert found.y.shape == (4, 4000)
    np.testing.assert_allclose(np.sqrt(np.square(found.y).mean(axis=1)), 0.1, rtol=1e-4)


def test_check_11_fails_for_the_mean_of_the_activation():
    """A deliberately wrong objective: the mean is linear, so it grows at DC or at an edge, not at the peak."""
    bank = gabor_bank(np.array([400.0]), 256, q=6) + 1e-3
    unit = attribution.Channel(filterbank(bank, 2048, stride=4), "conv1", 0, 4000)
    start = 0.1 * noise(4000)[None, :, None]
    x = attribution.ascend(unit, start, lambda a: tf.reduce_mean(a, axis=-1), 64, 0.1, 4, 0)
    peak = np.abs(np.fft.rfft(x[0, :, 0] * np.hanning(4000))).argmax() * SR / 4000
    assert abs(peak / 400 - 1) > 0.5


def test_too_few_seeds_are_refused():
    with pytest.raises(ValueError, match="use 4 or more"):
        attribution.maximise(filterbank(np.ones((4, 1)), 100), "conv1", 0, seeds=1)


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
