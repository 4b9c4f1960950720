"""Filters by comparison with the level before: acceptance checks 1, 2, 4 and 5."""

import keras
import nonlinear
import numpy as np
import pytest
from keras import layers
from known_networks import SR, filterbank, gabor_bank, mel_spaced, sampled, small_tagger
from scipy.stats import norm

from tagkit.analysis import feature_maps, identification, spectra, transfer, tuning


def test_check_1_probe_against_weights():
    rng = np.random.default_rng(0)
    source = keras.Input((4096, 1), name="waveform")
    x = layers.Conv1D(16, 64, strides=16, name="conv1_conv")(source)
    model = sampled(source, layers.BatchNormalization(name="conv1_norm", epsilon=1e-5)(x))
    shapes = [w.shape for w in model.get_weights()]
    values = [rng.normal(size=shape) for shape in shapes]
    values[-1] = rng.uniform(0.1, 2, shapes[-1])  # moving variance
    model.set_weights(values)
    probe = spectra.tone_probe(model, levels_dbfs=[-20])
    (conv,) = transfer.weights(model, "conv1")
    gain = np.abs(conv.response(probe.frequencies)[:, 0])
    measured = probe.curve("conv1") / (0.1 * np.sqrt(0.5))
    error = tuning.decibels(measured) - tuning.decibels(gain)
    assert np.abs(error[gain > 1e-3 * gain.max()]).max() < 0.1
    np.testing.assert_allclose(conv.bias, feature_maps.compute(model, np.zeros(4096)).maps["conv1"][5], atol=1e-4)


def test_weights_of_every_convolution_of_a_stage():
    (conv,) = transfer.weights(small_tagger(), "conv2")
    assert conv.layer == "conv2_conv"
    assert (conv.weights.shape, conv.dilation, conv.rate_hz) == ((3, 8, 8), 2, 4000)
    with pytest.raises(ValueError, match=r"logits.*no convolution"):
        transfer.weights(small_tagger(), "logits")


def strided(inputs: int = 8, outputs: int = 3, taps: int = 6, stride: int = 2, frames: int = 200_000):
    """Coloured inputs (frames, inputs), known filters (taps, inputs, outputs), and a strided conv's outputs."""
    rng = np.random.default_rng(1)
    white = rng.normal(size=(frames, inputs))
    mix = np.eye(inputs) + 0.3 * rng.normal(size=(inputs, inputs))
    x = (white + 0.6 * np.roll(white, 1, axis=0)) @ mix
    filters = rng.normal(size=(taps, inputs, outputs))
    starts = np.arange(0, frames - taps + 1, stride)
    y = sum(x[starts + tap] @ filters[tap] for tap in range(taps))
    return x, y, filters


def relative_db(found: identification.Transfer, filters: np.ndarray, rate_hz: float) -> float:
    truth = transfer.ConvFilter("", filters, np.zeros(1), 1, rate_hz).response(found.frequencies)
    return 20 * np.log10(np.linalg.norm(found.response - truth) / np.linalg.norm(truth))


def test_check_2_strided_multi_input_h1():
    x, y, filters = strided()
    found = identification.h1(x, y, 2, 4000.0, length=512)
    assert found.inputs == 16
    assert relative_db(found, filters, 4000.0) <= -30
    assert found.adjusted[1:].min() >= 0.99  # segments are demeaned: 0 Hz holds only leakage


def test_check_2_fails_without_the_polyphase_split():
    """A deliberately wrong estimator: the inputs decimated, so that the other phases look like noise."""
    x, y, _ = strided()
    wrong = identification.h1(x[::2], y, 1, 2000.0, length=256)
    assert wrong.adjusted.mean() < 0.9


def test_check_2_coherence_of_independent_noise():
    rng = np.random.default_rng(2)
    found = identification.h1(rng.normal(size=(40_000, 8)), rng.normal(size=(20_000, 4)), 2, 4000.0, length=64)
    inner = slice(1, -1)  # at 0 Hz and at the Nyquist frequency spectra are real, with half the degrees of freedom
    assert found.coherence[inner].mean() == pytest.approx(found.inputs / found.segments, rel=0.2)
    assert abs(found.adjusted[inner].mean()) < 0.2 * found.inputs / found.segments


def test_h1_is_refused_without_enough_segments():
    rng = np.random.default_rng(3)
    with pytest.raises(transfer.TooFewSegments, match=r"64 inputs in 4 phases need 2560 segments.*tone probe"):
        identification.h1(rng.normal(size=(40_000, 64)), rng.normal(size=(10_000, 4)), 4, 4000.0)


def test_ratio_folds_the_input_to_the_outputs_rate():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(80_000, 1))
    found = transfer.ratio(x, 3 * x[::4], 4, SR)
    np.testing.assert_allclose(found.gain[1:], 3, rtol=0.2)  # unfolded, decimated white noise would give 6
    assert found.frequencies[-1] == SR / 8
    with pytest.raises(transfer.TooFewSegments, match="longer clips"):
        transfer.ratio(x[:100], x[:25], 4, SR)


def test_a_stage_of_a_network():
    model = filterbank(gabor_bank(mel_spaced(300, 5000, 3), 32), 4096, stride=4)
    maps = [feature_maps.compute(model, np.random.default_rng(i).normal(size=80_000) * 0.1) for i in range(2)]
    found = identification.h1([m.y[:, None] for m in maps], [m.maps["conv1"] for m in maps], 4, SR, length=256)
    (conv,) = transfer.weights(model, "conv1")
    assert relative_db(found, conv.weights, SR) < -30
    assert np.median(found.adjusted) > 0.99


@pytest.mark.parametrize("ratio", [-1, 0, 1])
def test_check_4_bussgang(ratio):
    rng = np.random.default_rng(5)
    h = rng.normal(size=16)
    sigma = np.linalg.norm(h)
    x = rng.normal(size=400_000)
    linear = np.convolve(x, h[::-1], mode="valid")
    y = np.maximum(linear + ratio * sigma, 0)
    found = identification.h1(x[: len(y), None], y[:, None], 1, SR, length=256)
    truth = transfer.ConvFilter("", h[:, None, None], np.zeros(1), 1, SR).response(found.frequencies)
    gain = np.vdot(truth, found.response).real / np.vdot(truth, truth).real
    assert abs(gain - norm.cdf(ratio)) < 0.01
    assert nonlinear.bussgang_gain(lambda z: np.maximum(z, 0), ratio * sigma, sigma) == pytest.approx(
        norm.cdf(ratio), abs=1e-4
    )


def test_check_5_energy_unit():
    rng = np.random.default_rng(6)
    time = (np.arange(64) - 31.5) / SR
    window = np.exp(-0.5 * (time / 6e-4) ** 2)
    pair = np.stack([window * np.cos(2 * np.pi * 1500 * time), window * np.sin(2 * np.pi * 1500 * time)], axis=1)
    x = rng.normal(size=200_000)
    windows = np.lib.stride_tricks.sliding_window_view(x, 64)
    a = np.square(windows @ pair).sum(axis=1)
    found = identification.h1(x[: len(a), None], a[:, None], 1, SR, length=256)
    assert found.adjusted.mean() < 0.05
    assert found.coherence.max() < 0.05
    vectors, values = nonlinear.energy_subspace(nonlinear.triggered_covariance(x, a, 64, 1))
    assert nonlinear.subspace_overlap(vectors, pair) > 0.99
    assert (values > 0).all()
    assert nonlinear.subspace_overlap(np.eye(64)[:, :2], pair) < 0.5


@pytest.fixture(scope="module")
def noisy():
    """H1 of known filters of 16 inputs that move together, with noise that makes up 31 % of the output's power."""
    rng = np.random.default_rng(7)
    filters = rng.normal(size=(5, 16, 4))
    xs, ys = [], []
    for _ in range(16):
        common = rng.normal(size=(1600, 1))
        x = common + 0.1 * rng.normal(size=(1600, 16))
        y = sum(np.roll(x, -tap, axis=0) @ filters[tap] for tap in range(5))
        xs.append(x)
        ys.append(y + np.sqrt(0.31 / 0.69) * y.std(axis=0) * rng.normal(size=y.shape))
    found = identification.h1(xs, ys, 1, 4000.0, length=64, pieces=[k // 2 for k in range(16)])
    truth = transfer.ConvFilter("", filters, np.zeros(1), 1, 4000.0).response(found.frequencies)
    return found, np.sqrt(np.square(np.abs(truth)).sum(axis=1))


def test_noise_does_not_add_to_a_gain(noisy):
    found, truth = noisy
    inner = slice(2, -1)
    bias = 10 * np.log10(np.square(found.gain[inner]).mean() / np.square(truth[inner]).mean())
    assert abs(bias) < 0.5
    plain = np.square(np.abs(found.response)).sum(axis=1)  # a deliberately wrong estimator: the noise's power adds up
    assert 10 * np.log10(plain[inner].mean() / np.square(truth[inner]).mean()) > 2.5


def test_intervals_of_gains_hold_the_truth(noisy):
    found, truth = noisy
    inside = (found.low <= truth) & (truth <= found.high)
    assert 0.88 < inside[2:-1].mean() <= 1


def test_what_filters_explain_is_measured_where_they_were_not_fitted(noisy):
    found, _ = noisy
    assert found.held_out.shape == (8, 4)
    np.testing.assert_allclose(found.linear_fraction(), 0.69, atol=0.05)
    value, low, high = found.median_fraction()
    assert low < value < high < 0.72 and value == pytest.approx(0.69, abs=0.05)
    rng = np.random.default_rng(8)
    nothing = identification.h1(rng.normal(size=(12_000, 16)), rng.normal(size=(12_000, 4)), 1, 4000.0)
    assert nothing.linear_fraction().max() == 0
    assert (nothing.low > 0).mean() < 0.1


def test_clips_of_a_piece_stay_in_one_fold():
    pieces = [f"piece {k // 2}" for k in range(20)]
    folds = identification.folds_of(pieces)
    assert sorted(set(folds)) == list(range(8)) and folds[::2] == folds[1::2]
    assert identification.folds_of(pieces[:14]) == [None] * 14
