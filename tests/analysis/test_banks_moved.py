"""Where the filters of a bank lie, and how far they are said to have moved, for kernels that are known."""

import keras
import numpy as np
import pytest

from tagkit.analysis import banks

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
    assert same == {"centre": 0, "width": 0, "width_ratio": 1, "change": 0}
    higher = banks.moved(Run(bank([500, 1000, 2000], 1.0), bank([600, 1200, 2400], 2.0)))
    assert higher["centre"] == pytest.approx(np.log2(1.2), abs=0.01)
    assert higher["width"] == pytest.approx(1, abs=0.05) and higher["width_ratio"] == pytest.approx(0.5, abs=0.02)
    assert higher["change"] > 1


def test_a_network_without_a_bank_is_named():
    source = keras.Input((64, 1), name="waveform")
    model = keras.Model(source, keras.layers.Conv1D(2, 3, name="conv1_conv")(source), name="plain")
    with pytest.raises(ValueError, match="plain has no learned filter bank; choose a network like tdfbank"):
        banks.filters(model)
