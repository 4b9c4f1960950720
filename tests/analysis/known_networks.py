"""Small networks whose right answers are known, named as the zoo names its layers."""

import keras
import librosa
import numpy as np

SR = 16000


def mel_spaced(fmin_hz: float, fmax_hz: float, n: int) -> np.ndarray:
    return librosa.mel_frequencies(n, fmin=fmin_hz, fmax=fmax_hz, htk=True)


def sampled(*args, **kwargs) -> keras.Model:
    """A network of waveforms at 16 kHz."""
    model = keras.Model(*args, **kwargs)
    model.sr = SR
    return model


def gabor_bank(centres_hz: np.ndarray, taps: int = 1024, q: float = 4.0) -> np.ndarray:
    """Gabor filters (taps, filters) of unit gain at their centre, with a -3 dB bandwidth of centre / q."""
    time = (np.arange(taps) - (taps - 1) / 2)[:, None] / SR
    spread = np.sqrt(np.log(2)) / (np.pi * centres_hz / q)
    window = np.exp(-0.5 * (time / spread) ** 2)
    return window * np.cos(2 * np.pi * centres_hz * time) * 2 / window.sum(axis=0)


def spectrum(weights: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Gain (tones, filters) of filters (taps, filters), straight from the definition."""
    angle = 2 * np.pi * frequencies[:, None] * np.arange(len(weights)) / SR
    return np.abs(np.exp(1j * angle) @ weights)


def filterbank(weights: np.ndarray, samples: int, stride: int = 1, activation=None, pool: int | None = None):
    """One stage, conv1: these filters (taps, filters), an activation, a pool."""
    source = keras.Input((samples, 1), name="waveform")
    conv = keras.layers.Conv1D(
        weights.shape[1], len(weights), strides=stride, use_bias=False, activation=activation, name="conv1_conv"
    )
    x = conv(source)
    if pool:
        x = keras.layers.MaxPooling1D(pool, name="conv1_pool")(x)
    model = sampled(source, x, name="filterbank")
    conv.set_weights([weights[:, None, :].astype(np.float32)])
    return model


def layer(kind, stage: str, op: str, *args, **kwargs):
    return kind(*args, name=f"{stage}_{op}", **kwargs)


def small_tagger(samples: int = 4096, tags: int = 5) -> keras.Model:
    """Four conv stages (strides 4, 12, 36, 72), one dilated and residual, then flatten and dense; odd batch norms."""
    from keras import layers as kl

    source = x = keras.Input((samples, 1), name="waveform")
    x = layer(kl.Conv1D, "conv1", "conv", 8, 16, strides=4, padding="same")(x)
    x = layer(kl.BatchNormalization, "conv1", "norm")(x)
    x = layer(kl.ELU, "conv1", "elu")(x)
    for stage, width, pool in (("conv2", 8, 3), ("conv3", 12, 3), ("conv4", 16, 2)):
        skip = x
        x = layer(kl.Conv1D, stage, "conv", width, 3, padding="same", dilation_rate=2 if stage == "conv2" else 1)(x)
        x = layer(kl.BatchNormalization, stage, "norm")(x)
        if stage == "conv2":
            x = layer(kl.Add, stage, "add")([x, skip])
        x = layer(kl.ReLU, stage, "relu")(x)
        x = layer(kl.MaxPooling1D, stage, "pool", pool)(x)
    x = layer(kl.Flatten, "dense1", "flatten")(x)
    x = layer(kl.Dropout, "dense1", "dropout", 0.5)(x)
    x = layer(kl.Dense, "logits", "dense", tags)(x)
    model = sampled(source, x, name="small_tagger")
    rng = np.random.default_rng(0)
    for norm in [item for item in model.layers if isinstance(item, kl.BatchNormalization)]:
        shape = norm.get_weights()[0].shape
        values = (rng.uniform(0.5, 1.5, shape), rng.normal(0, 0.1, shape), rng.normal(0, 0.05, shape))
        norm.set_weights([*values, rng.uniform(0.5, 2, shape)])
    return model
