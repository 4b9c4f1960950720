"""What portraits of networks say, in numbers with intervals and in figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tagkit import plots
from tagkit.analysis import construction, scales, selectivity, similarity
from tagkit.analysis.causes.muting import Muting
from tagkit.analysis.figures import save
from tagkit.analysis.portrait import Portrait
from tagkit.analysis.selectivity import Selectivity
from tagkit.analysis.similarity import Summaries
from tagkit.analysis.spectra import ToneProbe
from tagkit.evaluation.intervals import Interval
from tagkit.system import files

CONTROL = "untrained"  # what figures call the random-initialisation control


def numbers(portrait: Portrait) -> dict:
    """What is worth quoting, as JSON-ready data."""
    told, control = selectivity.table(portrait.selectivity()), None
    if portrait.control:
        control = _best_of_each(selectivity.table(portrait.selectivity(portrait.control)))
    return {
        "stages": json.loads(portrait.table().to_json(orient="index", double_precision=4)),
        "first_stage": {"stage": portrait.stages[0], **_bank(portrait.trained.probe, portrait.stages[0])},
        "clips": len(portrait.pieces),
        "pieces": len(set(portrait.pieces)),
        "channels_that_tell_a_tag": _finite(_told(portrait)),
        "tag_channels": _best_of_each(told),
        "tag_channels_untrained": control,
        "level_alone": {tag: round(auc, 4) for tag, auc in portrait.level_tags().items() if np.isfinite(auc)},
    }


def summary(portrait: Portrait) -> str:
    """The stages as a table, and the channels that tell a tag, for a terminal."""
    told = _told(portrait)
    words = (
        f"{told['trained']} channels tell a tag on held-out clips of equal level (ROC-AUC of .8 or more, corrected for "
        f"all tests; with the tags dealt out at random, {told['trained_by_chance']:.3g} do)"
    )
    if portrait.control:
        words = (
            f"{told['trained'] - told['untrained']:+d} channels by training: {words}, {told['untrained']} of the "
            f"untrained network ({told['untrained_by_chance']:.3g})"
        )
        gain = Interval(*told["best_channel_gain"])
        words += f". The best channel of a tag gained {gain.text('+')} in ROC-AUC, chance apart" if gain.known else ""
    stages, best = portrait.table(), best_of_tags(portrait)
    lines = [
        f"Measured on {len(portrait.pieces)} clips, {portrait.held_out} of them held out from training.",
        stages.round(2).to_string(na_rep="-"),
        construction.explain(stages),
        f"\n{words}.",
    ]
    return "\n".join([*lines, best.to_string(na_rep="-")] if len(best) else lines)


def best_of_tags(portrait: Portrait) -> pd.DataFrame:
    """The best channel of each tag beside the control's, for the eight tags at most that channels tell best.

    Returns
    -------
    DataFrame (tags,)
        By tag: `stage`, `channel` and their `ROC-AUC`; the same of the control under `untrained` where there is one.
    """
    found = {"trained": _best(selectivity.table(portrait.selectivity())).head(8)}
    if portrait.control:
        however_well = selectivity.table(portrait.selectivity(portrait.control), least_auc=0.0, alpha=1.0)
        found[CONTROL] = _best(however_well).reindex(found["trained"].index)
    return pd.concat(found, axis=1)


def _best(table: pd.DataFrame) -> pd.DataFrame:
    """By tag its best channel in a table of channels, best first."""
    table = table.drop_duplicates("tag").set_index("tag")
    return table[["stage", "channel", "auc"]].round(2).astype({"channel": "Int64"}).rename(columns={"auc": "ROC-AUC"})


def _finite(numbers: dict) -> dict:
    """JSON knows no NaN: what is unknown is null there."""
    gain = numbers.get("best_channel_gain", ())
    known = {"best_channel_gain": [round(v, 4) if np.isfinite(v) else None for v in gain]} if gain else {}
    return numbers | known


def _told(portrait: Portrait) -> dict:
    """How many channels tell a tag, and how many seem to by chance; what is left after the control's."""
    found, null = portrait.selectivity(), portrait.chance()
    numbers: dict = {"trained": selectivity.count(found), "trained_by_chance": float(null.channels.mean())}
    if portrait.control:
        before, before_null = portrait.selectivity(portrait.control), portrait.chance(portrait.control)
        gain = selectivity.best_gain((selectivity.best_of(found), null), (selectivity.best_of(before), before_null))
        numbers |= {
            "untrained": selectivity.count(before),
            "untrained_by_chance": float(before_null.channels.mean()),
            "best_channel_gain": list(gain),
        }
    return numbers


def _best_of_each(told: pd.DataFrame) -> list[dict]:
    """The best channel of every tag, with the number of channels that tell it."""
    counts = told.groupby("tag").size()
    return [row | {"channels": int(counts[row["tag"]])} for row in told.drop_duplicates("tag").to_dict("records")]


def _bank(probe: ToneProbe, stage: str) -> dict:
    """How far the first stage's centre frequencies, flagged ones too, lie from the scales of hearing, octaves."""
    tuning = probe.tuning(stage)
    try:
        found = scales.compare_bank(tuning, keep_flagged=True)
    except ValueError as reason:
        return {"refused": str(reason)}
    flagged = {"multi_peaked": int(tuning.multi_peaked.sum()), "alias_dominated": int(tuning.alias_dominated.sum())}
    octaves = {scale: [round(v, 4) for v in scales.spacing(found, scale)] for scale in scales.SCALES}
    return {"channels": len(found.kept), **flagged, "octaves_from": octaves}


def best_channels(channels: Mapping[str, Selectivity]) -> dict[str, float]:
    """For every tag the ROC-AUC of the channel, of any stage, whose mean or maximum tells it best."""
    tags = next(iter(channels.values())).tags
    each = zip(tags, selectivity.best_of(channels), strict=True)
    return {tag: float(auc) for tag, auc in each if np.isfinite(auc)}


def draw_construction(portrait: Portrait) -> np.ndarray:
    """Draw every stage's filters by every estimator that is valid there; the Axes (stages, estimators)."""
    probe = portrait.trained.probe
    gains = {level.stage: level.gains(probe) for level in portrait.levels}
    orders = {stage: np.argsort(probe.tuning(stage).centre_hz, kind="stable") for stage in gains}
    notes: dict[str, dict[str, str]] = {stage: {} for stage in gains}
    for level in portrait.levels:
        if level.h1 is not None:
            notes[level.stage]["H1"] = "linear fraction {:.2f} [{:.2f}, {:.2f}]".format(*level.h1.median_fraction())
        if level.stage in probe.dc_only:
            notes[level.stage]["tone probe"] = "steady response only"
    return plots.construction(gains, orders, notes=notes, title=f"{portrait.name}: each stage on the level below")


def draw_similarity(
    one: Summaries,
    other: Summaries,
    pieces: np.ndarray,
    names: tuple[str, str] = ("", ""),
    *,
    ax: Axes | None = None,
    **settings: object,
) -> Axes:
    """Draw the CKA of every stage of one network with every stage of another; the Axes.

    Parameters
    ----------
    one, other : Summaries
        Of the same clips in the same order; compared are their profiles.
    pieces : ndarray (clips,)
        The piece (or artist) of each clip: the intervals leave out whole pieces.
    names : tuple of str
        What the rows (stages of `one`) and the columns (stages of `other`) are called.
    **settings
        Of `similarity.cka_interval`, all but `groups`.

    Raises
    ------
    ValueError
        The two have different numbers of clips, or fewer than `fewest_clips` (256).
    """
    value, low, high = similarity.cka_matrix(one.profiles(), other.profiles(), groups=pieces, **settings)
    rows, columns = list(one.means), list(other.means)
    return plots.similarity(value, rows, columns, low=low, high=high, ylabel=names[0], xlabel=names[1], ax=ax)


def draw_filters(portrait: Portrait) -> np.ndarray:
    """Draw the first stage's filters, and their centre frequencies beside the control's; the Axes (2,)."""
    stage, probe = portrait.stages[0], portrait.trained.probe
    centre_hz = probe.tuning(stage).centre_hz
    banks = {"trained": centre_hz}
    if portrait.control:
        banks[CONTROL] = portrait.control.probe.tuning(stage).centre_hz
    _, axes = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
    title = f"{portrait.name}, {stage}: responses of the channels"
    plots.filter_bank(probe.frequencies, probe.curve(stage), centre_hz, title=title, ax=axes[0])
    plots.centre_frequencies(banks, untrained=CONTROL, title="Where they are tuned", ax=axes[1])
    return axes


def write(portraits: Sequence[Portrait], folder: Path) -> tuple[list[Path], list[str]]:
    """Write the figures of some portraits into a folder; the paths, and why a figure is missing."""
    plots.use_style()
    paths, missing = [], []
    for found in portraits:
        paths.append(_keep(draw_construction(found)[0, 0], folder / f"construction_{found.name}.png"))
        told = {found.name: best_channels(found.selectivity())}
        if found.control:
            told[CONTROL] = best_channels(found.selectivity(found.control))
        paths.append(_keep(plots.tag_channels(told, untrained=CONTROL), folder / f"tags_{found.name}.png"))
    first = portraits[0]
    pairs = [(first.control, f"{first.name}, {CONTROL}")] if first.control else []
    for other, name in [*pairs, *((each.trained, each.name) for each in portraits[1:])]:
        try:
            ax = draw_similarity(first.trained.heard, other.heard, first.pieces, (first.name, name))
        except ValueError as reason:  # too few clips: it says how many it needs
            missing.append(f"No similarity of {first.name} and {name}: {reason}")
            continue
        paths.append(_keep(ax, folder / f"similarity_{first.name}_{name.replace(', ', '_')}.png"))
    return paths, missing


def write_filters(portraits: Sequence[Portrait], folder: Path) -> list[Path]:
    """Write the figure of the first stage's filters of each portrait; the paths."""
    plots.use_style()
    return [_keep(draw_filters(found)[0], folder / f"filters_{found.name}.png") for found in portraits]


def write_muting(found: Muting, folder: Path) -> Path:
    """Write the figure of what tags lose when an instrument is muted; its path."""
    plots.use_style()
    ax = plots.muting(found.of_tags(), title=f"{found.name}: what a tag loses when an instrument is muted")
    return _keep(ax, folder / f"muting_{found.name}.png")


def write_probes(found: Mapping[str, Mapping[str, Mapping[str, Interval]]], folder: Path) -> list[Path]:
    """Write the figure of what `probes.measure` found, by network, if it found anything; the paths."""
    plots.use_style()
    return [_keep(plots.probes(found)[0], folder / "probes.png")] if found else []


def _keep(ax: Axes, path: Path) -> Path:
    plt.close(ax.figure)  # pyplot would keep it open
    return save(ax.figure, path)


def write_numbers(portraits: Sequence[Portrait], path: Path) -> Path:
    """Write what is worth quoting as JSON."""
    files.write_json(path, {found.name: numbers(found) for found in portraits})
    return path
