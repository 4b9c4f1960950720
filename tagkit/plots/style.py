"""Colours, fonts and line widths of all pictures."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from tagkit.system import files, paths

# Okabe and Ito (2008), distinct with every kind of colour blindness; the first is the listening page's accent.
COLOURS = ("#0f6e74", "#d55e00", "#0072b2", "#cc79a7", "#e69f00", "#009e73", "#56b4e9", "#000000")
QUIET = "#8a8f98"
SEQUENTIAL = "mako_r"
DIVERGING = "vlag"
MARKERS = ("o", "s", "^", "D")


def use_style() -> None:
    """Set tagkit's look for all pictures drawn from now on."""
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette=list(COLOURS),
        rc={
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.titlesize": 12,
            "axes.labelsize": 11,
            "axes.grid": False,
            "text.parse_math": False,  # names of files and tags may hold dollar signs
            "grid.color": "#e6e3da",
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.frameon": False,
            "figure.dpi": 100,
            "savefig.bbox": "tight",
            "image.cmap": "mako_r",
        },
    )


def axes_or_new(ax: Axes | None, width: float = 8.0, height: float = 3.0) -> Axes:
    """`ax`, or the Axes of a new figure of this size in inches."""
    if ax is not None:
        return ax
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def legend_beside(ax: Axes, **settings: object) -> None:
    """Put the legend to the right of the axes, where it covers no data; `settings` as for `Axes.legend`."""
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), **settings)


def looks(networks: Iterable[str], untrained: str | None) -> Iterator[dict]:
    """Each network's label, colour, marker and height; after eight colours the marker changes.

    The untrained network is grey and lies below the others.
    """
    styles = itertools.cycle(itertools.product(MARKERS, COLOURS))
    for name in networks:
        marker, colour = ("o", QUIET) if name == untrained else next(styles)
        yield {"label": name, "color": colour, "marker": marker, "zorder": 1.8 if name == untrained else 2}


def logarithmic(axis: Axis) -> None:
    """Make an axis logarithmic, with plain numbers at its powers of ten."""
    (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
    axis.set_major_formatter(lambda value, _: f"{value:,.9g}")
    axis.set_minor_formatter(lambda *_: "")


def frequency_axis(axis: Axis, fmin_hz: float, fmax_hz: float) -> None:
    """Make an axis logarithmic in Hz, with ticks at 1, 2 and 5 of each decade (500, 1k, 2k)."""
    ticks = [step * 10**power for power in range(0, 5) for step in (1, 2, 5)]
    shown = [tick for tick in ticks if fmin_hz <= tick <= fmax_hz]
    logarithmic(axis)
    (axis.axes.set_xlim if axis.axis_name == "x" else axis.axes.set_ylim)(fmin_hz, fmax_hz)
    axis.set_ticks(shown, labels=[f"{tick // 1000}k" if tick >= 1000 else str(tick) for tick in shown])
    axis.set_ticks([], minor=True)
    axis.set_label_text("frequency (Hz)")


def save(axes: Axes | np.ndarray, name: str) -> Path:
    """Save the figure of some Axes as NAME.png in `paths.figures_dir`; returns the path."""
    return save_figure(np.ravel(axes)[0].figure, paths.figures_dir() / f"{name}.png")


def save_figure(figure: Figure, path: str | Path, dpi: int = 110) -> Path:
    """Save a figure atomically, in the format of the path's suffix; returns the path."""
    path = Path(path)
    with files.atomic(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
    return path
