"""The listening page of trained runs, for test clips that show many different tags."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from tagkit.analysis import spectra
from tagkit.analysis.figures import LEVEL_DBFS, listen_through, selective
from tagkit.analysis.report import Analysis
from tagkit.analysis.selectivity import own_tags
from tagkit.data.records import Records
from tagkit.graph.scorer import Scorer
from tagkit.listening import page
from tagkit.training.runs import Run

SECONDS = {1: 7.0, 2: 5.0, 3: 4.0}  # of an excerpt, by the number of networks: the page has one size
FEWEST_SECONDS = 3.0


def write_page(
    runs: Mapping[str, Run],
    records: Records,
    path: Path,
    clips: int = 4,
    *,
    analyses: Sequence[Analysis] = (),
    twin: bool = True,
    progress: bool = True,
) -> Path:
    """Write the listening page of the raw-waveform runs, side by side.

    Parameters
    ----------
    runs : dict of str -> Run
        Trained on the same records and split.
    records : Records
    path : path
        The HTML file.
    clips : int
        How many test clips the page holds.
    analyses : sequence of Analysis, optional
        Of some of the runs, by name; what is missing is measured here.
    twin : bool
        Measure the untrained networks, too, where there is no analysis.
    progress : bool

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        None of the runs takes a raw waveform.
    RecordsError, TrainingError, PageTooLargeError
        The split has no test clips, a run has no weights yet, or the page would take 2 MB or more.
    """
    models = {name: run.model() for name, run in runs.items() if run.row.reads_waveform}
    if not models:
        raise ValueError(f"None of {', '.join(runs)} takes a raw waveform, so there is nothing to listen to.")
    first = next(iter(runs.values()))
    indices = records.part("test", first.record["split"])
    chosen = indices[varied(records.labels(indices, first.tags), clips)]
    known = {found.name: found for found in analyses}
    probes, twins, scores, channel_tags = {}, {}, {}, {}
    for name, model in models.items():
        tags, found = runs[name].tags, known.get(name)
        scores[name] = [_top(tags, row) for row in Scorer(model)(records, chosen)]
        if found is not None:
            channels, probes[name], twins[name] = found.channels, found.probe, found.untrained
        else:
            channels = selective(listen_through(model, records, indices, progress), records, indices, tags)
            probes[name] = spectra.tone_probe(model, sr=records.sr, levels_dbfs=(LEVEL_DBFS,))
            twins[name] = _probe_untrained(runs[name], records.sr) if twin else None
        channel_tags[name] = {stage: own_tags(each) for stage, each in channels.items()}
    shown = [records.catalog.clip(index) for index in chosen]
    seconds = SECONDS.get(len(models), FEWEST_SECONDS)
    pieces = [page.excerpt(clip, seconds, y=records.waveform(clip.clip_id), sr=records.sr) for clip in shown]
    measured = page.Measured(probes, twins, scores, channel_tags)
    return page.write(path, models, pieces, measured=measured, sr=records.sr)


def _top(tags: Sequence[str], row: np.ndarray) -> dict[str, float]:
    return {tags[k]: float(row[k]) for k in np.argsort(-row)[:5]}


def _probe_untrained(run: Run, sr: int) -> spectra.ToneProbe:
    before: keras.Model = run.model(trained=False)
    return spectra.tone_probe(before, sr=sr, levels_dbfs=(LEVEL_DBFS,))


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
