"""Tags over time, and how far their scores can be trusted."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from tagkit.plots.style import COLOURS, QUIET, SEQUENTIAL, axes_or_new, legend_beside


def taggram(
    scores: np.ndarray,
    starts_s: np.ndarray,
    window_s: float,
    tags: Sequence[str],
    *,
    duration_s: float | None = None,
    title: str = "Tags over time",
    ax: Axes | None = None,
) -> Axes:
    """Draw the score of each tag in each window as a heat map, the first tag on top.

    Each column stands around the middle of its window; neighbouring ones meet halfway. Beyond five minutes the axis
    counts minutes.

    Parameters
    ----------
    scores : array (windows, tags)
        In [0, 1].
    starts_s : array (windows,)
        Where each window begins, in seconds.
    window_s : float
        Length of a window in seconds.
    tags : sequence of str (tags,)
    duration_s : float, optional
        Where the picture ends; by default with the last window.
    """
    ax = axes_or_new(ax, height=1.0 + 0.3 * len(tags))
    centres = np.asarray(starts_s) + window_s / 2
    end = duration_s or starts_s[-1] + window_s
    edges = np.concatenate([[0.0], (centres[:-1] + centres[1:]) / 2, [end]])
    rows = np.arange(len(tags) + 1) - 0.5
    unit, per_unit = ("min", 60) if end > 300 else ("s", 1)
    image = ax.pcolormesh(
        edges / per_unit, rows, np.asarray(scores).T, cmap=SEQUENTIAL, vmin=0, vmax=1, rasterized=True
    )
    ax.figure.colorbar(image, ax=ax, label="score", pad=0.01)
    ax.set_yticks(range(len(tags)), tags)
    ax.set(title=title, xlabel=f"time ({unit})", xlim=(0, end / per_unit), ylim=(len(tags) - 0.5, -0.5))
    ax.grid(False)
    return ax


def reliability(
    mean_score: np.ndarray,
    share: np.ndarray,
    pairs: np.ndarray,
    *,
    title: str = "Are the scores probabilities?",
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of right tags against their score, one dot for each bin, larger where more were scored so.

    Bars are 95 % intervals of the share (Wilson, 1927), as if pairs of the same clip knew nothing of each other.

    Parameters
    ----------
    mean_score, share : arrays (bins,)
        NaN where a bin is empty.
    pairs : array of int (bins,)
        Pairs of clip and tag in each bin, written beside its dot, on the side away from the diagonal.
    """
    ax = axes_or_new(ax, width=7.2, height=4.6)
    ax.plot([0, 1], [0, 1], color=QUIET, linestyle=":", label="as often right as it says")
    area = 20 + 180 * np.sqrt(pairs / max(np.max(pairs), 1))
    ax.scatter(mean_score, share, s=area, color=COLOURS[0], zorder=3)
    there = np.asarray(pairs) > 0
    x, low, high = (np.asarray(each)[there] for each in (mean_score, *_wilson(share, pairs)))
    ax.vlines(x, low, high, color=COLOURS[0], linewidth=1, alpha=0.6, label="95 % interval")
    for x, y, n, size in zip(mean_score, share, pairs, area, strict=True):
        if n:
            away = (np.sqrt(size) / 2 + 3) * (-1 if y > x else 1)
            side = "right" if y > x else "left"
            ax.annotate(
                f"{n:,}", (x, y), (away, 0), textcoords="offset points", ha=side, va="center", fontsize=8, color=QUIET
            )
    ax.set(title=title, xlabel="score", ylabel="share that is right", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    legend_beside(ax)
    return ax


def _wilson(share: np.ndarray, n: np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of binomial shares of n, 95 % unless z says otherwise; it never leaves [0, 1]."""
    share, n = np.asarray(share, float), np.maximum(n, 1)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return middle - half, middle + half
