import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf
from python_speech_features import logfbank

from tagkit.graph.layers.features import LogFilterbank, LogMel

SR = 16_000


def music(seconds=2.5, seed=0):
    """Decaying harmonic notes over a little noise, int16 scale and type: what a recording looks like."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * SR)) / SR
    y = 0.003 * rng.normal(size=t.size)
    for start, pitch in zip(np.arange(0, seconds, 0.25), rng.uniform(100, 1500, 20), strict=False):
        age = np.maximum(t - start, 0)
        y += (t >= start) * np.exp(-4 * age) * sum(0.2 / k * np.sin(2 * np.pi * k * pitch * age) for k in range(1, 5))
    return (32767 * y / np.abs(y).max() * 0.8).astype(np.int16)


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def batch(y):
    return (y / 32768).astype("float32")[None, :, None]


@pytest.mark.parametrize(
    "options",
    [
        {"n_mels": 96},
        {"n_mels": 128},
        {"n_fft": 672, "hop_length": 341, "n_mels": 96, "fmax": 6000.0},
    ],
)
def test_log_mel_is_librosas(options):
    x = batch(music())
    names = {"n_fft": 512, "hop_length": 256, **options}
    mel = librosa.feature.melspectrogram(y=x[0, :, 0].astype("float64"), sr=SR, **names).T
    out = numpy(LogMel(sr=SR, **options)(x))[0]
    np.testing.assert_allclose(out, 10 * np.log10(np.maximum(mel, 1e-10)), atol=2e-3)  # dB
    out = numpy(LogMel(sr=SR, log="log10", **options)(x))[0]
    np.testing.assert_allclose(out, np.log10(1 + 10_000 * mel), atol=1e-4)


def test_silence_is_minus_100_db():
    np.testing.assert_allclose(numpy(LogMel()(np.zeros((1, 1000, 1), "float32"))), -100, rtol=1e-6)


@pytest.mark.parametrize("samples", [38_832, 40_000, 400, 399, 12_345])
def test_log_filterbank_is_python_speech_features(samples):
    y = music()[:samples]
    expected = logfbank(y, SR, nfilt=40)
    out = numpy(LogFilterbank()(batch(y)))[0]
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, atol=1e-4)


def test_log_filterbank_of_silence_and_of_noise_is_python_speech_features():
    noise = np.random.default_rng(0).integers(-20_000, 20_000, 8000).astype(np.int16)
    y = np.concatenate([np.zeros(4000, np.int16), noise])
    np.testing.assert_allclose(numpy(LogFilterbank()(batch(y)))[0], logfbank(y, SR, nfilt=40), atol=1e-4)


@pytest.mark.parametrize(("samples", "frames"), [(38_832, 242), (465_984, 2911)])
def test_frames_of_windows_and_clips(samples, frames):
    assert LogFilterbank().frames(samples) == frames


@pytest.mark.real_data
def test_log_filterbank_of_a_real_recording(real_data):
    from tagkit import audio

    path = sorted(p for p in real_data.rglob("*.mp3") if p.stat().st_size > 10_000)[0]
    y = audio.load_int16(path, sr=SR)
    np.testing.assert_allclose(numpy(LogFilterbank()(batch(y)))[0], logfbank(y, SR, nfilt=40), atol=1e-4)


@pytest.mark.parametrize("layer", [LogMel, LogFilterbank])
def test_layers_have_no_parameters_and_a_finite_gradient_in_the_waveform(layer):
    front = layer()
    x = tf.Variable(np.concatenate([batch(music(0.2)), np.zeros((1, 3200, 1), "float32")]))
    with tf.GradientTape() as tape:
        out = tf.reduce_sum(front(x))
    assert np.isfinite(tape.gradient(out, x).numpy()).all()
    assert front.weights == []


@pytest.mark.parametrize("layer", [LogMel(n_mels=20, log="log10"), LogFilterbank(n_filters=26)])
def test_layers_come_back_from_their_configuration(layer):
    x = batch(music(0.3))
    again = type(layer).from_config(layer.get_config())
    np.testing.assert_array_equal(numpy(layer(x)), numpy(again(x)))


def test_an_unknown_logarithm_is_refused():
    with pytest.raises(ValueError, match="no logarithm 'ln'"):
        LogMel(log="ln")
