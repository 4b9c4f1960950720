"""Figures of experiments: what a tag loses when its instrument is muted."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tagkit.plots.style import COLOURS, axes_or_new, legend_beside


def muting(
    table: pd.DataFrame, *, title: str = "What a tag loses when an instrument is muted", ax: Axes | None = None
) -> Axes:
    """Draw for each tag what its logit loses when its own instrument is muted, and when another one is.

    Parameters
    ----------
    table : DataFrame
        By tag: "muted" and "other", means in logits; "low" and "high", the interval of their difference (drawn around
        "muted", so a bar that stays right of the hollow circle is a tag that hears its instrument).

    Returns
    -------
    Axes
    """
    table = table.dropna(subset=["muted"]).sort_values("muted")
    ax = axes_or_new(ax, width=7.0, height=1.1 + 0.3 * len(table))
    y = np.arange(len(table))
    own, other = table["muted"].to_numpy(), table["other"].to_numpy()
    bars = np.array([own - other - table["low"], table["high"] - (own - other)])
    ax.hlines(y, other, own, color="#c9c4b5", linewidth=1.2, zorder=1)
    ax.errorbar(
        own, y, xerr=np.nan_to_num(bars), fmt="o", color=COLOURS[0], capsize=2, label="its own instrument muted"
    )
    ax.plot(other, y, "o", mfc="white", mec="#77756c", label="another one, about as loud")
    ax.axvline(0, color="#77756c", linewidth=0.8, zorder=0)
    ax.set_yticks(y, table.index)
    ax.set(title=title, xlabel="loss of the tag's logit, mean over pieces (bars: 95 % of the difference)")
    legend_beside(ax)
    return ax
