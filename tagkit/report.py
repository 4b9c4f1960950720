"""What an analysed run leaves behind: figures of its scores and filters, and the listening page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from tagkit import comparison, listen, plots
from tagkit.analysis import compare, feature_maps, spectra
from tagkit.inputs import part_positions
from tagkit.prediction import predict
from tagkit.records import Records
from tagkit.runs import Run

MOST_CLIPS = 300  # listened through to find each channel's own tag


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
        paths.append(_save(fig, folder / f"scores_{name}.png"))
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
    return _save(fig, folder / "training.png")


def draw_comparison(groups: Sequence[comparison.Group], folder: Path) -> list[Path]:
    """Draw the ranking of some networks, and their scores for each tag; the paths."""
    fig, ax = _figure(8, 1.1 + 0.26 * len(groups))
    plots.score_ranking(**comparison.ranking(groups), ax=ax)
    ranking = _save(fig, folder / "comparison.png")
    tags = comparison.tag_table(groups)
    fig, ax = _figure(3.5 + 0.62 * tags.shape[1], 1.8 + 0.28 * len(tags))
    plots.tag_heat_map(tags, ax=ax)
    return [ranking, _save(fig, folder / "tags.png")]


def draw_filters(runs: Mapping[str, Run], folder: Path, stage: str = "conv1") -> list[Path]:
    """Draw the first stage's filters of every raw-waveform run, beside those that it began with; the paths."""
    paths = []
    for name, run in runs.items():
        model = run.model()
        if not is_raw(model):
            continue
        probe = spectra.tone_probe(model, [stage], levels_dbfs=(-20.0,))
        before = spectra.tone_probe(run.model(trained=False), [stage], levels_dbfs=(-20.0,))
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
        paths.append(_save(fig, folder / f"filters_{name}.png"))
    return paths


def write_page(runs: Mapping[str, Run], records: Records, path: Path, clips: int = 4, progress: bool = True) -> Path:
    """Write the listening page of the raw-waveform runs, for test clips that show many different tags."""
    split = next(iter(runs.values())).record["split"]
    positions = part_positions(records, "test", split)
    models = {name: model for name, run in runs.items() if is_raw(model := run.model())}
    if not models:
        raise ValueError(f"None of {', '.join(runs)} takes a raw waveform, so there is nothing to listen to.")
    chosen = positions[varied(records.catalog.label_matrix()[positions], clips)]
    scores, channel_tags = {}, {}
    for name, model in models.items():
        tags = runs[name].tags
        top = predict(model, records, chosen)
        scores[name] = [{tags[k]: float(row[k]) for k in np.argsort(-row)[:5]} for row in top]
        channel_tags[name] = best_tags(model, records, positions[:MOST_CLIPS], tags, progress)
    shown = [records.catalog.clip(position) for position in chosen]
    pieces = [listen.excerpt(clip, y=records.waveform(clip.clip_id), sr=records.sr) for clip in shown]
    return listen.write(path, models, pieces, scores=scores, channel_tags=channel_tags, sr=records.sr)


def best_tags(model, records: Records, positions: np.ndarray, tags, progress: bool = True) -> dict[str, list]:
    """For every stage, the tag that is each channel's own, as (tag, ROC-AUC of the channel's mean over a clip).

    Its own is the tag that it tells best in comparison with the other channels of its stage: every channel knows a
    loud clip from a quiet one, which says nothing about any of them.
    """
    waveforms = (records.waveform(records.catalog.clips.index[p]) for p in positions)
    means: dict[str, list] = {}
    maxima: dict[str, list] = {}
    streamed = feature_maps.stream(model, waveforms)
    for maps in tqdm(streamed, f"listen through {model.name}", len(positions), unit="clip", disable=not progress):
        for stage in maps.maps:
            mean, maximum = compare.summary(maps, stage)
            means.setdefault(stage, []).append(mean)
            maxima.setdefault(stage, []).append(maximum)
    labels = records.catalog.labels[list(tags)].to_numpy(bool)[positions]
    found = {}
    for stage in means:
        auc = compare.selectivity(np.stack(means[stage]), np.stack(maxima[stage]), labels, tags).auc["mean"]
        auc = np.where(np.isfinite(auc), auc, 0.5)  # a tag that none or all of these clips have
        best = (auc - np.median(auc, axis=0)).argmax(axis=1)
        found[stage] = [(tags[k], float(row[k])) for k, row in zip(best, auc, strict=True)]
    return found


def varied(labels: np.ndarray, n: int) -> np.ndarray:
    """Rows (n,) that together show as many tags as possible: each next one adds the rarest tags not shown yet.

    Parameters
    ----------
    labels : ndarray of bool (clips, tags)
    n : int
    """
    rarity = 1 / np.maximum(labels.sum(0), 1)
    shown = np.zeros(labels.shape[1], bool)
    chosen: list[int] = []
    for _ in range(min(n, len(labels))):
        gain = (labels & ~shown) @ rarity + 1e-3 * labels.sum(1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        shown |= labels[chosen[-1]]
    return np.array(chosen)


def is_raw(model) -> bool:
    """Whether a network works on the bare waveform: its first stage is not a spectrogram."""
    return not any(layer.name.startswith(("logmel_", "fbank_")) for layer in model.layers)


def _figure(width: float, height: float, columns: int = 1) -> tuple[Figure, Axes | np.ndarray]:
    # Without pyplot: nothing is shown, no window system is touched, nothing has to be closed.
    plots.use_style()
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.subplots(1, columns)


def _save(fig: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=120)
    return path
