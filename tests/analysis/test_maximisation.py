"""What excites a channel most: acceptance check 11, whatever the position, and above noise and tones or refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from known_networks import SR, filterbank, gabor_bank, sampled, spectrum

from tagkit.analysis import attribution, maximisation, sonify

FINE = np.linspace(20, 7980, 7961)


@pytest.mark.parametrize("centre_hz", [500.0, 3000.0])
def test_check_11_gradient_ascent_finds_the_peak_of_a_known_filter(centre_hz):
    bank = gabor_bank(np.array([centre_hz]), 256, q=6)
    gain = spectrum(bank, FINE)[:, 0]
    found = maximisation.maximise(filterbank(bank, 2048, stride=4), "conv1", 0)
    assert abs(found.peak_hz / FINE[gain.argmax()] - 1) < 0.01
    assert found.y.shape == (5, 4000)
    np.testing.assert_allclose(np.sqrt(np.square(found.y).mean(axis=1)), 0.1, rtol=1e-4)
    assert found.tone == pytest.approx((0.1 * gain.max()) ** 2, rel=0.01)
    assert abs(found.tone_hz / FINE[gain.argmax()] - 1) < 0.01
    assert found.noise == pytest.approx(0.01 * np.square(bank).sum(), rel=0.1)
    edges_db = 10 * np.log10(4000 / (4000 - 255))  # what a sound gains that spares the edges, which no frame sees whole
    assert -0.1 < found.over_tone_db[0] < edges_db + 0.01  # nothing else beats the best tone at a linear filter


def test_the_best_tone_is_found_where_it_stands_between_two_tones_of_a_coarse_grid():
    """A broad peak at 1 kHz, and a higher one 30 Hz wide halfway between two of 128 tones, 250 Hz apart."""
    grid = np.geomspace(30, 0.98 * SR / 2, maximisation.TONES)
    narrow_hz = float(np.sqrt(grid[-8] * grid[-7]))
    bank = gabor_bank(np.array([1000.0]), q=2) + 2 * gabor_bank(np.array([narrow_hz]), q=narrow_hz / 30)
    gain = spectrum(bank, FINE)[:, 0]
    assert gain[np.searchsorted(FINE, grid[-8:-6])].max() < 0.1
    unit = attribution.Channel(filterbank(bank, 2048, stride=4), "conv1", 0, 4000)
    tone_hz, energy = maximisation._best_tone(unit, 4000, 0.1)
    assert tone_hz == pytest.approx(FINE[gain.argmax()], abs=1)
    assert energy == pytest.approx((0.1 * gain.max()) ** 2, rel=0.01)


def test_check_11_fails_for_the_mean_of_the_activation():
    """A deliberately wrong objective: the mean is linear, so it grows at DC or at an edge, not at the peak."""
    bank = gabor_bank(np.array([400.0]), 256, q=6) + 1e-3
    unit = attribution.Channel(filterbank(bank, 2048, stride=4), "conv1", 0, 4000)
    start = (0.01 * np.random.default_rng(0).normal(size=(1, 4000, 1))).astype(np.float32)
    x = maximisation.ascend(unit, start, lambda a: tf.reduce_mean(a, axis=-1), 64, 0)
    peak = np.abs(np.fft.rfft(x[0, :, 0] * np.hanning(4000))).argmax() * SR / 4000
    assert abs(peak / 400 - 1) > 0.5


def impulse() -> keras.Model:
    """One tap with a stride of 16: a tone at a multiple of 1 kHz is a constant that depends on its phase."""
    return filterbank(np.ones((1, 1)), 4000, stride=16)


def test_energies_are_means_over_all_positions_between_two_frames():
    unit = attribution.Channel(impulse(), "conv1", 0, 4000)
    tone = 0.1 * np.sqrt(2) * np.sin(2 * np.pi * 2000 * np.arange(4000) / SR)
    y, energy = maximisation._settled(unit, np.stack([tone, tone, np.zeros(4000)])[..., None])
    np.testing.assert_allclose(energy, 0.01, rtol=1e-4)
    np.testing.assert_allclose(np.square(y[:, ::16]).mean(axis=1), 0.02, rtol=1e-4)  # moved to where it counts most


def test_what_the_ascent_finds_does_not_hang_on_its_position():
    """An ascent at one position would end at a multiple of the frame rate, and be nothing half a frame on."""
    found = maximisation.maximise(impulse(), "conv1", 0)
    moved = [np.square(np.roll(found.y[0], shift)[::16]).mean() for shift in range(16)]
    assert found.energy[0] == pytest.approx(np.mean(moved), rel=1e-3)
    assert found.energy[0] == pytest.approx(0.01, rel=1e-3)  # every sound is as good as any other here


def test_too_few_seeds_are_refused():
    with pytest.raises(ValueError, match="use 4 or more"):
        maximisation.maximise(filterbank(np.ones((4, 1)), 100), "conv1", 0, seeds=1)


def test_a_channel_that_sound_only_silences_is_refused():
    source = keras.Input((4000, 1), name="waveform")
    x = layers.Conv1D(2, 1, strides=4, use_bias=False, activation="relu", name="conv1_conv")(source)
    x = layers.Conv1D(1, 1, activation="relu", name="conv2_conv")(x)
    model = sampled(source, x, name="inhibited")
    model.set_weights([np.array([[[1.0, -1.0]]]), np.full((1, 2, 1), -5.0), np.ones(1)])  # 1 - 5 |x|, from 0 up
    found = maximisation.maximise(model, "conv2", 0, steps=8)
    assert found.silence == 1 and "silence" in found.refusal and len(found.best) == 0
    with pytest.raises(sonify.CannotPlay, match=r"channel 0 of conv2: no sound excites it more than silence does"):
        sonify.play(model, np.full(4096, 0.1, np.float32), "conv2", 0, "maximisation")


def test_what_loses_against_noise_or_tones_is_refused():
    y, energy = np.zeros((1, 10)), np.array([1.0])
    lost = maximisation.Maximised(y, energy, 0.0, noise=1.5, tone=0.5, tone_hz=440, silence=0)
    assert "nothing better than white noise" in lost.refusal
    lost = maximisation.Maximised(y, energy, 0.0, noise=0.5, tone=1.1, tone_hz=440, silence=0)
    assert "0.4 dB below a pure tone of 440 Hz" in lost.refusal and len(lost.best) == 0
    held = maximisation.Maximised(y, energy, 0.0, noise=0.5, tone=1.02, tone_hz=440, silence=0)
    assert held.refusal == "" and len(held.best) == 1
