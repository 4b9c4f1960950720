"""Networks beside each other: similarity of their stages, and the channels that tell a tag."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from tagkit.plots.style import QUIET, SEQUENTIAL, axes_or_new, legend_beside, looks


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
    networks: Mapping[str, Mapping[str, tuple[float, float, float]] | Sequence[tuple[float, float, float]]],
    *,
    untrained: str | None = None,
    ylabel: str = "",
    title: str = "Stage by stage",
    ax: Axes | None = None,
) -> Axes:
    """Draw one number for every stage of some networks, with its interval.

    What cannot be negative is drawn from 0. A single network has no legend.

    Parameters
    ----------
    stages : sequence of str
        Names on the axis, in order.
    networks : dict of str -> dict of str -> (value, low, high)
        By label and stage, each network's stages in order. A stage that is not among `stages` follows the one before
        it, and its name stands beside its point. Bare triples, without names, are those of the first of `stages`.
    untrained : str, optional
        The network that is drawn in grey, below the others.

    Raises
    ------
    ValueError
        There are more bare triples than stages.
    """
    ax = axes_or_new(ax, height=3.4)
    lowest = []
    for i, (look, found) in enumerate(zip(looks(networks, untrained), networks.values(), strict=True)):
        if len(found) > len(stages) and not isinstance(found, Mapping):
            raise ValueError(
                f"{look['label']}: {len(found)} values, stages named: {len(stages)}; give its values by stage."
            )
        names = list(found if isinstance(found, Mapping) else stages[: len(found)])
        triples = found.values() if isinstance(found, Mapping) else found
        value, low, high = np.array([tuple(triple) for triple in triples]).T
        x = _places(names, list(stages)) + min(0.08, 0.7 / len(networks)) * (i - (len(networks) - 1) / 2)
        ax.errorbar(x, value, [value - low, high - value], capsize=2, linewidth=1.2, **look)
        lowest.append(np.min(low[np.isfinite(low)], initial=0))
        for name, *point in zip(names, x, value, strict=True):
            if name not in stages:
                ax.annotate(
                    name, point, (7, 0), textcoords="offset points", va="center", fontsize=9, color=look["color"]
                )
    ax.set_xticks(range(len(stages)), stages)
    ax.set(title=title, xlabel="stage", ylabel=ylabel)
    if min(lowest) >= 0:
        ax.set_ylim(bottom=0)
    if len(networks) > 1:
        legend_beside(ax)
    return ax


def _places(names: Sequence[str], stages: Sequence[str]) -> np.ndarray:
    """Where a network's stages stand among `stages`: unknown ones between neighbours, or a step beyond the end."""
    known = {i: stages.index(name) for i, name in enumerate(names) if name in stages} or {0: 0}
    own = np.arange(len(names))
    first, last = min(known), max(known)
    places = np.interp(own, list(known), list(known.values()))
    return places + np.minimum(own - first, 0) + np.maximum(own - last, 0)


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
        The network that is drawn in grey, below the others.
    """
    first = next(iter(best.values()))
    tags = sorted(first, key=lambda tag: np.nan_to_num(first[tag]))
    ax = axes_or_new(ax, width=7.0, height=0.9 + 0.27 * len(tags))
    for look, aucs in zip(looks(best, untrained), best.values(), strict=True):
        ax.plot([aucs.get(tag, np.nan) for tag in tags], range(len(tags)), linestyle="none", alpha=0.9, **look)
    ax.axvline(0.8, color=QUIET, linewidth=0.8, linestyle=":")
    ax.set_yticks(range(len(tags)), tags)
    ax.set(title=title, xlabel="ROC-AUC of one channel on held-out clips", ylabel="tag", xlim=(0.48, 1.02))
    ax.grid(axis="y")
    legend_beside(ax)
    return ax
