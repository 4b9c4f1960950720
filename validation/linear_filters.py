"""Linear filters identified from signals.

Filters that are known, of inputs that move together, with noise that makes up 31 % of the output's power. The gain of
a channel (root sum of squares over its inputs) should be right on average: noise adds to the square of an estimate, so
the plain gain, which stands beside it, is too high. Intervals should hold the true gain in .90 of frequencies and
channels at least. What the filters explain in held-out pieces is compared with least squares by scipy on the samples,
fitted to some pieces and scored on others, and a channel of noise alone should never be said to be linear.
"""

import numpy as np
from scipy import linalg

from tagkit.analysis import identification
from validation.findings import Agreement, Rate

TAPS, INPUTS, OUTPUTS, PIECES, FRAMES, LENGTH = 5, 16, 4, 16, 1_600, 64
NOISE, TRIALS, QUICK_TRIALS = 0.31, 60, 3


def run(quick: bool) -> list[Agreement | Rate]:
    """Identify filters again and again."""
    trials = QUICK_TRIALS if quick else TRIALS
    inside, held, gains, plain, fractions, lines = [], [], [], [], [], []
    for seed in range(trials):
        xs, ys, filters = _pieces(np.random.default_rng(seed))
        found = identification.h1(xs, ys, 1, 1.0, length=LENGTH)
        truth = _gain(filters, found.frequencies)
        inner = slice(2, -1)
        hits = ((found.low <= truth) & (truth <= found.high))[inner]
        inside.append(hits[::8].sum())  # windowed segments make neighbouring frequencies say the same
        held.append(hits[::8].size)
        power = np.square(truth[inner]).mean()
        gains.append(10 * np.log10(np.square(found.gain[inner]).mean() / power))
        plain.append(10 * np.log10(np.square(np.abs(found.response)).sum(axis=1)[inner].mean() / power))
        fractions.append(found.linear_fraction().mean())
        lines.append(_least_squares(xs, ys))
    noise = [np.random.default_rng(k).normal(size=y.shape) for k, y in enumerate(ys)]
    nothing = identification.h1(xs, noise, 1, 1.0, length=LENGTH)
    fraction = float(np.mean(fractions)), float(np.mean(lines))
    return [
        Agreement("gain over the true one, mean of all (dB)", float(np.mean(gains)), 0.0, "known filters", 0.3),
        Agreement("linear fraction in held-out pieces", *fraction, "scipy", 0.04),
        Agreement("linear fraction of noise", float(nothing.linear_fraction().max()), 0.0, "known", 0.005),
        Rate("interval holds the true gain", int(np.sum(inside)), int(np.sum(held)), 0.90, 1.0),
        Rate("plain gain is more than 1 dB too high", int((np.array(plain) > 1).sum()), trials, 0.0, 1.0),
    ]


def _pieces(rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Inputs and outputs of every piece, and the filters (taps, inputs, outputs)."""
    filters = rng.normal(size=(TAPS, INPUTS, OUTPUTS))
    xs, ys = [], []
    for _ in range(PIECES):
        x = rng.normal(size=(FRAMES, 1)) + 0.1 * rng.normal(size=(FRAMES, INPUTS))
        y = sum(np.roll(x, -tap, axis=0) @ filters[tap] for tap in range(TAPS))
        xs.append(x)
        ys.append(y + np.sqrt(NOISE / (1 - NOISE)) * y.std(axis=0) * rng.normal(size=y.shape))
    return xs, ys, filters


def _gain(filters: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Root sum of squares over inputs of the frequency response (bins, outputs), from the definition."""
    turn = np.exp(2j * np.pi * frequencies[:, None] * np.arange(TAPS))
    return np.sqrt(np.square(np.abs(np.einsum("ft,tco->fco", turn, filters))).sum(axis=1))


def _least_squares(xs: list[np.ndarray], ys: list[np.ndarray]) -> float:
    """Share of the power that filters of the right length explain in pieces that they were not fitted to."""
    lagged = [np.concatenate([np.roll(x, -tap, axis=0) for tap in range(TAPS)], axis=1) for x in xs]
    shares = []
    for out in range(0, PIECES, 4):
        rest = [k for k in range(PIECES) if k != out]
        fit, *_ = linalg.lstsq(np.concatenate([lagged[k] for k in rest]), np.concatenate([ys[k] for k in rest]))
        shares.append(1 - np.square(ys[out] - lagged[out] @ fit).mean() / np.square(ys[out]).mean())
    return float(np.mean(shares))
