"""Model packages: a trained network in one folder, with all that is needed to use it without tagkit.

A package holds::

    model.keras, savedmodel/, model.onnx or model.tflite
    model.json             tags in order, sampling rate, window, normalisation, split, scores, calibration
    README.md              the model card: data, intended use and limits
    tag.py                 a script that tags a file
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from tagkit.data.records import Records, RecordsError
from tagkit.data.windows import window_starts
from tagkit.deploy.export import card, runtimes
from tagkit.deploy.export.portable import portable
from tagkit.deploy.export.script import script
from tagkit.evaluation import calibrate, evaluate
from tagkit.graph import specs
from tagkit.graph.scorer import Scorer
from tagkit.system import files
from tagkit.training.runs import Run, TrainingError, code_version

FORMATS = tuple(runtimes.FORMATS)
TOLERANCE = 1e-4
MOST_WINDOWS = 32  # that a package is compared on


class ExportError(ValueError):
    """A network cannot be exported in a format; the message says why and what to do."""


@dataclass(frozen=True)
class Package:
    """A finished package.

    Attributes
    ----------
    root : Path
    content : dict
        As in model.json.
    """

    root: Path
    content: dict


def export(run: Run, form: str, out: str | Path | None = None, records: Records | None = None) -> Package:
    """Write a run's network as a package, and compare what its own runtime makes of real windows with Keras' scores.

    Parameters
    ----------
    form : {"keras", "savedmodel", "onnx", "litert"}
    out : path, optional
        The folder to write, which must not exist yet. Default: ``RUN/export/FORMAT``.
    records : Records, optional
        What the network is scored and compared on. Default: those that the run was trained on, if they are there.

    Returns
    -------
    Package

    Raises
    ------
    ExportError
        `out` exists, the network takes all windows of a clip at once, a runtime is missing, or the exported network's
        scores are not within 1e-4 of Keras'; nothing is left behind.
    TrainingError
        `records` are not those that the run was trained on.
    """
    if form not in FORMATS:
        raise ExportError(f"There is no format {form!r}; choose one of {', '.join(FORMATS)}.")
    out = Path(out) if out else run.root / "export" / form
    if out.exists():
        raise ExportError(f"{out} exists; remove it, or choose another folder with --out.")
    if records is not None:
        run.open_records(records)
    model = run.model()
    if len(model.input_shape) != 3:
        raise ExportError(f"{run.root} sees all windows of a clip at once; export a run of a network of one window.")
    if form == "keras" and isinstance(run.row.frontend, specs.Own):
        raise ExportError(f"{run.root} has a front-end of its own, which a .keras file cannot hold; take savedmodel.")
    runtimes.check(form)
    windows, source = _windows(run, records, model.input_shape[1])
    expected = Scorer(model, len(windows), run.exclusive).windows(windows)
    temporary = out.with_name(f".{os.getpid()}.{out.name}")
    temporary.mkdir(parents=True)
    try:
        score = _write(model, run.exclusive, form, temporary)
        difference = float(np.abs(score(windows / np.float32(32768)) - expected).max())
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{run.root} as {form} gives scores that are up to {difference:.2g} from Keras' on {source}, more than "
                f"{TOLERANCE:g}; choose another format."
            )
        checked = {"windows": len(windows), "of": source, "largest_difference": difference}
        content = describe(run, records, form, model.input_shape[1]) | {"checked": checked}
        files.write_json(temporary / "model.json", content)
        (temporary / "tag.py").write_text(script(form), encoding="utf-8")
        (temporary / "README.md").write_text(card.text(content, runtimes.FORMATS[form].runtime), encoding="utf-8")
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Package(out, content)


def describe(run: Run, records: Records | None, form: str, window: int) -> dict:
    """What model.json holds; scores and calibration are None, with the reason, where the run's records are gone."""
    record = run.record
    content = {
        "model": run.config.model,
        "format": form,
        "file": runtimes.FORMATS[form].file,
        "tags": list(run.tags),
        "sample_rate": record["row"]["sr"],
        "window": window,
        "input": "waveform: float32 (batch, window), mono, 16-bit samples divided by 32768; no other normalisation",
        "output": "scores: float32 (batch, tags), from 0 to 1; a file's scores are the means of its windows'"
        + ", and sum to 1: every file is taken for one of the tags" * run.exclusive,
        "windows_of_a_file": "ceil(samples / window) of them, evenly spaced, the last one ending with the file",
        "trained_on": {key: record[key] for key in ("dataset", "data", "split", "split_sizes")},
        "architecture": record["row"]["source"],
        "seed": record["seed"],
        "trained_with": record["code"],
        "imported": run.imported,
        "exported_with": code_version(),
        "scores": None,
        "calibration": None,
        "unknown": None,
    }
    try:
        scored = evaluate.evaluate(run, records, progress=False).to_json()
        kept = ("roc_auc", "roc_auc_ci", "pr_auc", "pr_auc_ci", "split", "part", "clips", "interval", "tags")
        content["scores"] = {key: scored[key] for key in (*kept, "classes") if key in scored}
        content["calibration"] = calibrate.of_run(run, records).to_dict()
    except (RecordsError, TrainingError) as error:
        content["unknown"] = f"Scores are not known, as the records were not there when this was exported: {error}"
    return content


def _write(model: keras.Model, exclusive: bool, form: str, folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Write the network and open it again in its own runtime: a function from waveforms to scores."""
    kind = runtimes.FORMATS[form]
    try:
        network = portable(model, exclusive, unroll=form == "litert")
        network(np.zeros((1, model.input_shape[1]), np.float32))  # Keras exports no network that was never called
        kind.write(network, folder / kind.file)
        return kind.open(folder / kind.file)
    except (RuntimeError, NotImplementedError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(f"{model.name} cannot be written as {form} ({reason}); choose another format.") from error


def _windows(run: Run, records: Records | None, window: int) -> tuple[np.ndarray, str]:
    """Windows (windows, window) of int16 to compare on: of test clips, or noise where the records are gone."""
    try:
        records = run.open_records(records)
        indices = records.part("test", run.record["split"])
    except (RecordsError, TrainingError):
        loudness = np.geomspace(10, 10_000, MOST_WINDOWS)[:, None]
        noise = np.random.default_rng(0).normal(0, loudness, (MOST_WINDOWS, window))
        return np.clip(noise, -32768, 32767).astype(np.int16), "noise"
    cuts = [(p, s) for p in indices for s in window_starts(int(records.lengths[p]), window)]
    chosen = np.linspace(0, len(cuts) - 1, min(MOST_WINDOWS, len(cuts))).round().astype(int)
    return np.stack([records.read(*cuts[k], window) for k in chosen]), f"windows of {records.catalog.name}'s test part"
