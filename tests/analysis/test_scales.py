"""Filter banks beside the scales of hearing."""

import librosa
import numpy as np
import pytest
from known_networks import filterbank, gabor_bank

from tagkit.analysis import scales, spectra


def test_scales_are_the_published_ones():
    f = np.array([50.0, 440.0, 1000.0, 5000.0])
    np.testing.assert_allclose(np.diff(librosa.hz_to_mel(scales.spaced("mel", 5, 50, 5000), htk=True), 2), 0, atol=1e-9)
    np.testing.assert_allclose(scales.erb_rate_to_hz(scales.hz_to_erb_rate(f)), f)
    assert scales.erb_hz(1000) == pytest.approx(132.6, abs=0.1)
    slope = 1 / np.gradient(scales.hz_to_erb_rate(np.arange(900, 1101.0)))[100]
    assert slope == pytest.approx(scales.erb_hz(1000), rel=0.01)


@pytest.mark.parametrize("scale", ["mel", "erb", "linear", "log"])
def test_a_bank_on_a_scale_is_recognised(scale):
    centres = scales.spaced(scale, 16, 200, 5000)
    probe = spectra.tone_probe(filterbank(gabor_bank(centres, 1024, q=8), 2048), levels_dbfs=[-20])
    found = scales.compare_bank(probe.tuning("conv1"))
    np.testing.assert_allclose(found.centres_hz, centres, rtol=0.01)
    assert min(found.distance, key=found.distance.get) == scale
    assert found.distance[scale] < 0.01
    nearest = scales.spacing(found, scale)
    assert nearest.value == pytest.approx(found.distance[scale]) and nearest.low <= nearest.value <= nearest.high
    other = "linear" if scale != "linear" else "log"
    assert scales.spacing(found, other).low > nearest.high
    np.testing.assert_allclose(found.erb_ratio, centres / 8 / scales.erb_hz(centres), rtol=0.05)


def test_flagged_channels_are_left_out_and_too_few_are_refused():
    bank = gabor_bank(np.array([500.0, 1000.0, 2000.0]), 512, q=8)
    bank[:, 1] += bank[:, 2]
    probe = spectra.tone_probe(filterbank(bank, 2048), levels_dbfs=[-20])
    assert list(scales.compare_bank(probe.tuning("conv1")).kept) == [0, 2]
    probe = spectra.tone_probe(filterbank(bank[:, 1:2], 2048), levels_dbfs=[-20])
    with pytest.raises(ValueError, match="keep_flagged=True"):
        scales.compare_bank(probe.tuning("conv1"))


def test_low_pass_channels_have_no_place_on_a_scale():
    centres = scales.spaced("mel", 16, 200, 5000)
    low_pass = np.repeat(np.arange(1024)[:, None] < 64, 4, axis=1) / 64
    bank = np.concatenate([gabor_bank(centres, 1024, q=8), low_pass], axis=1)
    tuning = spectra.tone_probe(filterbank(bank, 2048), levels_dbfs=[-20]).tuning("conv1")
    assert tuning.low_pass.tolist() == [False] * 16 + [True] * 4 and "no lower edge" in tuning.caution(16)
    for keep in (False, True):
        found = scales.compare_bank(tuning, keep_flagged=keep)
        assert found.kept.tolist() == list(range(16)) and found.distance["mel"] < 0.01


def test_distance_from_the_control():
    rng = np.random.default_rng(0)
    start = 10 ** (rng.normal(size=(64, 40)) / 4)
    assert scales.bank_distance(3 * start, start).value == pytest.approx(0, abs=1e-9)
    moved = scales.bank_distance(start * 10 ** (rng.normal(size=(64, 40)) / 20), start)
    assert 0.5 < moved.low < moved.value < moved.high < 1.5
    alone = scales.bank_distance(3 * start[:, :1], start[:, :1])
    assert alone.value == pytest.approx(0, abs=1e-9) and np.isnan(alone.low)
