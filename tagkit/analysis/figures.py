"""Figures of scores and training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tagkit import plots
from tagkit.evaluation import compare as comparison
from tagkit.evaluation.result import Result


def draw_scores(results: Mapping[str, Result], folder: Path) -> list[Path]:
    """Draw the scores of every tag, one figure for each result; the paths."""
    paths = []
    for name, result in results.items():
        fig, ax = new(7, 0.28 * len(result.tags) + 1.2)
        plots.per_tag_scores(**comparison.by_tag(result), title=f"{name}: {_scored_on(result)}", ax=ax)
        paths.append(save(fig, folder / f"scores_{name}.png"))
    return paths


def _scored_on(result: Result) -> str:
    return f"{result.dataset}, {result.part} part of split {result.split!r}"


def draw_result(result: Result, folder: Path) -> list[Path]:
    """Draw the scores of every tag and, of exclusive classes, the confusion matrix; the paths."""
    paths = draw_scores({result.label: result}, folder)
    if result.classes:
        side = 2.5 + 0.55 * len(result.classes.names)
        fig, ax = new(side + 0.8, side)
        found = result.classes
        title = f"Accuracy {found.accuracy}\n{_scored_on(result)}"
        plots.confusion_matrix(found.confusion, found.names, title=title, ax=ax)
        paths.append(save(fig, folder / f"confusion_{result.label}.png"))
    return paths


def draw_training(results: Mapping[str, Result], folder: Path) -> Path:
    """Draw the validation scores of some runs over their training; returns the path."""
    fig, ax = new(7, 3.2)
    plots.training_curves(**comparison.learning(results), title="Training", ax=ax)
    return save(fig, folder / "training.png")


def draw_comparison(groups: Sequence[comparison.Group], folder: Path) -> list[Path]:
    """Draw the ranking of some networks, and their scores for each tag; the paths."""
    fig, ax = new(8, 1.1 + 0.26 * len(groups))
    plots.score_ranking(**comparison.ranking(groups), ax=ax)
    ranking = save(fig, folder / "comparison.png")
    tags = comparison.tag_table(groups)
    fig, ax = new(3.5 + 0.62 * tags.shape[1], 1.8 + 0.28 * len(tags))
    plots.tag_heat_map(tags, ax=ax)
    return [ranking, save(fig, folder / "tags.png")]


def new(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches and its Axes, without pyplot: it opens no window and need not be closed."""
    plots.use_style()
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.subplots()


def save(fig: Figure, path: Path) -> Path:
    """Save a figure as finely as reports have them; its path."""
    return plots.save_figure(fig, path, dpi=120)
