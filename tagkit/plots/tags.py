"""How often tags occur, and which occur together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from tagkit.plots.style import COLOURS, SEQUENTIAL, axes_or_new


def tag_balance(labels: pd.DataFrame, *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw how many clips have each tag, the most frequent on top.

    Parameters
    ----------
    labels : DataFrame (clips, tags) of bool
    title : str, optional
    ax : Axes, optional
    """
    counts = labels.sum().sort_values(ascending=False)
    ax = axes_or_new(ax, height=0.6 + 0.24 * len(counts))
    sns.barplot(x=counts.to_numpy(), y=counts.index.astype(str), color=COLOURS[0], ax=ax)
    ax.bar_label(ax.containers[0], padding=3, fontsize=9)
    ax.set(title=title or f"How often each tag occurs in {len(labels):,} clips", xlabel="clips", ylabel="")
    return ax


def tag_cooccurrence(labels: pd.DataFrame, *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw, for each tag (row), the share of its clips that have another tag (column), in percent.

    Parameters
    ----------
    labels : DataFrame (clips, tags) of bool
    title : str, optional
    ax : Axes, optional
    """
    has = labels.to_numpy(float)
    together = has.T @ has
    counts = np.maximum(np.diag(together), 1)
    share = pd.DataFrame(100 * together / counts[:, None], labels.columns, labels.columns)
    side = 2.0 + 0.3 * len(share)
    ax = axes_or_new(ax, width=side + 0.8, height=side)
    sns.heatmap(
        share,
        mask=np.eye(len(share), dtype=bool),
        cmap=SEQUENTIAL,
        vmin=0,
        vmax=100,
        square=True,
        linewidths=0.3,
        xticklabels=True,
        yticklabels=True,
        cbar_kws={"label": "share of the row's clips (%)", "shrink": 0.7},
        ax=ax,
    )
    ax.set(title=title or "Which tags occur together", xlabel="also has", ylabel="clips tagged")
    return ax


def confusion_matrix(
    confusion: np.ndarray, names: Sequence[str], *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how clips of each class (row) were classified (column): shares of the row as colours, counts as numbers.

    Parameters
    ----------
    confusion : ndarray of int (classes, classes)
    names : sequence of str (classes,)
    title : str, optional
    ax : Axes, optional
    """
    share = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    side = 2.5 + 0.55 * len(names)
    ax = axes_or_new(ax, width=side + 0.8, height=side)
    sns.heatmap(
        pd.DataFrame(100 * share, list(names), list(names)),
        annot=confusion,
        fmt="d",
        cmap=SEQUENTIAL,
        vmin=0,
        vmax=100,
        square=True,
        linewidths=0.3,
        cbar_kws={"label": "share of the class's clips (%)", "shrink": 0.7},
        ax=ax,
    )
    ax.set(title=title or "Which classes are confused", xlabel="taken for", ylabel="class of the clip")
    return ax
