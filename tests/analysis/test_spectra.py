"""The tone probe against filters that are known: acceptance checks 3 and 7, and what it says about shares."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers
from known_networks import filterbank, gabor_bank, mel_spaced, sampled, small_tagger, spectrum

from tagkit.analysis import feature_maps, sonify, spectra, tones, tuning
from tagkit.analysis.geometry import stages

CENTRES = mel_spaced(100, 5000, 32)
SEMITONE = 0.1


@pytest.fixture(scope="module")
def bank() -> np.ndarray:
    return gabor_bank(CENTRES, taps=2048, q=8)


def semitones(measured_hz: np.ndarray) -> np.ndarray:
    return 12 * np.abs(np.log2(measured_hz / CENTRES))


def test_peak_of_every_known_filter_within_a_tenth_of_a_semitone(bank):
    probe = spectra.tone_probe(filterbank(bank, 4096), levels_dbfs=[-20])
    tuned = probe.tuning("conv1")
    assert semitones(tuned.centre_hz).max() < SEMITONE
    np.testing.assert_allclose(tuned.q, 8, rtol=0.03)
    assert not tuned.multi_peaked.any()
    assert not tuned.alias_dominated.any()
    assert probe.shares("conv1")["linear"].min() > 0.999


def test_check_3_through_relu_and_maxpool(bank):
    probe = spectra.tone_probe(filterbank(bank, 4096, activation="relu", pool=4), levels_dbfs=[-20])
    curve, truth = probe.curve("conv1"), spectrum(bank, probe.frequencies)
    assert semitones(probe.tuning("conv1").centre_hz).max() < SEMITONE
    relative = tuning.decibels(truth / truth.max(axis=0))
    error = tuning.decibels(curve / curve.max(axis=0)) - relative
    assert np.abs(error[relative > -20]).max() < 1
    assert probe.shares("conv1")["nonlinear"].min() > 0.3  # half-wave rectified, and the probe says so


def test_check_3_fails_for_the_loudest_tone_alone(bank):
    """A deliberately wrong estimator: the probed tone with the largest response, without the parabola."""
    probe = spectra.tone_probe(filterbank(bank, 4096), levels_dbfs=[-20])
    loudest = probe.frequencies[probe.curve("conv1").argmax(axis=0)]
    assert semitones(loudest).max() > 3 * SEMITONE


def test_check_7_alias_lands_where_it_is_predicted():
    sr, stride, tone = 22050, 3, 5880.0
    assert tone - sr / stride == pytest.approx(-1470)
    model = filterbank(np.eye(3)[:, :1], 6000, stride=stride)
    model.sr = sr
    y = np.sin(2 * np.pi * tone * np.arange(6000) / sr).astype(np.float32)
    a = feature_maps.compute(model, y).channel("conv1", 0)
    magnitude = np.abs(np.fft.rfft(a * np.hanning(len(a))))
    bin_hz = sr / stride / len(a)
    assert abs(magnitude.argmax() * bin_hz - 1470) <= bin_hz
    probe = spectra.tone_probe(model, levels_dbfs=[-20])
    above = probe.frequencies > sr / stride / 2
    assert probe.alias_share("conv1")[above].min() > 0.999
    assert probe.alias_share("conv1")[~above].max() == 0
    np.testing.assert_allclose(probe.shares("conv1")["aliased"], above.mean(), rtol=1e-3)
    high = filterbank(gabor_bank(np.array([1000.0, 7000.0]), 256), 6000, stride=stride)
    high.sr = sr
    assert list(spectra.tone_probe(high).tuning("conv1").alias_dominated) == [False, True]


def test_a_phase_dependent_constant_is_no_dc():
    """A tone at a multiple of the frame rate turns into a constant; over phases it stays a linear output."""
    model = filterbank(np.ones((1, 1)), 3200, stride=16)
    probe = spectra.tone_probe(model, tones=2, fmin_hz=1000.0, fmax_hz=2000.0, levels_dbfs=[0.0])
    np.testing.assert_allclose(probe.curve("conv1"), np.sqrt(0.5), rtol=1e-3)
    np.testing.assert_allclose(probe.dc["conv1"], 0, atol=1e-3)
    np.testing.assert_allclose(probe.shares("conv1")["aliased"], 1, atol=1e-3)


def test_levels_change_nothing_in_a_linear_network_and_something_in_another():
    linear = spectra.tone_probe(filterbank(gabor_bank(CENTRES[::8], 512), 2048), tones=32)
    flat = linear.curve("conv1", -6.0) / linear.curve("conv1", -40.0)
    np.testing.assert_allclose(20 * np.log10(flat[linear.curve("conv1") > 1e-3]), 34, atol=0.05)
    probe = spectra.tone_probe(small_tagger(), tones=32)
    assert list(probe.response) == ["conv1", "conv2", "conv3", "conv4"]
    assert probe.curve("conv4", -6.0).shape == (32, 16)
    for stage in probe.response:
        np.testing.assert_allclose(sum(probe.shares(stage).values()), 1, atol=1e-6)


def test_slow_stages_give_their_dc_response():
    source = keras.Input((8000, 1), name="waveform")
    x = layers.Conv1D(2, 64, activation="relu", use_bias=False, name="conv1_conv")(source)
    model = sampled(source, layers.AveragePooling1D(1000, name="conv1_pool")(x), name="slow")
    centres = np.array([500.0, 2000.0])
    model.layers[1].set_weights([gabor_bank(centres, 64, q=2)[:, None, :].astype(np.float32)])
    probe = spectra.tone_probe(model, tones=64)
    assert probe.dc_only == {"conv1"}
    assert stages(model)[0].stride == 1000
    np.testing.assert_allclose(probe.tuning("conv1").centre_hz, centres, rtol=0.03)
    assert np.isnan(probe.response["conv1"][0]).all()
    assert probe.shares("conv1")["nonlinear"].min() == pytest.approx(1)


def test_tuning_of_known_curves():
    f = np.geomspace(50, 7000, 128)
    octaves = np.log2(f / 1000)
    gauss = np.exp(-0.5 * (octaves / 0.2) ** 2)
    double = gauss + 0.7 * np.exp(-0.5 * ((octaves - 2) / 0.2) ** 2)
    weak = gauss + 0.3 * np.exp(-0.5 * ((octaves - 2) / 0.2) ** 2)
    lowpass = 1 / np.sqrt(1 + (f / 300) ** 4)
    t = tuning.measure(f, np.stack([gauss, double, weak, lowpass, np.zeros_like(f)], axis=1))
    np.testing.assert_allclose(t.centre_hz[:3], 1000, rtol=1e-3)
    assert list(t.multi_peaked) == [False, True, False, False, False]
    half = 0.2 * np.sqrt(np.log(2))
    np.testing.assert_allclose([t.low_hz[0], t.high_hz[0]], 1000 * 2.0 ** np.array([-half, half]), rtol=5e-3)
    assert t.low_hz[3] == 0
    assert t.high_hz[3] == pytest.approx(300, rel=0.01)
    assert np.isnan(t.centre_hz[4])
    assert np.isnan(t.q[4])


def test_mistakes_are_named():
    model = filterbank(np.ones((2, 1)), 100)
    with pytest.raises(ValueError, match="at least 3"):
        spectra.tone_probe(model, phases=2)
    probe = spectra.tone_probe(model, tones=4, levels_dbfs=[-20])
    with pytest.raises(KeyError, match="conv1"):
        probe.curve("conv7")
    with pytest.raises(KeyError, match="-20"):
        probe.curve("conv1", -3)


def test_the_band_is_that_of_the_loudest_tone():
    """Two peaks of almost one height: between two tones the spline rises above the loudest tone, far from it."""
    frequencies = np.geomspace(100, 6400, 61)
    curve = np.full(61, 1e-2)
    curve[10], curve[40:42] = 1.0, 0.98
    low, high = tuning.band(frequencies, curve)
    assert low < frequencies[10] < high < frequencies[12]


def comb(delay: int) -> np.ndarray:
    """A broad filter around 2 kHz and its echo (taps, 1): a comb with teeth at multiples of 16,000 / `delay` Hz."""
    once = gabor_bank(np.array([2000.0]), 256, q=1.5)
    return np.pad(once, ((0, delay), (0, 0))) + np.pad(once, ((delay, 0), (0, 0)))


def test_the_grid_is_refined_until_a_centre_holds():
    weights = comb(900)  # teeth 18 Hz apart, of which 128 tones find one at 1.6 kHz
    fine = np.linspace(1000, 4000, 12_001)
    truth = fine[spectrum(weights, fine)[:, 0].argmax()]
    probe = spectra.tone_probe(filterbank(weights, 4096), levels_dbfs=[-20])
    tuned = probe.tuning("conv1")
    assert not tuned.unresolved[0]
    assert abs(np.log2(tuned.centre_hz[0] / truth)) < 1 / 24
    assert 0 < tuned.grid_octaves[0] < 1 / 48
    loudest = probe.frequencies[probe.curve("conv1").argmax()]
    assert abs(np.log2(loudest / truth)) > 1 / 6  # a fixed grid is wrong here
    assert len(probe.frequencies) == len(probe.curve("conv1")) == 128


class Erratic:
    """Answers every tone at random: whatever the grid, its peak is the grid's."""

    def __init__(self):
        self.sr, self.macs, self.stages = 16_000, 1, stages(filterbank(np.ones((2, 1)), 100))
        self.rng = np.random.default_rng(0)

    def __call__(self, frequencies: np.ndarray) -> list[np.ndarray]:
        return [self.rng.uniform(0.9, 1, (1, len(frequencies), 3, 8))]


def test_a_peak_that_moves_with_the_grid_does_not_hold():
    base = np.geomspace(30, 7840, 32)
    grid, found, moved = tones.refine(Erratic(), base, 4)
    assert len(base) < len(grid) <= 4 * len(base) and set(base) <= set(grid) and (np.diff(grid) > 0).all()
    assert found[0].shape == (1, len(grid), 3, 8)
    assert (moved[0] > tuning.HOLDS_OCTAVES).mean() > 0.6


def test_a_centre_that_does_not_hold_is_refused():
    model = filterbank(gabor_bank(np.array([1000.0, 2000.0]), 256), 4096, stride=4)
    probe = spectra.tone_probe(model, levels_dbfs=[-20])
    tuned = tuning.measure(probe.frequencies, probe.curve("conv1"), moved_octaves=np.array([0.5, 0.01]))
    assert list(tuned.unresolved) == [True, False]
    assert np.isnan([tuned.centre_hz[0], tuned.low_hz[0], tuned.q[0]]).all() and np.isfinite(tuned.centre_hz[1])
    assert "depends on the tones" in tuned.caution(0) and not tuned.low_pass[0]
    probe = replace(probe, tunings={"conv1": (tuned,)})
    maps = feature_maps.compute(model, np.sin(np.arange(8000.0)))
    for mode in ("carrier", "gated"):
        with pytest.raises(sonify.CannotPlay, match=r"channel 0 of conv1.*mode='raw'"):
            sonify.sonify(maps, "conv1", 0, mode, probe=probe)
        reasons = [sonify.MODES[mode].refuses(maps.stage("conv1"), sonify.Tuned.of(tuned, c)) for c in (0, 1)]
        assert "frequency of its own" in reasons[0] and reasons[1] == ""


def test_large_networks_are_played_fewer_tones(monkeypatch):
    played = []
    call = tones.Player.__call__
    monkeypatch.setattr(tones.Player, "__call__", lambda self, f: played.append(len(f)) or call(self, f))
    bank = filterbank(gabor_bank(CENTRES[::8], 512), 2048)
    spectra.tone_probe(bank, tones=32, levels_dbfs=[-20])
    assert 32 < sum(played) <= 32 * spectra.FINER
    most = sum(played)
    player = tones.Player(bank, stages(bank), [0.1], 5)
    weights, filters = 512, len(CENTRES[::8])
    assert player.macs == 5 * weights * filters * player.stages[0].frames
    monkeypatch.setattr(tones, "MOST_MACS", player.macs * (most - 1))
    played.clear()
    spectra.tone_probe(bank, tones=32, levels_dbfs=[-20])
    assert sum(played) <= most - 1
    monkeypatch.setattr(tones, "MOST_MACS", 1.0)
    played.clear()
    assert np.isfinite(spectra.tone_probe(bank, tones=32, levels_dbfs=[-20]).response["conv1"]).all()
    assert played == [32]
