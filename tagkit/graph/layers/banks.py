"""A filter bank that is learned from the waveform but starts as the ear's: Gabor filters along the mel scale.

Zeghidour et al. 2018, Learning filterbanks from raw speech for phone recognition, ICASSP: a convolution with pairs of
filters (cosine and sine), the energy of each pair, a logarithm. Only the start is prescribed; every tap is trained.
"""

import keras
import librosa
import numpy as np
from keras import KerasTensor, ops

FWHM = 2 * np.sqrt(2 * np.log(2))  # full width at half maximum of a Gaussian, in standard deviations
PEAK, FLOOR = 64.0, 0.16  # of filters, and of their energy: they belong together


@keras.saving.register_keras_serializable(package="tagkit")
class Gabor(keras.initializers.Initializer):
    """Kernels (taps, 1, 2 n): n cosines under a Gaussian and a Hann window, then the n sines beside them.

    Centres lie at equal steps of Slaney's mel scale from 0 to sr / 2, with the bandwidth of the mel triangle there but
    at least sr / taps. A step of Adam moves every tap by about the learning rate, however small its gradient: filters
    with a `peak` of .5 lose their shape within a few hundred steps, tall ones are refined. The network behind does not
    mind, for a level is a constant behind the logarithm, and batch norm removes it.

    Parameters
    ----------
    sr
        Hz.
    peak
        Of the envelope, before training.
    """

    def __init__(self, sr: int = 16_000, peak: float = PEAK):
        self.sr, self.peak = sr, peak

    def __call__(self, shape: tuple[int, int, int], dtype: str | None = None) -> KerasTensor:
        """Kernels of `shape`, (taps, 1, 2 n)."""
        taps, _, filters = shape
        edges = librosa.mel_frequencies(filters // 2 + 2, fmin=0, fmax=self.sr / 2)
        bandwidth = np.maximum((edges[2:] - edges[:-2]) / 2, self.sr / taps)
        t = (np.arange(taps)[:, None] - (taps - 1) / 2) / self.sr
        envelope = np.exp(-((2 * np.pi * bandwidth / FWHM * t) ** 2) / 2) * np.hanning(taps)[:, None]
        phase = 2 * np.pi * edges[1:-1] * t
        bank = self.peak * np.concatenate([envelope * np.cos(phase), envelope * np.sin(phase)], axis=1)
        return ops.convert_to_tensor(bank[:, None], dtype or "float32")

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {"sr": self.sr, "peak": self.peak}


@keras.saving.register_keras_serializable(package="tagkit")
class Noise(keras.initializers.Initializer):
    """White noise, kernels (taps, 1, 2 n), each with the energy of the kernel that `Gabor` has in its place.

    Parameters
    ----------
    sr
        Hz.
    peak
        Of the Gabor filters.
    """

    def __init__(self, sr: int = 16_000, peak: float = PEAK, seed: int = 0):
        self.sr, self.peak, self.seed = sr, peak, seed

    def __call__(self, shape: tuple[int, int, int], dtype: str | None = None) -> KerasTensor:
        """Kernels of `shape`, (taps, 1, 2 n)."""
        energy = ops.sum(ops.square(Gabor(self.sr, self.peak)(shape, dtype)), axis=0, keepdims=True)
        noise = keras.random.normal(shape, dtype=dtype or "float32", seed=self.seed)
        return noise * ops.sqrt(energy / ops.sum(ops.square(noise), axis=0, keepdims=True))

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {"sr": self.sr, "peak": self.peak, "seed": self.seed}


@keras.saving.register_keras_serializable(package="tagkit")
class LogEnergy(keras.layers.Layer):
    """10 log10(mean(a^2 + b^2) + floor) of pairs (a, b) over `pool` frames, without overlap, in float32.

    From (batch, frames, 2 n) to (batch, frames // pool, n). The mean makes up for short filters: those of the treble
    last for a few milliseconds, and would hear little of the time between two frames.

    Parameters
    ----------
    pool
        Frames.
    floor
        Energy below which nothing is told apart; also what keeps the gradient finite. Behind `Gabor`'s filters .16
        is that of a tone 85 (treble: 73) dB below full scale.
    """

    def __init__(self, pool: int = 1, floor: float = FLOOR, **kwargs: object):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.pool, self.floor = pool, floor

    def call(self, x: KerasTensor) -> KerasTensor:
        """Map `x`, (batch, frames, 2 n), to (batch, frames // pool, n)."""
        return 10.0 * ops.log10(self.energy(x) + self.floor)

    def energy(self, x: KerasTensor) -> KerasTensor:
        """Mean energy of the pairs in `x`, (batch, frames, 2 n): (batch, frames // pool, n)."""
        cosine, sine = ops.split(ops.square(x), 2, axis=-1)
        return ops.average_pool(cosine + sine, self.pool, padding="valid", data_format="channels_last")

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Half the channels, and one frame of each `pool` frames."""
        batch, frames, channels = input_shape
        return batch, None if frames is None else frames // self.pool, channels // 2

    def frame_geometry(self) -> tuple[int, int, int]:
        """Kernel, stride and padding, in frames of the input."""
        return self.pool, self.pool, 0

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {**super().get_config(), "pool": self.pool, "floor": self.floor}


@keras.saving.register_keras_serializable(package="tagkit")
class Pcen(LogEnergy):
    """Energies of pairs, each divided by its own recent past, then compressed: (E / (floor + M)^a + d)^r - d^r.

    Per-channel energy normalisation of Wang et al. 2017, Trainable frontend for robust and far-field keyword spotting,
    ICASSP. M is the mean of the energy so far, weighted by (1 - s)^age; a, d and r are trained for every band and start
    at the paper's .98, 2 and .5. Shapes as for `LogEnergy`.

    Parameters
    ----------
    pool, floor
        As for `LogEnergy`.
    smoothing
        s, for each frame of the output: .08 of 32 ms is the paper's .025 of 10 ms.
    """

    STARTS = (("a", 0.98), ("d", 2.0), ("r", 0.5))

    def __init__(self, pool: int = 1, floor: float = FLOOR, smoothing: float = 0.08, **kwargs: object):
        super().__init__(pool, floor, **kwargs)
        self.smoothing = smoothing

    def build(self, input_shape: tuple) -> None:
        """Make the logarithms of a, d and r, one each for every band."""
        bands = (input_shape[-1] // 2,)
        self.logs = [
            self.add_weight(shape=bands, initializer=keras.initializers.Constant(np.log(start)), name=f"log_{name}")
            for name, start in self.STARTS
        ]
        super().build(input_shape)

    def call(self, x: KerasTensor) -> KerasTensor:
        """Map `x`, (batch, frames, 2 n), to (batch, frames // pool, n)."""
        energy = self.energy(x)
        past = ops.swapaxes(ops.matmul(ops.swapaxes(energy, 1, 2), self._weights(energy.shape[1])), 1, 2)
        a, d, r = map(ops.exp, self.logs)
        return ops.power(energy * ops.power(self.floor + past, -a) + d, r) - ops.power(d, r)

    def _weights(self, frames: int | None) -> np.ndarray:
        """What each frame (rows) counts in the mean at each frame (columns)."""
        if frames is None:
            raise ValueError("PCEN needs to know its input's length: build the model with samples=... given.")
        age = np.arange(frames) - np.arange(frames)[:, None]
        weights = np.where(age >= 0, (1 - self.smoothing) ** np.maximum(age, 0), 0)
        return (weights / weights.sum(axis=0)).astype(np.float32)

    def get_config(self) -> dict:
        """Return the constructor's arguments."""
        return {**super().get_config(), "smoothing": self.smoothing}
