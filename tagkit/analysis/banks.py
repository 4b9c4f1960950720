"""What training does to a learned filter bank: where its filters lie, how wide they are, how far both moved."""

from dataclasses import dataclass, field

import keras
import numpy as np

from tagkit.graph import sampling_rate
from tagkit.training.runs import Run

N_FFT = 1 << 14
QUARTERS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Filters:
    """The filters of a bank of pairs.

    Attributes
    ----------
    centre_hz : ndarray (filters,)
        Half of a pair's power lies below.
    width_hz : ndarray (filters,)
        The middle half of its power.
    kernels : ndarray (taps, 2 filters)
    """

    centre_hz: np.ndarray
    width_hz: np.ndarray
    kernels: np.ndarray = field(repr=False)


def filters(model: keras.Model) -> Filters:
    """The filters of a network with a learned bank; ValueError if it has none."""
    if "bank_conv" not in {layer.name for layer in model.layers}:
        raise ValueError(f"{model.name} has no learned filter bank; choose a network like tdfbank.")
    kernels = np.asarray(model.get_layer("bank_conv").kernel)[:, 0]
    power = np.abs(np.fft.rfft(kernels, N_FFT, axis=0)) ** 2
    pairs = power[:, : power.shape[1] // 2] + power[:, power.shape[1] // 2 :]
    share = np.cumsum(pairs, axis=0) / pairs.sum(axis=0)
    hz = np.fft.rfftfreq(N_FFT, 1 / sampling_rate(model))
    low, centre, high = (np.array([np.interp(q, column, hz) for column in share.T]) for q in QUARTERS)
    return Filters(centre, high - low, kernels)


def moved(run: Run) -> dict[str, float]:
    """How far the training of a run moved the filters of its bank, as medians over filters.

    Returns
    -------
    dict of str -> float
        "centre" and "width": octaves, whichever way. "width_ratio": after to before. "change": the share of a kernel's
        norm that is not the kernel as it was, at any level: 0 if only its level changed, as weight decay makes it, and
        1 if nothing of it is left.
    """
    before, after = (filters(run.model(trained)) for trained in (False, True))
    octaves = {
        name: float(np.median(np.abs(np.log2(getattr(after, f"{name}_hz") / getattr(before, f"{name}_hz")))))
        for name in ("centre", "width")
    }
    ratio = float(np.median(after.width_hz / before.width_hz))
    return octaves | {"width_ratio": ratio, "change": float(np.median(_change(before.kernels, after.kernels)))}


def _change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Of each kernel (taps, filters), the share of its norm that its own past cannot be scaled to."""
    a, b = before.astype(np.float64), after.astype(np.float64)
    own, now = np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0)
    direction = np.divide(a, own, out=np.zeros_like(a), where=own > 0)
    added = np.linalg.norm(b - direction * (direction * b).sum(axis=0), axis=0)
    return np.divide(added, now, out=np.zeros_like(now), where=now > 0)
