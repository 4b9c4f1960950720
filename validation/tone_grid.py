"""Centre frequencies of channels, and the grid of tones.

dm16, trained on the demo, hears 128 tones and further ones around its channels' peaks. A centre that holds should be
that of a grid of 2,033 tones, computed with numpy from the weights: within 1/12 octave, or at a frequency where the
channel answers within .25 dB of its maximum, since two peaks of one height leave the choice between them to the grid.
The rates of 128 tones alone stand beside it; they say what a fixed grid would do.
"""

import numpy as np

from tagkit.analysis import spectra
from validation import subjects
from validation.findings import Rate
from validation.forward import forward, tones

SAMPLES, AMPLITUDE = 8_000, 0.1


def run(quick: bool) -> list[Rate]:
    """Count the centres that a dense grid confirms."""
    model = subjects.small(1) if quick else subjects.trained()
    stages = ("conv1", "conv2") if quick else ("conv1", "conv2", "conv3")
    dense = np.geomspace(30, 7840, 509 if quick else 2033)
    probe = spectra.tone_probe(model, list(stages), levels_dbfs=(-20.0,))
    return [rate for stage in stages for rate in _of_stage(model, stage, probe, dense)]


def _of_stage(model, stage: str, probe: spectra.ToneProbe, dense: np.ndarray) -> list[Rate]:
    curve = _curve(model, stage, dense)
    grid = probe.frequencies[probe.curve(stage).argmax(axis=0)]
    tuned = probe.tuning(stage)
    held = np.isfinite(tuned.centre_hz)
    near = _confirmed(dense, curve, np.where(held, tuned.centre_hz, grid))
    fixed = _confirmed(dense, curve, grid).sum()
    return [
        Rate(f"centre that holds is the dense grid's, {stage}", int(near[held].sum()), int(held.sum()), 0.98, 1.0),
        Rate(f"centre that holds, {stage}", int(held.sum()), len(held), 0.7, 1.0),
        Rate(f"loudest of 128 tones is the dense grid's, {stage}", int(fixed), len(held), 0.0, 1.0),
    ]


def _confirmed(dense: np.ndarray, curve: np.ndarray, centres_hz: np.ndarray) -> np.ndarray:
    """Whether the dense grid's maximum (channels,) is at these centres, or no more than .25 dB above what is there."""
    octaves = np.log2(dense)
    close = np.abs(octaves[curve.argmax(axis=0)] - np.log2(centres_hz)) <= 1 / 12
    step = octaves[1] - octaves[0]
    around = np.abs(octaves[:, None] - np.log2(centres_hz)) <= step
    there = np.where(around, curve, 0).max(axis=0)
    return close | (there >= 10 ** (-0.25 / 20) * curve.max(axis=0))


def _curve(model, stage: str, frequencies: np.ndarray) -> np.ndarray:
    """Root mean square deviation from silence (tones, channels), over five phases and the frames that see no edge."""
    rest = forward(model, np.zeros((1, SAMPLES)), stage)[0]
    edge = -(-2048 * len(rest) // SAMPLES)
    found = []
    for part in np.array_split(frequencies, -(-len(frequencies) // 32)):
        maps = forward(model, tones(part, 5, SAMPLES, AMPLITUDE / np.sqrt(2)), stage) - rest
        maps = maps[:, edge:-edge].reshape(len(part), -1, maps.shape[-1])
        found.append(np.sqrt(np.square(maps).mean(axis=1)))
    return np.concatenate(found)
