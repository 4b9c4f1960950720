"""The portrait of a network: all that was measured of it, once, kept beside its run."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from tagkit.analysis import construction, selectivity, similarity, spectra, stored
from tagkit.analysis.construction import LevelComparison
from tagkit.analysis.geometry import Stage
from tagkit.analysis.identification import Transfer
from tagkit.analysis.selectivity import Chance, ChannelTag, Selectivity
from tagkit.analysis.similarity import Summaries
from tagkit.analysis.spectra import ToneProbe
from tagkit.analysis.transfer import ConvFilter, Ratio
from tagkit.analysis.tuning import Tuning
from tagkit.data.records import Records
from tagkit.system.progress import progress_bar
from tagkit.training.runs import Run

FILE_NAME, FORMAT = "portrait.npz", 3
MOST_CLIPS = 300  # summarised, unless more are asked for
CONSTRUCTED_FROM = 75  # clips: what H1 of the first stages needs; the deep ones are refused with any number
LEVEL_DBFS = -20.0  # of the tones of the probe
IS_LEVEL = 0.95  # ROC-AUC of the level alone from which a tag says nothing else: "loud"


@dataclass(frozen=True)
class Measured:
    """What was measured of a network with one set of weights.

    Attributes
    ----------
    probe : ToneProbe
        At -20 dBFS.
    heard : Summaries
        Of the portrait's clips.
    matched : Summaries
        Of one held-out clip of each piece, all at the same RMS.
    """

    probe: ToneProbe
    heard: Summaries
    matched: Summaries


@dataclass(frozen=True)
class Portrait:
    """All that was measured of a trained network; from `measure`.

    Attributes
    ----------
    name : str
        The run's.
    tags : tuple of str
    sr : int
        Hz.
    trained : Measured
    control : Measured or None
        The random-initialisation control: the same architecture as its seed initialises it.
    levels : list of LevelComparison
        Every stage on the one below.
    labels : ndarray of bool (clips, tags)
        Of the clips that were summarised.
    clips : ndarray of str (clips,)
        The clips' ids in the records.
    pieces : ndarray of str (clips,)
        The piece (or artist) of each clip: clips of one piece belong together.
    held_out : int
        So many of the clips, the first ones, are held out from training.
    once : ndarray of int (matched clips,)
        Which of the clips are one of each held-out piece.
    levels_db : ndarray (matched clips,)
        Their RMS levels before they were matched.
    fingerprint : dict
        Of weights, data and settings.
    """

    name: str
    tags: tuple[str, ...]
    sr: int
    trained: Measured = field(repr=False)
    control: Measured | None = field(repr=False)
    levels: list[LevelComparison] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    clips: np.ndarray = field(repr=False)
    pieces: np.ndarray = field(repr=False)
    held_out: int
    once: np.ndarray = field(repr=False)
    levels_db: np.ndarray = field(repr=False)
    fingerprint: dict = field(repr=False)

    @property
    def stages(self) -> list[str]:
        """Names of the stages, in order."""
        return list(self.trained.heard.means)

    def table(self) -> pd.DataFrame:
        """Every stage in numbers; see `construction.table`."""
        return construction.table(self.levels, self.trained.probe, self.control and self.control.probe)

    def selectivity(self, measured: Measured | None = None) -> dict[str, Selectivity]:
        """Which channels tell which tags, by stage, on one held-out clip of each piece, all at the same RMS.

        Parameters
        ----------
        measured : Measured, optional
            `trained` (the default) or `control`.
        """
        heard = (measured or self.trained).matched
        return selectivity.of_stages(heard.means, heard.maxima, self.labels[self.once], self.tags)

    def chance(self, measured: Measured | None = None) -> Chance:
        """What the same channels seem to tell of labels dealt out at random; `measured` as for `selectivity`."""
        heard = (measured or self.trained).matched
        return selectivity.chance(heard.means, heard.maxima, self.labels[self.once])

    def level_tags(self) -> dict[str, float]:
        """ROC-AUC of the clips' own level for every tag: what loudness alone tells."""
        return selectivity.of_level(self.levels_db, self.labels[self.once], self.tags)

    def channel_tags(self) -> dict[str, list[ChannelTag]]:
        """By stage, the tag that is each channel's own; a tag that is the level itself only where no other is told."""
        level = self.level_tags()
        last = [tag for tag, auc in level.items() if max(auc, 1 - auc) >= IS_LEVEL]
        return {stage: selectivity.own_tags(found, last) for stage, found in self.selectivity().items()}

    def save(self, path: Path | str) -> Path:
        """Write the portrait into one .npz file."""
        return stored.save(path, self, self.fingerprint)

    @classmethod
    def load(cls, path: Path | str) -> "Portrait":
        """Read what `save` wrote; ValueError names a file that cannot be read."""
        return stored.load(path, _TYPES)


_TYPES = (Portrait, Measured, ToneProbe, Tuning, Summaries, LevelComparison, ConvFilter, Ratio, Transfer, Stage)


def measure(
    run: Run,
    records: Records | None = None,
    *,
    clips: int | None = None,
    control: bool = True,
    tones: int = 128,
    progress: bool = True,
) -> Portrait:
    """The portrait of a trained network: read from portrait.npz beside the run, or measured now and kept there.

    A portrait of other weights, data or settings is measured anew.

    Parameters
    ----------
    records : Records, optional
        Default: those that the run was trained on.
    clips : int, optional
        How many clips to summarise, the held-out ones first; default: 300, or all where there are fewer.
    control : bool
        Measure the random-initialisation control, too: twice the time, and the only way to know what was learned.
    tones : int
        As for `spectra.tone_probe`.
    progress : bool
        Show progress bars.

    Raises
    ------
    TrainingError, RecordsError
        The run has no weights yet, the records are not its own, or its split has no held-out clips.
    ValueError
        portrait.npz is damaged.
    """
    records = run.open_records(records)
    clips = min(clips or MOST_CLIPS, len(records.catalog.clips))
    fingerprint = {
        "format": FORMAT,
        "weights": hashlib.sha256(run.best_weights.read_bytes()).hexdigest(),
        "data": records.fingerprint,
        "settings": {"clips": clips, "control": control, "tones": tones},
    }
    path = run.root / FILE_NAME
    if path.is_file() and stored.fingerprint(path) == fingerprint:
        return Portrait.load(path)
    test = records.part("test", run.record["split"])[:clips]
    others = np.setdiff1d(np.arange(len(records.catalog.clips)), test)
    indices = np.concatenate([test, others])[:clips]

    once = selectivity.first_of_each(records.clusters(test))

    def measured(trained: bool) -> Measured:
        model = run.model(trained)
        probe = spectra.tone_probe(model, tones=tones, levels_dbfs=(LEVEL_DBFS,))
        heard = _heard(model, records, indices, progress)
        return Measured(probe, heard, _heard(model, records, indices[once], progress, selectivity.level_matched))

    tags = run.tags_in(records) or records.catalog.tags(None)  # pitches of CREPE's are nobody's tags
    found = Portrait(
        name=run.root.resolve().name,
        tags=tags,
        sr=run.row.sr,
        trained=measured(True),
        control=measured(False) if control else None,
        levels=construction.construct(
            run.model(),
            [_waveform(records, i) for i in test[:CONSTRUCTED_FROM]],
            pieces=records.clusters(test[:CONSTRUCTED_FROM]),
        ),
        labels=records.labels(indices, tags),
        clips=records.catalog.clips.index[indices].to_numpy(str),
        pieces=records.clusters(indices).astype(str),
        held_out=len(test),
        once=once,
        levels_db=records.levels_db(indices[once]),
        fingerprint=fingerprint,
    )
    if os.access(run.root, os.W_OK):
        found.save(path)
    return found


def _waveform(records: Records, index: int) -> np.ndarray:
    return records.waveform(records.catalog.clips.index[index])


def _heard(
    model: keras.Model,
    records: Records,
    indices: np.ndarray,
    progress: bool,
    change: Callable[[np.ndarray], np.ndarray] = lambda y: y,
) -> Summaries:
    """Summaries of some clips of the records, which stream by, each changed first."""
    waveforms = (change(_waveform(records, index)) for index in indices)
    bar = progress_bar(waveforms, f"summarise {model.name}", len(indices), unit="clip", disable=not progress)
    return similarity.summarise(model, bar)
