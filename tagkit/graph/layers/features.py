"""Inputs inside the graph: log-mel, the predecessor's log filterbank energies, and windows made alike in level.

All are parameter-free Keras layers on a waveform (batch, samples, 1), float32 whatever the precision policy,
differentiable with respect to the waveform; spectrograms are (batch, frames, bands).
"""

import keras
import librosa
import numpy as np
from keras import KerasTensor, ops


class Spectral(keras.layers.Layer):
    """Frames, real FFT, power, a matrix of bands. Subclasses say how; analysis reads the geometry from here.

    A frame n covers samples n * hop_length - pad to n * hop_length - pad + frame_length.
    """

    frame_length: int
    hop_length: int
    n_fft: int
    pad: int = 0

    def __init__(self, **kwargs: object):
        kwargs["dtype"] = "float32"  # an FFT in half precision is no spectrogram
        super().__init__(**kwargs)

    def build(self, input_shape: tuple) -> None:
        """Compute the bands and the window."""
        # Kept as numpy and turned into a tensor in call: a tensor made here would belong to the graph it was made in.
        self._bands = np.ascontiguousarray(self.bands().T, dtype=np.float32)
        self._window = np.asarray(self.window(), dtype=np.float32)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Shape (batch, frames, bands) for `input_shape` (batch, samples, 1)."""
        samples = input_shape[1]
        return (input_shape[0], None if samples is None else self.frames(samples), self.n_bands)

    def power(self, y: KerasTensor) -> KerasTensor:
        """Power spectrum of each frame of `y`, (batch, samples): (batch, frames, n_fft / 2 + 1)."""
        frames = ops.extract_sequences(y, self.frame_length, self.hop_length) * self._window
        if self.n_fft > self.frame_length:
            frames = ops.pad(frames, ((0, 0), (0, 0), (0, self.n_fft - self.frame_length)))
        real, imag = ops.rfft(frames, fft_length=self.n_fft)
        return ops.square(real) + ops.square(imag)

    def macs(self, frames: int) -> int:
        """Multiplications for `frames` frames: a real FFT as n_fft log2(n_fft), plus the non-zero band weights."""
        return int(frames * (self.n_fft * np.log2(self.n_fft) + np.count_nonzero(self.bands())))


@keras.saving.register_keras_serializable(package="tagkit")
class LogMel(Spectral):
    """Log-mel spectrogram, as librosa computes it.

    Equal to ``librosa.feature.melspectrogram(y, center=True, power=2)`` (Hann window, zero padding, Slaney mel scale
    and area normalisation), then a logarithm. Frame n is centred at sample n * hop_length.

    Parameters
    ----------
    sr
        Hz.
    fmin, fmax
        Hz; `fmax` None is sr / 2.
    log
        "db": 10 log10(max(S, 1e-10)) (`librosa.power_to_db` with ref 1, no top_db);
        "log10": log10(1 + 10000 S) (MusiCNN's).
    htk
        HTK's mel scale without normalisation by area (torchaudio's default).
    reflect
        Mirror the waveform at its ends, where librosa pads with zeros.
    """

    def __init__(
        self,
        sr: int = 16_000,
        n_fft: int = 512,
        hop_length: int = 256,
        n_mels: int = 96,
        fmin: float = 0.0,
        fmax: float | None = None,
        log: str = "db",
        htk: bool = False,
        reflect: bool = False,
        **kwargs: object,
    ):
        super().__init__(**kwargs)
        if log not in ("db", "log10"):
            raise ValueError(f"LogMel knows no logarithm {log!r}: take 'db' or 'log10'.")
        self.sr, self.n_fft, self.hop_length, self.n_mels = sr, n_fft, hop_length, n_mels
        self.fmin, self.fmax, self.log, self.htk, self.reflect = fmin, fmax, log, htk, reflect
        self.frame_length, self.pad, self.n_bands = n_fft, n_fft // 2, n_mels

    def bands(self) -> np.ndarray:
        """Mel weights (n_mels, n_fft / 2 + 1)."""
        kind = {"htk": True, "norm": None} if self.htk else {}
        return librosa.filters.mel(
            sr=self.sr, n_fft=self.n_fft, n_mels=self.n_mels, fmin=self.fmin, fmax=self.fmax, **kind
        )

    def window(self) -> np.ndarray:
        """Periodic Hann window (n_fft,)."""
        return librosa.filters.get_window("hann", self.n_fft, fftbins=True)

    def frames(self, samples: int) -> int:
        """Frames of an input of `samples` samples."""
        return 1 + (samples + 2 * self.pad - self.frame_length) // self.hop_length

    def call(self, x: KerasTensor) -> KerasTensor:
        """Map `x`, (batch, samples, 1), to (batch, frames, n_mels)."""
        y = ops.pad(x[..., 0], ((0, 0), (self.pad, self.pad)), mode="reflect" if self.reflect else "constant")
        mel = ops.matmul(self.power(y), self._bands)
        if self.log == "db":
            return 10.0 * ops.log10(ops.maximum(mel, 1e-10))
        return ops.log10(1.0 + 10_000.0 * mel)

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        names = ("sr", "n_fft", "hop_length", "n_mels", "fmin", "fmax", "log", "htk", "reflect")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="tagkit")
class LogFilterbank(Spectral):
    """Log filterbank energies, equal to ``python_speech_features.logfbank(y * 32768, sr, nfilt=40)``.

    25 ms frames every 10 ms, no window, pre-emphasis .97, 512-point FFT, 40 triangles on the mel scale, natural
    logarithm; an energy of zero counts as 2.2e-16. The last frame is filled with zeros. The waveform in [-1, 1) is
    scaled to int16's range first, as the predecessor computed it.

    Parameters
    ----------
    sr
        Hz.
    """

    def __init__(
        self, sr: int = 16_000, n_filters: int = 40, n_fft: int = 512, preemphasis: float = 0.97, **kwargs: object
    ):
        super().__init__(**kwargs)
        self.sr, self.n_filters, self.n_fft, self.preemphasis = sr, n_filters, n_fft, preemphasis
        self.frame_length, self.hop_length, self.n_bands = round(0.025 * sr), round(0.010 * sr), n_filters

    def bands(self) -> np.ndarray:
        """Triangles (n_filters, n_fft / 2 + 1) between FFT bins at equal steps of 2595 log10(1 + f / 700)."""
        mels = np.linspace(0, 2595 * np.log10(1 + self.sr / 2 / 700), self.n_filters + 2)
        edges = np.floor((self.n_fft + 1) * 700 * (10 ** (mels / 2595) - 1) / self.sr)
        bins = np.arange(self.n_fft // 2 + 1)
        low, mid, high = (edges[i : i + self.n_filters, None] for i in range(3))
        with np.errstate(divide="ignore", invalid="ignore"):  # edges may coincide; such a slope holds no bin
            rising = np.where((bins >= low) & (bins < mid), (bins - low) / (mid - low), 0)
            falling = np.where((bins >= mid) & (bins < high), (high - bins) / (high - mid), 0)
        return rising + falling

    def window(self) -> np.ndarray:
        """Ones (frame_length,)."""
        return np.ones(self.frame_length)

    def frames(self, samples: int) -> int:
        """Frames of an input of `samples` samples."""
        return 1 + max(0, -(-(samples - self.frame_length) // self.hop_length))

    def call(self, x: KerasTensor) -> KerasTensor:
        """Map `x`, (batch, samples, 1), to (batch, frames, n_filters)."""
        y = 32768.0 * x[..., 0]
        y = ops.concatenate([y[:, :1], y[:, 1:] - self.preemphasis * y[:, :-1]], axis=1)
        samples = x.shape[1]
        if samples is None:
            raise ValueError("LogFilterbank needs to know its input's length: build the model with samples=... given.")
        fill = (self.frames(samples) - 1) * self.hop_length + self.frame_length - samples
        energy = ops.matmul(self.power(ops.pad(y, ((0, 0), (0, fill)))) / self.n_fft, self._bands)
        return ops.log(ops.where(energy > 0, energy, float(np.finfo(float).eps)))

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        names = ("sr", "n_filters", "n_fft", "preemphasis")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="tagkit")
class Standardize(keras.layers.Layer):
    """Each window with mean 0 and variance 1, as CREPE takes its frames; (batch, samples, 1) both ways.

    A window of digital silence stays silent: the standard deviation counts as 1e-8 at least.
    """

    def __init__(self, **kwargs: object):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)

    def call(self, x: KerasTensor) -> KerasTensor:
        """Subtract the mean of each window and divide by its standard deviation."""
        x = x - ops.mean(x, axis=1, keepdims=True)
        return x / ops.maximum(ops.sqrt(ops.mean(ops.square(x), axis=1, keepdims=True)), 1e-8)
