"""Several small pictures in one figure."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from tagkit.plots.style import COLOURS


def grid(rows: int = 3, columns: int = 3, *, width: float = 10.0, height: float = 6.0, title: str = "") -> np.ndarray:
    """The Axes (rows, columns) of a new figure of this size in inches, with shared axes."""
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return axes


def channel_grid(
    maps: np.ndarray,
    times_s: np.ndarray,
    channels: Sequence[int],
    *,
    labels: Sequence[str] | None = None,
    title: str = "Nine channels over time",
    axes: np.ndarray | None = None,
) -> np.ndarray:
    """Draw up to nine channels of a stage over time in a 3 x 3 grid, each between its own extremes.

    Parameters
    ----------
    maps : array (frames, channels)
    times_s : array (frames,)
        Centre of each frame in seconds.
    channels : sequence of int
        Up to nine.
    labels : sequence of str, optional
        One for each of `channels`, for example centre frequencies.
    axes : array (3, 3) of Axes, optional

    Returns
    -------
    array (3, 3) of Axes

    Raises
    ------
    ValueError
        More than nine channels are named.
    """
    if len(channels) > 9:
        raise ValueError(f"A 3 x 3 grid holds 9 channels, not {len(channels)}; leave some out.")
    axes = grid(title=title) if axes is None else axes
    places: list[Axes] = list(axes.flat)
    for i, channel in enumerate(channels):
        values = maps[:, channel]
        low, high = values.min(), values.max()
        places[i].plot(times_s, (values - low) / (high - low if high > low else 1), color=COLOURS[0], linewidth=0.8)
        places[i].set_title(f"channel {channel}" + (f", {labels[i]}" if labels is not None else ""), fontsize=10)
    for empty in places[len(channels) :]:
        empty.set_axis_off()
    for ax in axes[-1]:
        ax.set_xlabel("time (s)")
    for ax in axes[:, 0]:
        ax.set_ylabel("activity")
        ax.set_yticks([])
    return axes
