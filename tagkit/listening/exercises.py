"""Exercises of the notebooks: a student's answers, checked against what tagkit itself computes."""

from collections.abc import Callable
from dataclasses import dataclass

import librosa
import numpy as np

from tagkit.analysis import geometry
from tagkit.data.windows import window_starts
from tagkit.graph import zoo


@dataclass(frozen=True)
class Exercise:
    """A question with a number for an answer.

    Attributes
    ----------
    answer : callable -> float
        Computes it.
    tolerance : float
        Relative to the answer.
    hint : str
        For who is wrong.
    """

    answer: Callable[[], float]
    hint: str
    tolerance: float = 0.01


def check(notebook: str, **answers: float) -> None:
    """Print which answers to the exercises of a notebook are right, and a hint for those that are not.

    Parameters
    ----------
    notebook
        Its number, such as ``"05"``.
    **answers
        A number for each exercise, by its name; ``...`` leaves it open.

    Raises
    ------
    ValueError
        There is no such notebook or exercise.

    Examples
    --------
    >>> check("14", folded_hz=300, halved_db=..., mel_of_1_khz=1000)
    folded_hz: right.
    halved_db: still open.
    mel_of_1_khz: not yet. Ask librosa.hz_to_mel, or count: below 1 kHz a mel is 200 / 3 Hz.
    """
    if notebook not in EXERCISES:
        raise ValueError(f"Notebook {notebook!r} has no exercises; those of {', '.join(EXERCISES)} have.")
    exercises = EXERCISES[notebook]
    if unknown := sorted(set(answers) - set(exercises)):
        raise ValueError(f"Notebook {notebook} has no exercise {unknown[0]!r}: it has {', '.join(exercises)}.")
    for name, exercise in exercises.items():
        print(f"{name}: {_verdict(exercise, answers.get(name, ...))}")


def _verdict(exercise: Exercise, given: object) -> str:
    if given is ...:
        return "still open."
    right = np.isclose(float(given), exercise.answer(), rtol=exercise.tolerance, atol=1e-9)
    return "right." if right else f"not yet. {exercise.hint}"


def _stage(model: str, name: str) -> geometry.Stage:
    return next(stage for stage in geometry.stages(zoo.build(model, n_tags=20)) if stage.name == name)


EXERCISES = {
    "02": {
        "windows_of_30_s": Exercise(
            lambda: len(window_starts(30 * 16_000, 38_832)),
            "Windows cover the whole clip, so the number is rounded up.",
            tolerance=0,
        ),
        "gigabytes": Exercise(
            lambda: np.dtype(np.int16).itemsize * 22_050 * 3_600 * 100 / 1e9,
            "Samples a second, seconds, and two bytes for each sample; a gigabyte is 1e9 bytes.",
        ),
        "folded_hz": Exercise(
            lambda: np.fft.rfftfreq(16_000, 1 / 16_000)[
                np.abs(np.fft.rfft(np.cos(2 * np.pi * 9_500 * np.arange(16_000) / 16_000))).argmax()
            ],
            "Frequencies above half the sampling rate come back mirrored at it.",
        ),
    },
    "05": {
        "resolution_hz": Exercise(lambda: 16_000 / 64, "The sampling rate over the length of the kernel."),
        "frames_of_dm128": Exercise(
            lambda: zoo.build("dm128").get_layer("conv1_conv").output.shape[1],
            "dm128 steps as far as its kernel is long, and a window has 38,832 samples; the padding adds the last one.",
            tolerance=0,
        ),
        "weights_of_dm64": Exercise(
            lambda: zoo.build("dm64").get_layer("conv1_conv").kernel.shape.num_elements(),
            "Samples of the kernel, times channels; the waveform has one channel.",
            tolerance=0,
        ),
    },
    "13": {
        "frames_a_second": Exercise(
            lambda: _stage("dm16", "conv1").frame_rate, "16,000 samples a second, and one frame every stride of conv1."
        ),
        "highest_raw_hz": Exercise(
            lambda: _stage("dm16", "conv2").nyquist_hz, "Half the frames a second of conv2: raw carries no more."
        ),
        "hears_ms": Exercise(
            lambda: 1_000 * _stage("dm16", "conv3").receptive_field / 16_000,
            "geometry.stages(model) has the receptive field of conv3 in samples.",
        ),
    },
    "14": {
        "folded_hz": Exercise(
            lambda: np.fft.rfftfreq(1_000, 1e-3)[
                np.abs(np.fft.rfft(np.cos(2 * np.pi * 700 * np.arange(1_000) / 1_000))).argmax()
            ],
            "A map with 1,000 frames a second carries up to 500 Hz; what is above comes back mirrored at it.",
        ),
        "halved_db": Exercise(lambda: 20 * np.log10(0.5), "20 log10 of the ratio of two amplitudes; mind the sign."),
        "mel_of_1_khz": Exercise(
            lambda: librosa.hz_to_mel(1_000), "Ask librosa.hz_to_mel, or count: below 1 kHz a mel is 200 / 3 Hz."
        ),
    },
}
