"""Networks beside each other: similarity of their stages, and the channels that tell a tag."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from tagkit.plots.style import COLOURS, QUIET, SEQUENTIAL, axes_or_new


def similarity(
    value: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    low: np.ndarray | None = None,
    high: np.ndarray | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "How alike do two networks represent the clips?",
    ax: Axes | None = None,
) -> Axes:
    """Draw a matrix of CKA values; each cell says its value, and half of its interval where that is given.

    Parameters
    ----------
    value : array (rows, columns)
        1 where two stages represent the clips alike, about 0 where they know nothing of each other.
    rows, columns : sequence of str
        Names of the stages of the one and of the other network.
    low, high : array (rows, columns), optional
        95 % interval.
    xlabel, ylabel, title : str
    ax : Axes, optional
    """
    ax = axes_or_new(ax, width=2.2 + 0.8 * len(columns), height=1.4 + 0.5 * len(rows))
    mesh = ax.imshow(value, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto", origin="lower")
    ax.figure.colorbar(mesh, ax=ax, label="CKA", pad=0.01)
    half = None if low is None or high is None else (np.asarray(high) - np.asarray(low)) / 2
    for (i, j), each in np.ndenumerate(value):
        words = f"{each:.2f}" + ("" if half is None else f"\n±{half[i, j]:.2f}")
        colour = "white" if each > 0.5 else "#20262e"
        ax.text(j, i, words.replace("0.", "."), ha="center", va="center", fontsize=8, color=colour)
    ax.set_xticks(range(len(columns)), columns, rotation=45 if len(columns) > 6 else 0)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


def by_stage(
    stages: Sequence[str],
    networks: Mapping[str, Sequence[tuple[float, float, float]]],
    *,
    untrained: str | None = None,
    ylabel: str = "",
    title: str = "Stage by stage",
    ax: Axes | None = None,
) -> Axes:
    """Draw one number for every stage of some networks, with its interval.

    Parameters
    ----------
    stages : sequence of str
        In order; a network with fewer stages ends earlier.
    networks : dict of str -> sequence of (value, low, high)
        By label, one triple a stage.
    untrained : str, optional
        The network that is drawn in grey.
    ylabel, title : str
    ax : Axes, optional
    """
    ax = axes_or_new(ax, height=3.4)
    colours = iter(COLOURS)
    for i, (label, triples) in enumerate(networks.items()):
        value, low, high = np.array([tuple(triple) for triple in triples]).T
        x = np.arange(len(value)) + 0.08 * (i - (len(networks) - 1) / 2)
        colour = QUIET if label == untrained else next(colours)
        ax.errorbar(
            x, value, [value - low, high - value], fmt="o-", color=colour, label=label, capsize=2, linewidth=1.2
        )
    ax.set_xticks(range(len(stages)), stages)
    ax.set(title=title, xlabel="stage", ylabel=ylabel)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def tag_channels(
    best: Mapping[str, Mapping[str, float]],
    *,
    untrained: str | None = None,
    title: str = "The channel that tells each tag best",
    ax: Axes | None = None,
) -> Axes:
    """Draw for every tag the ROC-AUC of the best single channel of each network.

    Parameters
    ----------
    best : dict of str -> dict of str -> float
        By network and tag.
    untrained : str, optional
        The network that is drawn in grey.
    title : str
    ax : Axes, optional
    """
    first = next(iter(best.values()))
    tags = sorted(first, key=lambda tag: np.nan_to_num(first[tag]))
    ax = axes_or_new(ax, width=7.0, height=0.9 + 0.27 * len(tags))
    colours = iter(COLOURS)
    for network, aucs in best.items():
        colour = QUIET if network == untrained else next(colours)
        ax.plot([aucs.get(tag, np.nan) for tag in tags], range(len(tags)), "o", color=colour, label=network, alpha=0.9)
    ax.axvline(0.8, color=QUIET, linewidth=0.8, linestyle=":")
    ax.set_yticks(range(len(tags)), tags)
    ax.set(title=title, xlabel="ROC-AUC of one channel on held-out clips", ylabel="tag", xlim=(0.48, 1.02))
    ax.grid(axis="y")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax
