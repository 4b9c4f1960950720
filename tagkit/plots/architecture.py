"""A network as a row of boxes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from tagkit.plots.style import COLOURS, QUIET, axes_or_new


def architecture(
    stages: Sequence[tuple[str, int, int]],
    *,
    samples: int,
    outputs: int,
    title: str = "Architecture",
    ax: Axes | None = None,
) -> Axes:
    """Draw a network as boxes from left to right: as wide as a stage is long, as high as it has channels.

    Both sides grow with the logarithm, so that 38,832 samples and 4 frames fit into one picture.

    Parameters
    ----------
    stages : sequence of (name, frames, channels)
    samples : int
        Length of the waveform.
    outputs : int
        Number of tags.
    """
    boxes = [("waveform", samples, 1), *stages, ("tags", 1, outputs)]
    ax = axes_or_new(ax, width=max(7.0, 1.15 * len(boxes)), height=3.4)
    widths = [0.35 + 0.16 * np.log2(frames + 1) for _, frames, _ in boxes]
    heights = [0.25 + 0.2 * np.log2(channels) for _, _, channels in boxes]
    x = 0.0
    for i, ((name, frames, channels), width, height) in enumerate(zip(boxes, widths, heights, strict=True)):
        at_end = i in (0, len(boxes) - 1)
        ax.add_patch(
            FancyBboxPatch(
                (x, -height / 2),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=0.06",
                facecolor=QUIET if at_end else COLOURS[0],
                edgecolor="none",
                alpha=0.85,
                gid=name,
            )
        )
        ax.text(x + width / 2, max(heights) / 2 + 0.12, name, ha="center", va="bottom", fontsize=10, fontweight="bold")
        size = f"{frames:,}\nx {channels:,}" if frames > 1 or not at_end else f"{channels:,}"
        ax.text(x + width / 2, -max(heights) / 2 - 0.12, size, ha="center", va="top", fontsize=9, color="#444a52")
        if i < len(boxes) - 1:
            ax.annotate(
                "", (x + width + 0.3, 0), (x + width + 0.04, 0), arrowprops={"arrowstyle": "->", "color": QUIET}
            )
        x += width + 0.34
    ax.set(
        title=f"{title} (frames x channels)",
        xlim=(-0.1, x - 0.24),
        ylim=(-max(heights) / 2 - 0.8, max(heights) / 2 + 0.5),
    )
    ax.set_axis_off()
    return ax
