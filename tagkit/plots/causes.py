"""Figures of experiments: what a tag loses when its instrument is muted, and which stage knows which tags."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tagkit.plots.likeness import by_stage
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


def probes(
    found: Mapping[str, Mapping[str, Mapping[str, tuple[float, float, float]]]],
    *,
    title: str = "What a linear probe reads off each stage",
) -> np.ndarray:
    """Draw how well linear probes of each stage tell the tags, the trained networks beside the untrained ones.

    Parameters
    ----------
    found : dict of str -> dict of str -> dict of str -> (value, low, high)
        By network, then "trained" and (where it was measured) "untrained", then stage: macro ROC-AUC.

    Returns
    -------
    ndarray of Axes (1,) or (2,)
    """
    by_side = {
        side: {name: each[side] for name, each in found.items() if side in each} for side in ("trained", "untrained")
    }
    sides = {side: networks for side, networks in by_side.items() if networks}
    size = (5.5 * len(sides) + 1.5, 3.8)
    fig, axes = plt.subplots(1, len(sides), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for ax, (side, networks) in zip(axes[0], sides.items(), strict=True):
        by_stage(list(max(networks.values(), key=len)), networks, title=side, ax=ax)
    for ax in axes[0, :-1]:
        if ax.get_legend():
            ax.get_legend().remove()  # the last one stands for all
    lowest = min(low for networks in sides.values() for stages in networks.values() for _, low, _ in stages.values())
    axes[0, 0].set(ylabel="macro ROC-AUC", ylim=(min(0.5, lowest) - 0.02, 1.0))
    fig.suptitle(title)
    return axes[0]
