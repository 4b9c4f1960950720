"""Sounds that excite a channel most.

Of every eighth channel of dm16's first three stages, trained on the demo: is a sound played, or refused? What is
played must excite the channel more than white noise of the same RMS, and within .1 dB as much as the best of 2,033 pure
tones or more. Energies are means of the squared map, computed with numpy from the weights, for sounds at every position
between two frames and for tones in five phases. At least 70 % of channels should be played.
"""

import numpy as np

from tagkit.analysis import maximisation
from validation import subjects
from validation.findings import Agreement, Rate
from validation.forward import forward, tones

RMS, SHORTFALL = 0.1, 10**-0.01
DENSE = np.geomspace(30, 7840, 2033)


def run(quick: bool) -> list[Agreement | Rate]:
    """Play channels, and compare each with noise and tones."""
    model = subjects.small() if quick else subjects.trained()
    found: list[Agreement | Rate] = []
    for stage in ("conv2",) if quick else ("conv1", "conv2", "conv3"):
        channels = range(0, model.get_layer(f"{stage}_conv").filters, 3 if quick else 8)
        found += _of_stage(model, stage, channels, DENSE[::4] if quick else DENSE)
    return found


def _of_stage(model, stage: str, channels: range, frequencies: np.ndarray) -> list[Agreement | Rate]:
    made = {channel: maximisation.maximise(model, stage, channel) for channel in channels}
    samples = next(iter(made.values())).y.shape[1]
    rng = np.random.default_rng(1)
    noise = _energies(model, stage, RMS * rng.normal(size=(32, samples))).mean(axis=0)
    tone = np.concatenate(
        [
            _energies(model, stage, tones(part, 5, samples, RMS)).reshape(len(part), 5, -1).mean(axis=1)
            for part in np.array_split(frequencies, -(-len(frequencies) // 32))
        ]
    ).max(axis=0)
    stride = samples // forward(model, np.zeros((1, samples)), stage).shape[1]
    played = {channel: _moved(model, stage, each.best, stride) for channel, each in made.items() if len(each.best)}
    above = [energies.min(axis=0)[c] for c, energies in played.items()]
    worst = max(made, key=lambda c: abs(10 * np.log10(made[c].tone / tone[c])))
    return [
        Rate(f"channels played, {stage} of {model.name}", len(played), len(made), 0.7, 1.0),
        Rate(
            f"above white noise, of those played, {stage} of {model.name}",
            int(sum(e > noise[c] for e, c in zip(above, played, strict=True))),
            len(played),
            1.0,
            1.0,
        ),
        Rate(
            f"within .1 dB of the best tone or above, of those played, {stage} of {model.name}",
            int(sum(e >= SHORTFALL * tone[c] for e, c in zip(above, played, strict=True))),
            len(played),
            1.0,
            1.0,
        ),
        Agreement(
            f"energy of the best tone, channel {worst} of {stage}, which differs most (dB)",
            10 * np.log10(made[worst].tone),
            10 * np.log10(tone[worst]),
            f"numpy, {len(frequencies)} tones",
            0.5,
        ),
    ]


def _energies(model, stage: str, x: np.ndarray) -> np.ndarray:
    """Mean of the squared map (waveforms, channels)."""
    return np.square(forward(model, x, stage)).mean(axis=1)


def _moved(model, stage: str, y: np.ndarray, stride: int) -> np.ndarray:
    """Energies (sounds, channels), averaged over every position between two frames."""
    return np.mean([_energies(model, stage, np.roll(y, shift, axis=1)) for shift in range(stride)], axis=0)
