"""What linear identification sees of a non-linear stage, and how to find the subspace that it cannot see."""

from collections.abc import Callable

import numpy as np


def bussgang_gain(activation: Callable[[np.ndarray], np.ndarray], bias: float, sigma: float) -> float:
    """Factor by which white-noise H1 through an activation scales the filter before it.

    Parameters
    ----------
    activation : callable
        On arrays; a maximum with 0 gives ``Phi(bias / sigma)``.
    bias, sigma : float
        Mean and standard deviation of what enters the activation.

    Notes
    -----
    Bussgang's theorem: for Gaussian z, ``E[g(z) (z - bias)] / sigma^2``, here by quadrature on a fine grid.
    """
    z = np.linspace(-8, 8, 16001)
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return float(np.sum(activation(bias + sigma * z) * z * density) * (z[1] - z[0]) / sigma)


def triggered_covariance(x: np.ndarray, a: np.ndarray, taps: int, stride: int, first: int = 0) -> np.ndarray:
    """Covariance of the input windows that drive a unit, minus that of all windows (taps, taps).

    Parameters
    ----------
    x : ndarray (samples,)
        White noise.
    a : ndarray (frames,)
        The unit's answer.
    taps : int
        Samples in a window: the receptive field.
    stride : int
        Samples from one window to the next.
    first : int
        Sample at which the window of frame 0 starts.

    References
    ----------
    Schwartz, Pillow, Rust & Simoncelli, "Spike-triggered neural characterization", Journal of Vision 2006. Activations
    stand in the place of spikes, so that their weights may be negative.
    """
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(x, np.float64), taps)
    starts = first + stride * np.arange(len(a))
    inside = (starts >= 0) & (starts < len(windows))
    windows, drive = windows[starts[inside]], np.asarray(a, np.float64)[inside]
    drive = drive - drive.mean()
    return (windows * drive[:, None]).T @ windows / (len(drive) * drive.std() + 1e-30)


def energy_subspace(covariance: np.ndarray, dimensions: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """The filters that an energy unit squares: eigenvectors (taps, dimensions) of the largest ``|eigenvalues|``.

    Returns
    -------
    vectors : ndarray (taps, dimensions)
        Orthonormal.
    values : ndarray (dimensions,)
    """
    values, vectors = np.linalg.eigh(covariance)
    order = np.argsort(-np.abs(values))[:dimensions]
    return vectors[:, order], values[order]


def subspace_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of the largest angle between two subspaces, given by bases (taps, dimensions); 1 if they are the same."""
    one, _ = np.linalg.qr(a)
    other, _ = np.linalg.qr(b)
    return float(np.linalg.svd(one.T @ other, compute_uv=False).min())
