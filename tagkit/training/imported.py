"""Published networks as runs: `tagkit import` puts one into a run folder, where it is used like any other."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path

from tagkit.graph import zoo
from tagkit.graph.published import networks
from tagkit.graph.windowing import Windowing
from tagkit.system import files, paths
from tagkit.training.config import TrainingConfig
from tagkit.training.runs import BEST_WEIGHTS, Run, TrainingError, code_version


def folder(name: str) -> Path:
    """Where a published network is imported to, unless another folder is named."""
    return paths.runs_dir() / "imported" / name


def import_network(
    name: str,
    out: str | Path | None = None,
    file: str | Path | None = None,
    base_url: str | None = None,
    progress: bool = True,
) -> Run:
    """Fetch a published network, check its file, and make a run of it; one that is there is returned as it is.

    No code of the file is run. The file is kept in data/raw/published, so that nothing is fetched twice.

    Parameters
    ----------
    name
        One of `tagkit.graph.published.networks.NETWORKS`.
    out
        The run folder. Default: runs/imported/NAME.
    file
        The published file, where you have it already.
    base_url
        A mirror of the repository that the file lies in.

    Raises
    ------
    DownloadError, WeightsError
        The file cannot be fetched, is not the published one, or is damaged; nothing is left behind.
    TrainingError
        `out` holds something else.
    """
    network = networks.find(name)
    out = Path(out) if out else folder(name)
    if (out / "run.json").is_file():
        run = Run.open(out)
        if (run.imported or {}).get("checksum") != network.origin.checksum or run.imported["name"] != name:
            raise TrainingError(f"{out} holds another run; remove it, or choose another folder with --out.")
        return run
    if out.exists():
        raise TrainingError(f"{out} exists and holds no run; remove it, or choose another folder with --out.")
    kept = paths.data_dir() / "raw" / "published"
    path = network.check(Path(file)) if file else network.fetch(kept, base_url, progress)
    model = network.load(path)
    temporary = out.with_name(f".{os.getpid()}.{out.name}")
    temporary.mkdir(parents=True)
    try:
        model.save_weights(temporary / BEST_WEIGHTS)
        files.write_json(temporary / "run.json", _record(network))
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Run.open(out)


def open_run(root: str | Path) -> Run:
    """The run in a folder, or the published network of this name, which is imported if it was not yet.

    A folder comes first. TrainingError says what to do where it holds no run.
    """
    name = str(root)
    if name in networks.NETWORKS and not (Path(root) / "run.json").is_file():
        return import_network(name)
    return Run.open(root)


def _record(network: networks.Published) -> dict:
    row = zoo.find(network.row)
    return {
        "config": TrainingConfig(model=row.name).to_dict(),
        "row": row.to_dict(),
        "windowing": asdict(Windowing("split", row.samples)),
        "tags": list(network.tags),
        "records": None,
        "data": None,
        "decoding": None,
        "dataset": network.dataset,
        "split": None,
        "split_sizes": {},
        "seed": 0,
        "init": None,
        "code": code_version(),
        "finished": True,
        "history": [],
        "imported": network.about(),
    }
