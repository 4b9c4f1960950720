"""Where the filters of a bank lie, and how far they are said to have moved, for kernels that are known."""

import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf

from tagkit.analysis import banks
from tagkit.graph.layers.banks import FLOOR, PEAK, Gabor, LogEnergy

SR, TAPS = 16_000, 512


def bank(centres_hz, width):
    """A network whose bank has these pairs of Gabor filters; `width` scales their envelopes."""
    t = (np.arange(TAPS)[:, None] - TAPS / 2) / SR
    envelope = np.exp(-((t / (0.004 * width)) ** 2) / 2)
    phase = 2 * np.pi * np.asarray(centres_hz) * t
    kernels = np.concatenate([envelope * np.cos(phase), envelope * np.sin(phase)], axis=1)
    source = keras.Input((1024, 1), name="waveform")
    conv = keras.layers.Conv1D(kernels.shape[1], TAPS, use_bias=False, name="bank_conv")
    model = keras.Model(source, conv(source), name="known")
    conv.set_weights([kernels[:, None].astype(np.float32)])
    model.sr = SR
    return model


class Run:
    """Before training a bank of its own, and after it another one."""

    def __init__(self, before, after):
        self.models = {False: before, True: after}

    def model(self, trained):
        return self.models[trained]


def test_centres_and_widths_are_those_of_the_filters():
    found = banks.filters(bank([500, 2000, 6000], 1.0))
    np.testing.assert_allclose(found.centre_hz, [500, 2000, 6000], atol=2)
    sigma_hz = 1 / (2 * np.pi * 0.004 * np.sqrt(2))  # of the power; half of it lies within .6745 sigma
    np.testing.assert_allclose(found.width_hz, 2 * 0.6745 * sigma_hz, rtol=0.03)


def test_what_moved_is_told_in_octaves_and_what_did_not_is_not():
    same = banks.moved(Run(bank([500, 2000, 6000], 1.0), bank([500, 2000, 6000], 1.0)))
    assert same == {"centre": 0, "width": 0, "width_ratio": 1, "change": pytest.approx(0, abs=1e-6)}
    higher = banks.moved(Run(bank([500, 1000, 2000], 0.5), bank([600, 1200, 2400], 1.0)))  # both end before the taps
    assert higher["centre"] == pytest.approx(np.log2(1.2), abs=0.01)
    assert higher["width"] == pytest.approx(1, abs=0.05) and higher["width_ratio"] == pytest.approx(0.5, abs=0.02)
    assert higher["change"] == pytest.approx(1, abs=0.02), "what they were is orthogonal to what they are"


def test_a_change_of_level_is_none_and_what_is_added_is_measured():
    before, after, noisy = (bank([500, 2000, 6000], 1.0) for _ in range(3))
    kernel = np.asarray(before.get_layer("bank_conv").kernel)
    after.get_layer("bank_conv").set_weights([0.9 * kernel])
    assert banks.moved(Run(before, after))["change"] == pytest.approx(0, abs=1e-6)
    noise = np.random.default_rng(0).standard_normal(kernel.shape)
    noise *= 0.1 * np.linalg.norm(kernel, axis=0) / np.linalg.norm(noise, axis=0)
    noisy.get_layer("bank_conv").set_weights([kernel + noise])
    assert banks.moved(Run(before, noisy))["change"] == pytest.approx(0.1, abs=0.01)


def trained(peak):
    """`moved` of a bank that 30 steps of Adam train to hear a tone beside each of its filters more."""
    shape, t = (TAPS, 1, 16), np.arange(2048) / SR
    hz = 1.1 * librosa.mel_frequencies(10, fmin=0, fmax=SR / 2)[1:-1]
    tones = tf.constant(np.sin(2 * np.pi * hz[:, None] * t)[..., None], tf.float32)
    networks = []
    for steps in (0, 30):
        source = keras.Input((2048, 1), name="waveform")
        conv = keras.layers.Conv1D(
            16, TAPS, strides=64, use_bias=False, kernel_initializer=Gabor(SR, peak), name="bank_conv"
        )
        model = keras.Model(source, LogEnergy(floor=FLOOR * (peak / PEAK) ** 2)(conv(source)), name="known")
        model.sr, adam = SR, keras.optimizers.Adam(1e-3)
        for _ in range(steps):
            with tf.GradientTape() as tape:
                loss = -tf.reduce_mean(tf.linalg.diag_part(tf.reduce_mean(model(tones), axis=1)))
            adam.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        networks.append(model)
    assert conv.kernel.shape == shape
    return banks.moved(Run(*networks))


def test_the_peak_of_its_filters_decides_how_far_training_takes_a_bank():
    """Adam's steps are as long whatever the filters' height, so those of peak 64 stay where they are."""
    low, high = trained(1.0), trained(64.0)
    assert low["centre"] > 0.01 and low["change"] > 0.02
    assert 20 < low["change"] / high["change"] < 200 and high["centre"] < 1e-3


def test_a_network_without_a_bank_is_named():
    source = keras.Input((64, 1), name="waveform")
    model = keras.Model(source, keras.layers.Conv1D(2, 3, name="conv1_conv")(source), name="plain")
    with pytest.raises(ValueError, match="plain has no learned filter bank; choose a network like tdfbank"):
        banks.filters(model)
