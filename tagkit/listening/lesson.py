"""What every training notebook shows of its runs: how they learned, what their first filters became, what they hear."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tagkit import plots
from tagkit.analysis import scales, spectra
from tagkit.data.catalog import Clip
from tagkit.evaluation.tag import Tagger
from tagkit.training.runs import Run


def learning(*runs: Run) -> np.ndarray:
    """Draw the training loss and the validation score of runs against the examples that they have seen.

    Returns
    -------
    ndarray (2,) of Axes
    """
    axes = plt.subplots(1, 2, figsize=(11, 3.2), layout="constrained")[1]
    histories = {run.root.name: pd.DataFrame(run.record["history"]) for run in runs}
    seen = {run.root.name: histories[run.root.name]["step"] * run.config.batch_size for run in runs}
    panels = (
        ("loss", "loss", "On the music it learns from"),
        ("valid_roc_auc", "macro ROC-AUC", "On validation clips"),
    )
    for ax, (key, label, title) in zip(axes, panels, strict=True):
        curves = {name: history[key] for name, history in histories.items()}
        plots.training_curves(seen, curves, xlabel="examples seen", ylabel=label, title=title, ax=ax)
    return axes


def first_filters(run: Run, stage: str = "conv1") -> np.ndarray:
    """Draw what all channels of a stage answer to, before training and after: pure tones at -20 dBFS, `tone_probe`.

    The title says how far training moved the curves, see `scales.bank_distance`.

    Returns
    -------
    ndarray (2,) of Axes
    """
    axes = plt.subplots(1, 2, figsize=(12, 4), sharey=True, layout="constrained")[1]
    probes = [spectra.tone_probe(run.model(trained), [stage], levels_dbfs=(-20.0,)) for trained in (False, True)]
    moved = scales.bank_distance(probes[1].curve(stage), probes[0].curve(stage))
    titles = (f"{run.root.name}, {stage}: before training", f"after training: moved by {moved.value:.1f} dB")
    for ax, probe, title in zip(axes, probes, titles, strict=True):
        plots.filter_bank(probe.frequencies, probe.curve(stage), probe.tuning(stage).centre_hz, title=title, ax=ax)
    axes[1].set_ylabel("")
    return axes


def taggram(run: Run, clip: Clip, top: int = 8) -> Axes:
    """Draw the scores of a clip, window by window: the `top` highest tags and all that it has, the latter ticked."""
    tagged = Tagger(run)(clip.path)
    shown = [k for place, k in enumerate(tagged.order()) if place < top or tagged.tags[k] in clip.tags]
    names = [f"\N{CHECK MARK} {tagged.tags[k]}" if tagged.tags[k] in clip.tags else tagged.tags[k] for k in shown]
    return plots.taggram(
        tagged.window_scores[:, shown],
        tagged.starts_s,
        tagged.window_s,
        names,
        duration_s=tagged.duration_s,
        title=f"What {run.root.name} says of the clip (\N{CHECK MARK}: a tag that it has)",
    )
