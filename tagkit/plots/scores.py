"""Training curves, and scores with intervals."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from tagkit.plots.style import COLOURS, QUIET, axes_or_new, legend_beside


def training_curves(
    steps: Sequence[float] | Mapping[str, Sequence[float]],
    curves: Mapping[str, Sequence[float]],
    *,
    best_step: float | None = None,
    xlabel: str = "step",
    ylabel: str = "loss",
    title: str = "Training",
    ax: Axes | None = None,
) -> Axes:
    """Draw how values changed during training.

    Parameters
    ----------
    steps : sequence (points,), or dict of str -> sequence (points,)
        Common to all curves, or by label.
    curves : dict of str -> sequence (points,)
        Values by label, for example training and validation loss; NaN leaves a gap.
    best_step : float, optional
        Where the kept weights come from, marked by a line.
    """
    ax = axes_or_new(ax)
    looks = itertools.product(("-", "--", ":"), COLOURS)
    for (label, values), (line, colour) in zip(curves.items(), itertools.cycle(looks), strict=False):
        at = steps[label] if isinstance(steps, Mapping) else steps
        ax.plot(at, values, line, marker="o", markersize=3, color=colour, label=label)
    if best_step is not None:
        ax.axvline(best_step, color=QUIET, linestyle="--", label=f"best ({xlabel} {best_step:,.4g})")
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    if len(curves) > 4:
        legend_beside(ax, fontsize=9)
    else:
        ax.legend()
    return ax


def per_tag_scores(
    tags: Sequence[str],
    values: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    positives: Sequence[int] | None = None,
    chance: float | None = 0.5,
    metric: str = "ROC-AUC",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw each tag's score as a dot with an interval, the best on top.

    Parameters
    ----------
    tags : sequence of str (tags,)
    values, low, high : arrays (tags,)
        Score and interval; a tag whose score is NaN is left out. A dot is hollow where its interval is unknown (NaN).
    positives : sequence of int, optional
        Number of clips with the tag, written beside its name.
    chance : float, optional
        The score of guessing, drawn as a line.
    """
    names = [f"{tag} ({n})" for tag, n in zip(tags, positives, strict=True)] if positives is not None else list(tags)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(np.asarray(values)[known])]
    counted = " (clips with it)" if positives is not None else ""
    ax = axes_or_new(ax, height=0.9 + 0.28 * len(order))
    rows = np.arange(len(order))
    values, low, high = (np.asarray(each, float)[order] for each in (values, low, high))
    sure = np.isfinite(low)
    ax.hlines(rows[sure], low[sure], high[sure], color=COLOURS[0], linewidth=2, alpha=0.5)
    ax.plot(values[sure], rows[sure], "o", color=COLOURS[0], markersize=6)
    ax.plot(values[~sure], rows[~sure], "o", color=COLOURS[0], markersize=6, fillstyle="none")
    if chance is not None:
        ax.axvline(chance, color=QUIET, linestyle=":", label="guessing")
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98))  # above: no room beside the dots
    ax.set_yticks(rows, [names[i] for i in order])
    title = title or f"{metric} of each tag{counted}"
    ax.set(title=title, xlabel=f"{metric}, 95 % interval", ylim=(-0.7, len(order) - 0.3))
    ax.grid(axis="x")
    return ax
