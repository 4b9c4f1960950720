"""What the notebooks and `tagkit demo` work on: datasets, records and runs, each made when first asked for.

Everything lies under `paths.home()`, everything that exists is reused, and what was interrupted goes on. With the
environment variable TAGKIT_SMOKE=1 it is the same at a tiny size: to see that everything works, in seconds.
"""

import os
from dataclasses import replace
from pathlib import Path

from tagkit.analysis.portrait import Portrait, measure
from tagkit.data import demo, magnatagatune
from tagkit.data.catalog import Catalog, CatalogError
from tagkit.data.prepare import prepare
from tagkit.data.records import Records
from tagkit.evaluation import evaluate
from tagkit.evaluation.result import Result
from tagkit.graph.specs import Row
from tagkit.system import files, paths
from tagkit.training.config import DEMO_RUNS, TrainingConfig
from tagkit.training.loop import train
from tagkit.training.runs import Run

DEMO_CLIPS, SMOKE_CLIPS = 300, 40
# More music than the demo, of the same pieces: 20, 64 and all 191 training pieces give 322, 1,004 and 3,000 clips.
RENDERED, NESTED = {"train": 3_000, "valid": 200, "test": 600}, (20, 64)


def is_smoke() -> bool:
    """Whether TAGKIT_SMOKE asks for the tiny size."""
    return os.environ.get("TAGKIT_SMOKE", "") not in ("", "0")


def catalog(dataset: str = "demo") -> Catalog:
    """The Catalog of a dataset: the demo is rendered first, MagnaTagATune must lie in data/raw/magnatagatune.

    Parameters
    ----------
    dataset : {"demo", "rendered", "magnatagatune"}
        Of the demo, 300 clips (40 in a smoke run). "rendered" is more of it: 3,000 clips to train on, 600 to test on.

    Raises
    ------
    CatalogError
        There is no such dataset, or its files are missing or damaged.
    """
    if dataset == "demo":
        root = paths.data_dir() / "demo"
        demo.render(root, SMOKE_CLIPS if is_smoke() else DEMO_CLIPS)
        return demo.read(root)
    if dataset == "rendered":
        return demo.render(paths.data_dir() / "rendered", RENDERED, nested=NESTED)
    if dataset == "magnatagatune":
        return magnatagatune.read(paths.data_dir() / "raw" / "magnatagatune")
    raise CatalogError(f"There is no dataset {dataset!r} here; choose demo, rendered or magnatagatune.")


def records(dataset: str = "demo") -> Records:
    """The records of a dataset, prepared if they are not there yet."""
    return prepare(catalog(dataset), paths.data_dir() / "records" / dataset, sr=16_000)


def config(model: str | Row, **changes: object) -> TrainingConfig:
    """The settings that the demo trains a network with, cut short in a smoke run.

    Parameters
    ----------
    model : str or Row
        A row of the zoo, or one of your own; one that `DEMO_RUNS` does not name takes dm16's settings.
    **changes
        Fields of TrainingConfig.
    """
    settings = replace(DEMO_RUNS.get(model, DEMO_RUNS["dm16"]), model=model, **changes)
    return settings.smoke() if is_smoke() else settings


def run(
    model: str | Row, source: Records | None = None, group: str = "demo", name: str | None = None, **changes: object
) -> Run:
    """A trained network: runs/GROUP/NAME, trained now if it is not there yet.

    Parameters
    ----------
    model : str or Row
        A row of the zoo, or one of your own.
    source : Records, optional
        Default: the demo's.
    group, name : str, optional
        Where the run lies; `name` defaults to the model's.
    **changes
        As for `config`.
    """
    settings = config(model, **changes)
    return train(settings, source or records(), paths.runs_dir() / group / (name or settings.network))


def portrait(run: Run, **settings: object) -> Portrait:
    """All that was measured of a run: see `tagkit.analysis.portrait.measure`, which also takes the settings."""
    small = {"tones": 4, "clips": min(settings.get("clips") or 12, 12)} if is_smoke() else {}
    return measure(run, **settings | small)


def results(runs: dict[str, Run], path: Path) -> dict[str, Result]:
    """Test scores of some runs by name, kept in the JSON file `path` until a run is newer."""
    current = is_newer(path, *(r.root / "run.json" for r in runs.values()))
    if not current or set(files.read_json(path)) != set(runs):
        files.write_json(path, {name: evaluate.evaluate(r).to_json() for name, r in runs.items()})
    return {name: Result.from_json(content) for name, content in files.read_json(path).items()}


def is_newer(path: Path, *sources: Path) -> bool:
    """Whether `path` exists and none of `sources` was written after it."""
    return path.is_file() and all(path.stat().st_mtime_ns >= s.stat().st_mtime_ns for s in sources)
