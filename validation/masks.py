"""Errors of masks and of their controls.

A mask's re-encoding error says how much of a channel's activity the masked clip does not excite. Beside it stands the
smaller error of two sounds that point at nothing: the whole clip turned down to the masked clip's energy, and silence.
librosa applies the mask, and numpy computes the channel from the weights.
"""

import librosa
import numpy as np

from tagkit.analysis import attribution
from validation import subjects
from validation.findings import Agreement
from validation.forward import forward

TOLERANCE = 1e-3


def run(quick: bool) -> list[Agreement]:
    """Compare single errors."""
    model, stages = (subjects.small(2), ("conv2",)) if quick else (subjects.trained(), ("conv1", "conv3"))
    rng = np.random.default_rng(0)
    time = np.arange(16_384) / subjects.SR
    y = 0.2 * np.sin(2 * np.pi * 900 * time) * (time > 0.5) + 0.05 * rng.normal(size=time.shape)
    return [finding for stage in stages for finding in _of_channel(model, y.astype(np.float32), stage)]


def _of_channel(model, y: np.ndarray, stage: str) -> list[Agreement]:
    before = forward(model, y[None], stage)[0]
    channel = int(before.std(axis=0).argmax())
    found = attribution.masked(model, y, stage, channel)
    spectrum = librosa.stft(y.astype(np.float64), n_fft=1024, hop_length=256, dtype=np.complex128)
    frames = spectrum.shape[1]
    inside = found.mask[:, _first_frame(found.mask.shape[1], frames) :][:, :frames]
    heard = librosa.istft(spectrum * inside, n_fft=1024, hop_length=256, length=len(y))
    down = y * np.linalg.norm(heard) / np.linalg.norm(y)
    names = ("error of the mask", "error of the clip turned down", "error of silence")
    tool = (found.error, found.turned_down, found.silence)
    rows = []
    for name, number, sound in zip(names, tool, (heard, down, np.zeros(len(y))), strict=True):
        gap = forward(model, sound[None], stage)[0, :, channel] - before[:, channel]
        error = float(np.linalg.norm(gap) / np.linalg.norm(before[:, channel]))
        source = "librosa, numpy"
        rows.append(Agreement(f"{name}, channel {channel} of {stage}", number, error, source, TOLERANCE))
    return rows


def _first_frame(frames: int, centred: int) -> int:
    """scipy's transform begins with frames that lie before librosa's first one."""
    return (frames - centred + 1) // 2
