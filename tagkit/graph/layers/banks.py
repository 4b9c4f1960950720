"""A filter bank that is learned from the waveform but starts as the ear's: Gabor filters along the mel scale.

Zeghidour et al. 2018, Learning filterbanks from raw speech for phone recognition, ICASSP: a convolution with pairs of
filters (cosine and sine), the energy of each pair, a logarithm. Only the start is prescribed; every tap is trained.
"""

import keras
import librosa
import numpy as np
from keras import KerasTensor, ops

FWHM = 2 * np.sqrt(2 * np.log(2))  # full width at half maximum of a Gaussian, in standard deviations


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

    def __init__(self, sr: int = 16_000, peak: float = 64.0):
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

    def __init__(self, pool: int = 1, floor: float = 0.16, **kwargs: object):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.pool, self.floor = pool, floor

    def call(self, x: KerasTensor) -> KerasTensor:
        """Map `x`, (batch, frames, 2 n), to (batch, frames // pool, n)."""
        cosine, sine = ops.split(ops.square(x), 2, axis=-1)
        energy = ops.average_pool(cosine + sine, self.pool, padding="valid", data_format="channels_last")
        return 10.0 * ops.log10(energy + self.floor)

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
