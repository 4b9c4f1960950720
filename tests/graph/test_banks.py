import dataclasses

import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf

from tagkit.graph import zoo
from tagkit.graph.layers.banks import Gabor, LogEnergy, Noise, Pcen
from tagkit.graph.specs import Bank

SR = 16_000


@pytest.fixture(scope="module")
def bank():
    return np.array(Gabor(SR)((1024, 1, 192)))[:, 0]


def test_filters_are_centred_on_the_mel_scale_and_as_wide_as_its_triangles(bank):
    response = np.abs(np.fft.rfft(bank[:, :96], 1 << 15, axis=0))
    hz = np.fft.rfftfreq(1 << 15, 1 / SR)
    edges = librosa.mel_frequencies(98, fmin=0, fmax=SR / 2)
    peaks = hz[response.argmax(axis=0)]
    # The lowest filters see their own mirror image at negative frequencies, hence a few Hz.
    np.testing.assert_allclose(peaks, edges[1:-1], atol=8)
    for i in (60, 80):  # far above the resolution of 1024 taps
        over_half = hz[response[:, i] > response[:, i].max() / 2]
        assert np.ptp(over_half) == pytest.approx((edges[i + 2] - edges[i]) / 2, rel=0.25)


def test_pairs_are_a_quarter_period_apart_and_no_tap_is_above_the_peak(bank):
    cosine, sine = bank[:, :96], bank[:, 96:]
    assert np.abs(bank).max() <= 64
    overlap = np.sum(cosine * sine, axis=0) / (np.linalg.norm(cosine, axis=0) * np.linalg.norm(sine, axis=0))
    assert np.abs(overlap).max() < 1e-4  # one is even, the other odd


def test_a_tone_gives_the_level_of_its_pair_whatever_its_phase(bank):
    i, t = 70, np.arange(1024) / SR
    hz = librosa.mel_frequencies(98, fmin=0, fmax=SR / 2)[i + 1]
    levels = []
    for phase in np.linspace(0, np.pi, 7):
        answer = (0.1 * np.sin(2 * np.pi * hz * t + phase)) @ bank
        levels.append(float(LogEnergy()(answer[None, None].astype("float32"))[0, 0, i]))
    assert np.ptp(levels) < 0.05  # dB
    assert levels[0] == pytest.approx(20 * np.log10(0.1 * np.abs(bank[:, i] + 1j * bank[:, 96 + i]).sum() / 2), abs=0.1)


def test_energy_is_averaged_before_the_logarithm():
    x = np.random.default_rng(0).normal(size=(2, 11, 6)).astype("float32")
    energy = (x[..., :3] ** 2 + x[..., 3:] ** 2)[:, :8].reshape(2, 2, 4, 3).mean(axis=2)
    np.testing.assert_allclose(LogEnergy(pool=4, floor=1e-5)(x), 10 * np.log10(energy + 1e-5), rtol=1e-5)


def test_silence_has_the_level_of_the_floor_and_a_finite_gradient():
    x = tf.Variable(np.zeros((1, 4, 6), "float32"))
    with tf.GradientTape() as tape:
        out = LogEnergy(floor=1e-5)(x)
    np.testing.assert_allclose(out, -50, rtol=1e-6)
    assert out.shape == (1, 4, 3)
    assert np.isfinite(tape.gradient(out, x).numpy()).all()


def test_every_tap_of_the_bank_is_trained():
    model = zoo.build("tdfbank", 5)
    names = [v.path for v in model.trainable_variables]
    assert "bank_conv/kernel" in names
    again = keras.models.clone_model(model)
    assert again.get_layer("bank_conv").kernel_initializer.get_config() == {"sr": SR, "peak": 64.0}


def test_a_lower_peak_lowers_the_bank_and_its_floor_alike():
    x = 0.1 * np.random.default_rng(2).normal(size=(1, 16_000, 1)).astype("float32")
    x[:, :4000] = 0
    front = {}
    for peak in (64.0, 1.0):
        model = zoo.build(dataclasses.replace(zoo.find("tdfbank"), name="b", frontend=Bank(peak=peak)), 5)
        upto = keras.Model(model.inputs[0], model.get_layer("bank_energy").output)
        front[peak] = np.asarray(upto(np.resize(x, (1, model.input_shape[1], 1))))
    np.testing.assert_allclose(front[64.0] - 20 * np.log10(64), front[1.0], atol=0.01)


def test_noise_has_the_energy_of_the_filters_in_whose_place_it_is(bank):
    noise = np.array(Noise(SR, seed=3)((1024, 1, 192)))[:, 0]
    np.testing.assert_allclose(np.square(noise).sum(axis=0), np.square(bank).sum(axis=0), rtol=1e-4)
    assert np.array_equal(noise, np.array(Noise(SR, seed=3)((1024, 1, 192)))[:, 0])
    assert abs(np.corrcoef(noise[:, 5], noise[:, 6])[0, 1]) < 0.2


def test_pcen_is_what_its_formula_says_sample_by_sample():
    x = np.random.default_rng(1).normal(size=(2, 24, 6)).astype("float32") * 30
    layer = Pcen(pool=4, floor=0.16, smoothing=0.1)
    found = np.asarray(layer(x))
    energy = (x[..., :3] ** 2 + x[..., 3:] ** 2).reshape(2, 6, 4, 3).mean(axis=2).astype(float)
    for frame in range(6):
        weights = 0.9 ** np.arange(frame, -1, -1)
        past = (weights[:, None] * energy[:, : frame + 1]).sum(axis=1) / weights.sum()
        expected = (energy[:, frame] / (0.16 + past) ** 0.98 + 2) ** 0.5 - 2**0.5
        np.testing.assert_allclose(found[:, frame], expected, rtol=1e-4, atol=1e-5)
    assert found.shape == layer.compute_output_shape((2, 24, 6)) and len(layer.trainable_variables) == 3
    louder = np.asarray(layer(3 * x))[:, 1:]
    assert np.abs(louder - found[:, 1:]).max() < 0.1 * np.abs(found).max(), "the level of the past is taken out"


def test_banks_differ_in_what_is_trained():
    from tagkit.studies.plans import BANKS

    trained = {}
    for name, row in BANKS.items():
        model = zoo.build(row, 5)
        trained[name] = {v.path for v in model.trainable_variables}
        kernels = np.asarray(model.get_layer("bank_conv").kernel)
        gabor = np.asarray(Gabor(SR, row.frontend.peak)(kernels.shape))
        assert np.allclose(kernels, gabor, atol=1e-4) != ("noise" in name)
    for name, paths in trained.items():
        assert ("bank_conv/kernel" in paths) == ("filters trained" in name)
        assert any("log_a" in path for path in paths) == ("PCEN trained" in name)
    with pytest.raises(ValueError, match="bank of odd knows no 'cubic': take one of log, pcen, pcen_fixed"):
        zoo.build(dataclasses.replace(BANKS["filters fixed, log"], name="odd", frontend=Bank(compression="cubic")), 5)
