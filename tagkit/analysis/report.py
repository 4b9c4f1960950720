"""One run taken apart: what its filters, its channels and its stages are, in numbers with intervals and in figures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from tagkit import plots
from tagkit.analysis import compare, construction, scales, selectivity, spectra
from tagkit.analysis.compare import Summaries
from tagkit.analysis.construction import LevelComparison
from tagkit.analysis.figures import LEVEL_DBFS, MOST_CLIPS, listen_through, save, selective
from tagkit.analysis.selectivity import Selectivity
from tagkit.analysis.spectra import ToneProbe
from tagkit.data.records import Records
from tagkit.system import files
from tagkit.training.runs import Run

CONSTRUCTED_FROM = 75  # clips: what H1 of the first stages needs; the deep ones are refused with any number


@dataclass(frozen=True)
class Analysis:
    """What was measured of one trained network.

    Attributes
    ----------
    name : str
    tags : tuple of str
    probe : ToneProbe
    untrained : ToneProbe or None
        Of the network as its seed initialises it.
    levels : list of LevelComparison
        Every stage on the one below.
    heard, heard_untrained : Summaries, Summaries or None
        Of the clips of `pieces`.
    channels, channels_untrained : dict of str -> Selectivity
        By stage, on one held-out clip of each piece.
    pieces : ndarray (clips,)
        The piece (or artist) of each clip that was listened to: clips of one piece belong together.
    """

    name: str
    tags: tuple[str, ...]
    probe: ToneProbe = field(repr=False)
    untrained: ToneProbe | None = field(repr=False)
    levels: list[LevelComparison] = field(repr=False)
    heard: Summaries = field(repr=False)
    heard_untrained: Summaries | None = field(repr=False)
    channels: dict[str, Selectivity] = field(repr=False)
    channels_untrained: dict[str, Selectivity] = field(repr=False)
    pieces: np.ndarray = field(repr=False)

    def table(self) -> pd.DataFrame:
        """Every stage in numbers; see `construction.table`."""
        return construction.table(self.levels, self.probe, self.untrained)

    def told(self) -> pd.DataFrame:
        """Channels that tell a tag: AUC of at least .8 on held-out clips after correction; see `selectivity.table`."""
        return selectivity.table(self.channels)

    def told_untrained(self) -> pd.DataFrame | None:
        """Those of the untrained network."""
        return selectivity.table(self.channels_untrained) if self.channels_untrained else None

    def to_dict(self) -> dict:
        """What is worth quoting, as JSON-ready data."""
        first, before = next(iter(self.probe.response)), self.told_untrained()
        return {
            "stages": json.loads(self.table().to_json(orient="index", double_precision=4)),
            "first_stage": {"stage": first, **_bank(self.probe, first)},
            "clips": len(self.pieces),
            "pieces": len(set(self.pieces)),
            "tag_channels": _best_of_each(self.told()),
            "tag_channels_untrained": None if before is None else _best_of_each(before),
        }

    def summary(self) -> str:
        """The stages as a table, and the channels that tell a tag, for a terminal."""
        told, before = self.told(), self.told_untrained()
        channels = len(told[["stage", "channel"]].drop_duplicates())
        words = f"{channels} channels tell a tag on held-out clips (ROC-AUC of .8 or more, corrected for all questions)"
        if before is not None:
            words += f"; in the untrained network {len(before[['stage', 'channel']].drop_duplicates())}"
        best = told.drop_duplicates("tag").head(8)
        lines = [f"  {r.tag:<14} {r.stage}, channel {r.channel}: {r.auc:.2f}" for r in best.itertuples()]
        return "\n".join([self.table().round(2).to_string(na_rep="-"), "", f"{words}.", *lines])


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


def analyse(
    run: Run, records: Records, *, clips: int | None = None, twin: bool = True, progress: bool = True
) -> Analysis:
    """Measure a trained network.

    Parameters
    ----------
    run : Run
    records : Records
    clips : int, optional
        How many clips to listen to, the held-out ones first; default: all (300 at most).
    twin : bool
        Measure the untrained network, too: twice the time, and the only way to know what was learned.
    progress : bool
    """
    model, tags, clips = run.model(), run.tags, min(clips or MOST_CLIPS, MOST_CLIPS)
    before = run.model(trained=False) if twin else None
    split = run.record["split"]
    held_out = records.part("test", split)[:clips]
    others = np.setdiff1d(np.arange(len(records.catalog.clips)), held_out)
    indices = np.concatenate([held_out, others])[:clips]
    heard = listen_through(model, records, indices, progress)
    heard_before = listen_through(before, records, indices, progress) if before else None
    test = np.arange(len(held_out))
    ids = records.catalog.clips.index[held_out[:CONSTRUCTED_FROM]]
    return Analysis(
        name=run.root.resolve().name,
        tags=tags,
        probe=spectra.tone_probe(model, sr=records.sr, levels_dbfs=(LEVEL_DBFS,)),
        untrained=spectra.tone_probe(before, sr=records.sr, levels_dbfs=(LEVEL_DBFS,)) if before else None,
        levels=construction.construct(model, [records.waveform(i) for i in ids], sr=records.sr),
        heard=heard,
        heard_untrained=heard_before,
        channels=selective(heard.of(test), records, held_out, tags),
        channels_untrained=selective(heard_before.of(test), records, held_out, tags) if heard_before else {},
        pieces=records.clusters(indices),
    )


def draw_construction(
    levels: Sequence[LevelComparison], probe: ToneProbe, title: str = "How each stage builds its filters"
) -> np.ndarray:
    """Draw every stage's filters by every estimator that is valid there; the Axes (stages, estimators).

    Parameters
    ----------
    levels : sequence of LevelComparison
        As from `construction.construct`.
    probe : ToneProbe
        Of the same network; it also sorts the channels, by centre frequency.
    title : str
    """
    gains = {level.stage: level.gains(probe) for level in levels}
    orders = {stage: np.argsort(probe.tuning(stage).centre_hz, kind="stable") for stage in gains}
    notes: dict[str, dict[str, str]] = {stage: {} for stage in gains}
    for level in levels:
        if level.h1 is not None:
            notes[level.stage]["H1"] = f"linear fraction {np.nanmedian(level.h1.linear_fraction()):.2f}"
        if level.stage in probe.dc_only:
            notes[level.stage]["tone probe"] = "steady answer only"
    return plots.construction(gains, orders, notes=notes, title=title)


def best_channels(channels: Mapping[str, Selectivity]) -> dict[str, float]:
    """For every tag the ROC-AUC of the channel, of any stage, whose mean or maximum tells it best."""
    aucs = np.concatenate([np.concatenate(list(found.auc.values())) for found in channels.values()])
    tags = next(iter(channels.values())).tags
    return {
        tag: float(np.nanmax(column)) for tag, column in zip(tags, aucs.T, strict=True) if np.isfinite(column).any()
    }


def similarity(
    one: Summaries, other: Summaries, pieces: np.ndarray, **settings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """CKA of every stage of one network with every stage of another: value, low, high, each (stages, other_stages).

    Of the clips' profiles (`Summaries.profiles`): which channels are active, whatever the level of the clip. The
    intervals leave out whole pieces.

    Parameters
    ----------
    one, other : Summaries
        Of the same clips in the same order.
    pieces : ndarray (clips,)
        The piece (or artist) of each clip.
    **settings
        Of `compare.cka_interval`, all but `groups`.

    Raises
    ------
    ValueError
        The two have different numbers of clips, or fewer than `fewest_clips` (256).
    """
    return compare.cka_matrix(one.profiles(), other.profiles(), groups=pieces, **settings)


def draw_similarity(
    one: Summaries, other: Summaries, pieces: np.ndarray, names: tuple[str, str] = ("", ""), *, ax=None, **settings
) -> Axes:
    """Draw `similarity` with its intervals; the Axes.

    Parameters
    ----------
    one, other, pieces
        As for `similarity`.
    names : tuple of str
        What the rows (stages of `one`) and the columns (stages of `other`) are called.
    ax : Axes, optional
    **settings
        As for `similarity`.

    Raises
    ------
    ValueError
        As for `similarity`.
    """
    value, low, high = similarity(one, other, pieces, **settings)
    rows, columns = list(one.means), list(other.means)
    return plots.similarity(value, rows, columns, low=low, high=high, ylabel=names[0], xlabel=names[1], ax=ax)


def write(analyses: Sequence[Analysis], folder: Path) -> tuple[list[Path], list[str]]:
    """Write figures of some analyses into a folder; the paths, and why a figure is missing."""
    plots.use_style()
    paths, missing = [], []
    for found in analyses:
        figure = draw_construction(found.levels, found.probe, f"{found.name}: each stage on the level below")
        paths.append(_keep(figure[0, 0], folder / f"construction_{found.name}.png"))
        told = {found.name: best_channels(found.channels)}
        if found.channels_untrained:
            told["untrained"] = best_channels(found.channels_untrained)
        ax = plots.tag_channels(told, untrained="untrained")
        paths.append(_keep(ax, folder / f"tags_{found.name}.png"))
    pairs = [(a.heard, a.heard_untrained, (a.name, f"{a.name}, untrained"), a.pieces) for a in analyses[:1]]
    pairs += [(analyses[0].heard, a.heard, (analyses[0].name, a.name), a.pieces) for a in analyses[1:]]
    for one, other, names, pieces in pairs:
        if other is None:
            continue
        try:
            ax = draw_similarity(one, other, pieces, names)
        except ValueError as reason:  # too few clips: it says how many it needs
            missing.append(f"No similarity of {' and '.join(names)}: {reason}")
            continue
        paths.append(_keep(ax, folder / f"similarity_{'_'.join(names).replace(', ', '_')}.png"))
    return paths, missing


def _keep(ax: Axes, path: Path) -> Path:
    plt.close(ax.figure)  # pyplot would keep it open
    return save(ax.figure, path)


def write_numbers(analyses: Sequence[Analysis], path: Path) -> Path:
    """Write what is worth quoting as JSON."""
    files.write_json(path, {found.name: found.to_dict() for found in analyses})
    return path
