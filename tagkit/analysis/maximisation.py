"""What excites a channel most, whatever the clip: gradient ascent from noise and from the best pure tone.

A stage reads the waveform at every `stride` samples, so a sound near a multiple of the frame rate excites a channel or
not, depending on where it lies between two frames. Every energy here is an average over such positions.
"""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from scipy import signal

from tagkit.analysis import geometry
from tagkit.analysis.attribution import Channel, Score, energy
from tagkit.analysis.feature_maps import select
from tagkit.analysis.tones import filled

SHORTFALL_DB = 0.1  # a sound that excites a channel less than the best tone, by more than this, is not played
TONES, PHASES, PEAKS = 128, 5, 6
MOST_TONE_SAMPLES = 2**23  # of a coarse grid that is denser than `TONES`
NOISES = 8
POSITIONS_A_STEP, SAMPLES_A_STEP = 4, 2**17  # long stages are tried at fewer positions a step
SAMPLES_AT_ONCE = 2**19
MOST_SAMPLES = 2**22  # in which a stage with a long stride is measured, at fewer positions than it has


@dataclass(frozen=True)
class Maximised:
    """Inputs that excite a channel most, best first, beside what any sound of that level does.

    Attributes
    ----------
    y : ndarray (seeds + 1, samples)
        One from each seed and one from the best tone, each where it lies best between two frames.
    energy : ndarray (seeds + 1,)
        Mean of a_c^2 over frames and positions.
    peak_hz : float
        Peak of the mean power spectrum.
    noise, tone : float
        The same energy for white noise and for the best pure tone, at the RMS of `y`.
    tone_hz : float
        That tone.
    silence : float
        The energy in silence.
    """

    y: np.ndarray
    energy: np.ndarray
    peak_hz: float
    noise: float
    tone: float
    tone_hz: float
    silence: float

    @property
    def over_tone_db(self) -> np.ndarray:
        """How far each input lies above the best pure tone (seeds + 1,)."""
        return 10 * np.log10(np.maximum(self.energy, 1e-30) / max(self.tone, 1e-30))

    @property
    def best(self) -> np.ndarray:
        """Those inputs that excite the channel more than noise and silence do, and at least as much as any tone."""
        level = (self.energy > max(self.noise, self.silence)) & (self.over_tone_db >= -SHORTFALL_DB)
        return self.y[level]

    @property
    def refusal(self) -> str:
        """Why none of the inputs excites the channel most, as a sentence without its full stop; "" if one does."""
        if len(self.best):
            return ""
        if not self.energy.max() > 0:
            return "it responds to nothing, so nothing maximises it"
        if self.energy.max() <= self.silence:
            return f"no sound excites it more than silence does ({self.energy.max():.3g} against {self.silence:.3g})"
        if self.energy.max() <= self.noise:
            return f"gradient ascent found nothing better than white noise ({self.energy.max():.3g}, {self.noise:.3g})"
        return (
            f"gradient ascent ended {-self.over_tone_db.max():.1f} dB below a pure tone of {self.tone_hz:.0f} Hz, so "
            "it has not found the maximum"
        )


def ascend(unit: Channel, x: np.ndarray, score: Score, steps: int, seed: int) -> np.ndarray:
    """Gradient ascent of `score` from waveforms `x` (batch, samples, 1), each of which keeps its RMS.

    Every step follows the mean gradient at a few positions between two frames, drawn anew, so that the answer hangs on
    none of them. Steps shrink from twice the RMS to a fortieth of it: the first ones leave the start behind, the last
    ones settle.

    Parameters
    ----------
    unit : Channel
    x : ndarray (batch, samples, 1)
    score : callable
        From the channel's maps (batch, frames) to one number each (batch,), in TensorFlow; for example
        `attribution.energy`.
    seed : int
        Of the positions.

    Returns
    -------
    ndarray (batch, samples, 1)
    """
    rng = np.random.default_rng(seed)
    rms, samples = _rms(x), x.shape[1]
    taper = signal.windows.tukey(samples, 0.1)[None, :, None]
    positions = int(np.clip(SAMPLES_A_STEP // samples, 1, POSITIONS_A_STEP))
    slope = tf.function(lambda moved: unit.slope(moved, score)[1])
    for size in np.geomspace(2, 0.025, steps):
        shifts = rng.permutation(unit.stage.stride)[:positions]
        moved = np.concatenate([np.roll(x, shift, axis=1) for shift in shifts]).astype(np.float32)
        parts = np.split(slope(tf.constant(moved)).numpy(), len(shifts))
        gradient = taper * sum(np.roll(part, -shift, axis=1) for part, shift in zip(parts, shifts, strict=True))
        x = x + size * rms * gradient / np.maximum(_rms(gradient), 1e-30)
        x = x * rms / _rms(x)
    return x


def maximise(
    model: keras.Model,
    stage: str,
    channel: int,
    *,
    seeds: int = 4,
    steps: int = 64,
    rms: float = 0.1,
    seconds: float | None = None,
) -> Maximised:
    """Activation maximisation: the input that excites a channel most, by gradient ascent from noise and the best tone.

    Parameters
    ----------
    seeds : int
        At least 4 starting points of noise: what all of them agree on is the channel's, the rest is chance.
    rms : float
        The waveform's, 0.1 is 20 dB below full scale; held fixed.
    seconds : float, optional
        Default: the receptive field and 16 more frames, at least .25.

    Raises
    ------
    ValueError
        `seeds` is below 4, or `Channel` refuses the stage.
    IndexError
        The stage has no such channel.
    """
    if seeds < 4:
        raise ValueError(
            f"{seeds} seeds cannot tell what excites a channel from what chance began with; use 4 or more."
        )
    (place,) = select(geometry.stages(model), [stage])
    samples = int(seconds * place.sr) if seconds else max(place.receptive_field + 16 * place.stride, place.sr // 4)
    unit = Channel(model, stage, channel, samples)
    tone_hz, tone = _best_tone(unit, samples, rms)
    rng = np.random.default_rng(channel)
    noise = rng.normal(size=(max(seeds, NOISES), samples, 1))
    noise *= rms / _rms(noise)
    pure = _tones(np.array([tone_hz]), 1, samples, place.sr, rms)
    x = ascend(unit, np.concatenate([noise[:seeds], pure]), energy, steps, seed=channel)
    x, found = _settled(unit, np.concatenate([x, pure]))
    frequencies, power = signal.periodogram(x, place.sr, "hann", nfft=4 * samples)
    return Maximised(
        y=x,
        energy=found,
        peak_hz=float(frequencies[power.mean(axis=0).argmax()]),
        noise=float(_energies(unit, noise).mean()),
        tone=tone,
        tone_hz=tone_hz,
        silence=float(_energies(unit, np.zeros((1, samples, 1)))[0]),
    )


def _rms(x: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(x).mean(axis=1, keepdims=True))


def _energies(unit: Channel, x: np.ndarray) -> np.ndarray:
    """Mean of a^2 for waveforms (batch, samples, 1), as they are."""
    at_once = max(SAMPLES_AT_ONCE // x.shape[1], 1)
    parts = [x[start : start + at_once].astype(np.float32) for start in range(0, len(x), at_once)]
    return np.concatenate([energy(unit(tf.constant(part))).numpy() for part in parts]).astype(np.float64)


def _tones(frequencies: np.ndarray, phases: int, samples: int, sr: int, rms: float) -> np.ndarray:
    """Pure tones (tones * phases, samples, 1); two phases are a quarter of a period apart, more are spread evenly."""
    shift = 2 * np.pi * np.arange(phases) / max(phases, 4 if phases == 2 else phases)
    angle = 2 * np.pi * frequencies[:, None, None] * np.arange(samples) / sr + shift[:, None]
    waves = np.sin(angle).reshape(-1, samples, 1)
    return waves * (rms / _rms(waves))


def _best_tone(unit: Channel, samples: int, rms: float) -> tuple[float, float]:
    """The pure tone that excites the channel most, and its energy: a coarse grid, then finer ones around its best.

    The coarse grid leaves no room for a peak between two tones, as far as `MOST_TONE_SAMPLES` allow.
    """
    sr = unit.stage.sr
    most = max(MOST_TONE_SAMPLES // (2 * samples), TONES)
    grid = filled(np.geomspace(30, 0.98 * sr / 2, TONES), sr, unit.stage.receptive_field, most)
    found = _of_tones(unit, grid, 2, samples, rms)
    for peaks in (PEAKS, 1):
        around = ((grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)]) for i in np.argsort(found)[-peaks:])
        grid = np.unique(np.concatenate([np.linspace(low, high, 9) for low, high in around]))
        found = _of_tones(unit, grid, PHASES, samples, rms)
    return float(grid[found.argmax()]), float(found.max())


def _of_tones(unit: Channel, frequencies: np.ndarray, phases: int, samples: int, rms: float) -> np.ndarray:
    """Mean over phases of the energy at each frequency."""
    at_once = max(SAMPLES_AT_ONCE // (phases * samples), 1)
    parts = (frequencies[start : start + at_once] for start in range(0, len(frequencies), at_once))
    found = [_energies(unit, _tones(part, phases, samples, unit.stage.sr, rms)) for part in parts]
    return np.concatenate(found).reshape(-1, phases).mean(axis=1)


def _settled(unit: Channel, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Waveforms (rows, samples) with their energies, best first, and each where it lies best between two frames.

    Of the last two rows, the ascent from a tone and that tone, the better one is kept.
    """
    stride = unit.stage.stride
    most = int(np.clip(MOST_SAMPLES // x[..., 0].size, 4, stride))
    shifts = np.random.default_rng(0).permutation(stride)[:most]
    every = np.stack([_energies(unit, np.roll(x, shift, axis=1)) for shift in shifts])
    mean = every.mean(axis=0)
    rows = np.delete(np.arange(len(x)), len(x) - 1 - int(mean[-1] > mean[-2]))
    rows = rows[np.argsort(-mean[rows], kind="stable")]
    best = shifts[every.argmax(axis=0)]
    return np.stack([np.roll(x[row, :, 0], best[row]) for row in rows]), mean[rows]
