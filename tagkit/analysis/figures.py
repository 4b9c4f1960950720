"""Figures of scores, training and first filters, and what the channels make of many clips."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from tagkit import plots
from tagkit.analysis import compare, geometry, selectivity, spectra
from tagkit.analysis.compare import Summaries
from tagkit.data.records import Records
from tagkit.evaluation import compare as comparison
from tagkit.training.runs import Run

MOST_CLIPS = 300  # listened through to find each channel's own tag
LEVEL_DBFS = -20.0  # of the tones of a probe


def draw_scores(results: Mapping[str, dict], folder: Path) -> list[Path]:
    """Draw the scores of every tag, one figure for each result (name -> `Evaluation.to_dict`); the paths."""
    paths = []
    for name, result in results.items():
        tags = list(result["tags"])
        rows = [result["tags"][tag] for tag in tags]
        fig, ax = _figure(7, 0.28 * len(tags) + 1.2)
        plots.per_tag_scores(
            tags,
            np.array([r["roc_auc"] for r in rows]),
            *np.array([r["roc_auc_ci"] for r in rows]).T,
            positives=[r["positives"] for r in rows],
            title=f"{name}: {result['dataset']}, {result['part']} part of split {result['split']!r}",
            ax=ax,
        )
        paths.append(save(fig, folder / f"scores_{name}.png"))
    return paths


def draw_training(runs: Mapping[str, Run], folder: Path) -> Path:
    """Draw the validation score of some runs over their training."""
    fig, ax = _figure(7, 3.2)
    histories = {name: run.record["history"] for name, run in runs.items()}
    longest = max(histories.values(), key=len)
    curves = {
        name: [h["valid_roc_auc"] for h in history] + [np.nan] * (len(longest) - len(history))
        for name, history in histories.items()
    }
    plots.training_curves(
        [h["step"] for h in longest], curves, ylabel="validation macro ROC-AUC", title="Training", ax=ax
    )
    return save(fig, folder / "training.png")


def draw_comparison(groups: Sequence[comparison.Group], folder: Path) -> list[Path]:
    """Draw the ranking of some networks, and their scores for each tag; the paths."""
    fig, ax = _figure(8, 1.1 + 0.26 * len(groups))
    plots.score_ranking(**comparison.ranking(groups), ax=ax)
    ranking = save(fig, folder / "comparison.png")
    tags = comparison.tag_table(groups)
    fig, ax = _figure(3.5 + 0.62 * tags.shape[1], 1.8 + 0.28 * len(tags))
    plots.tag_heat_map(tags, ax=ax)
    return [ranking, save(fig, folder / "tags.png")]


def draw_filters(runs: Mapping[str, Run], folder: Path) -> list[Path]:
    """Draw the first stage's filters of every raw-waveform run, beside those that its seed gives; the paths."""
    paths = []
    for name, run in runs.items():
        if not run.row.reads_waveform:
            continue
        model = run.model()
        stage = geometry.stages(model)[0].name
        probe = spectra.tone_probe(model, [stage], levels_dbfs=(LEVEL_DBFS,))
        before = spectra.tone_probe(run.model(trained=False), [stage], levels_dbfs=(LEVEL_DBFS,))
        fig, (left, right) = _figure(12, 4.2, columns=2)
        tuning = probe.tuning(stage)
        plots.filter_bank(
            probe.frequencies,
            probe.curve(stage),
            tuning.centre_hz,
            title=f"{name}, {stage}: what each channel answers to",
            ax=left,
        )
        banks = {"trained": tuning.centre_hz, "untrained": before.tuning(stage).centre_hz}
        plots.centre_frequencies(banks, untrained="untrained", title="Where they are tuned", ax=right)
        paths.append(save(fig, folder / f"filters_{name}.png"))
    return paths


def listen_through(model: keras.Model, records: Records, indices: np.ndarray, progress: bool = True) -> Summaries:
    """Summaries of every channel for some clips of the records, the first 300 of them at most.

    Parameters
    ----------
    model : keras.Model
    records : Records
    indices : ndarray of int (clips,)
    progress : bool
        Show a progress bar.
    """
    some = indices[:MOST_CLIPS]
    waveforms = (records.waveform(records.catalog.clips.index[p]) for p in some)
    bar = tqdm(waveforms, f"listen through {model.name}", len(some), unit="clip", disable=not progress)
    return compare.summarise(model, bar, sr=records.sr)


def selective(
    heard: Summaries, records: Records, indices: np.ndarray, tags: Sequence[str]
) -> dict[str, selectivity.Selectivity]:
    """Which channels tell which tags, by stage, from one clip of each piece.

    Parameters
    ----------
    heard : Summaries
        Of the clips at `indices`, in that order.
    records : Records
    indices : ndarray of int (clips,)
        Held-out clips.
    tags : sequence of str
    """
    some = np.asarray(indices)[: len(heard)]
    once = selectivity.first_of_each(records.clusters(some))
    labels = records.labels(some[once], tags)
    independent = heard.of(once)
    return selectivity.of_stages(independent.means, independent.maxima, labels, tags)


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, Axes | np.ndarray]:
    # Without pyplot: nothing is shown, no window system is touched, nothing has to be closed.
    plots.use_style()
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.subplots(1, columns)


def save(fig: Figure, path: Path) -> Path:
    """Save a figure as finely as reports have them; its path."""
    return plots.save_figure(fig, path, dpi=120)
