"""Many networks in one picture: scores, scores of each tag, and what a score costs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from tagkit.plots.labels import Label, place
from tagkit.plots.style import COLOURS, QUIET, SEQUENTIAL, axes_or_new, legend_beside, logarithmic


def score_ranking(
    names: Sequence[str],
    values: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    kinds: Sequence[str],
    seeds: Sequence[Sequence[float]] | None = None,
    reference: tuple[str, float] | None = None,
    metric: str = "macro ROC-AUC",
    title: str = "Scores on held-out clips",
    ax: Axes | None = None,
) -> Axes:
    """Draw the scores of many networks with intervals, the best on top, coloured by kind.

    Parameters
    ----------
    names : sequence of str (networks,)
    values, low, high : arrays (networks,)
        Score (mean over seeds) and interval.
    kinds : sequence of str (networks,)
        What the colours mean, for example "raw" and "mel".
    seeds : sequence of sequences, optional
        The scores of each network's seeds, drawn as small ticks.
    reference : (str, float), optional
        Name and value of a published or earlier score, drawn as a line.

    Raises
    ------
    ValueError
        There are more than six kinds besides "raw" and "mel".
    """
    ax = axes_or_new(ax, height=1.1 + 0.26 * len(names))
    order = np.argsort(values)
    colours = _colours(kinds)
    for row, i in enumerate(order):
        colour = colours[kinds[i]]
        ax.hlines(row, low[i], high[i], color=colour, linewidth=2, alpha=0.4)
        ax.plot(values[i], row, "o", color=colour, markersize=6)
        if seeds is not None:
            ax.plot(seeds[i], [row] * len(seeds[i]), "|", color=colour, markersize=8)
    for kind, colour in colours.items():
        ax.plot([], [], "o", color=colour, label=kind)
    if reference is not None:
        name, value = reference
        ax.axvline(value, color=QUIET, linestyle="--", label=f"{name}: {value:.3f}")
    legend_beside(ax)
    ax.set_yticks(range(len(names)), [names[i] for i in order])
    ticks = ", ticks: seeds" if seeds is not None else ""
    ax.set(title=title, xlabel=f"{metric} (line: 95 % interval{ticks})", ylim=(-0.7, len(names) - 0.3))
    ax.grid(axis="x")
    return ax


def tag_heat_map(
    scores: pd.DataFrame, *, metric: str = "ROC-AUC", title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw each tag's score (row) for each network (column).

    Parameters
    ----------
    scores : DataFrame (tags, networks)
    """
    ax = axes_or_new(ax, width=3.5 + 0.62 * scores.shape[1], height=1.8 + 0.28 * len(scores))
    sns.heatmap(
        scores,
        cmap=SEQUENTIAL,
        vmin=0.5,
        vmax=1.0,
        annot=scores.map(lambda value: f"{value:.2f}".removeprefix("0")),
        fmt="",
        annot_kws={"fontsize": 8},
        linewidths=0.3,
        xticklabels=True,
        yticklabels=True,
        cbar_kws={"label": metric},
        ax=ax,
    )
    ax.set_xticks(ax.get_xticks(), ax.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
    ax.set(title=title or f"{metric} of each tag", xlabel="", ylabel="")
    return ax


def score_against_cost(
    names: Sequence[str],
    values: np.ndarray,
    costs: np.ndarray,
    *,
    kinds: Sequence[str],
    always: Sequence[str] = ("dm16",),
    metric: str = "macro ROC-AUC",
    cost: str = "MMAC for a second of sound",
    title: str = "What a score costs",
    ax: Axes | None = None,
) -> Axes:
    """Draw networks as points: score against cost, on a logarithmic axis.

    As many are labelled as there is room for, the best first; before them come those that no network of their kind
    beats at the same or a lower cost.

    Parameters
    ----------
    names : sequence of str (networks,)
    values, costs : arrays (networks,)
    kinds : sequence of str (networks,)
        What the colours mean.
    always : sequence of str
        Networks to label whatever they score.

    Raises
    ------
    ValueError
        There are more than six kinds besides "raw" and "mel".
    """
    ax = axes_or_new(ax, width=9.0, height=6.0)
    values, costs = np.asarray(values, float), np.asarray(costs, float)
    colours = _colours(kinds)
    for kind, colour in colours.items():
        chosen = [i for i, k in enumerate(kinds) if k == kind]
        ax.plot(costs[chosen], values[chosen], "o", color=colour, label=kind)
    logarithmic(ax.xaxis)
    ax.margins(0.07)
    legend_beside(ax)
    ax.set(title=title, xlabel=cost, ylabel=metric)
    ax.grid()
    needed = _frontier(values, costs, kinds) | {i for i, name in enumerate(names) if name in always}
    order = sorted(range(len(names)), key=lambda i: (i not in needed, -values[i]))
    place(ax, [Label(names[i], costs[i], values[i], colours[kinds[i]], i in needed) for i in order])
    return ax


def _frontier(values: np.ndarray, costs: np.ndarray, kinds: Sequence[str]) -> set[int]:
    """Networks that no network of their kind beats at the same or a lower cost."""
    best: dict[str, float] = {}
    found = set()
    for i in np.lexsort((-values, costs)):
        if values[i] > best.get(kinds[i], -np.inf):
            best[kinds[i]] = values[i]
            found.add(int(i))
    return found


def _colours(kinds: Sequence[str]) -> dict[str, str]:
    """A colour for each kind; "raw" and "mel" have the same ones in all pictures."""
    order = dict.fromkeys(["raw", "mel", *kinds])
    if len(order) > len(COLOURS):
        raise ValueError(
            f"{len(order)} kinds are too many to tell apart by colour; draw at most {len(COLOURS)} in one picture."
        )
    return {k: c for k, c in zip(order, COLOURS, strict=False) if k in kinds}
