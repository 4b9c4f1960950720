"""A study on disk: one compressed file with a line of JSON for each result, and the steps that networks train for."""

import gzip
import json
import zlib
from pathlib import Path

import filelock

from tagkit.evaluation.result import Result
from tagkit.studies.plans import slug
from tagkit.system import files, paths


class Store:
    """The results of one study, by the network's name and the seed, and each network's steps.

    Parameters
    ----------
    study : str
    folder : path, optional
        Default: docs/results.
    """

    def __init__(self, study: str, folder: str | Path | None = None):
        self.path = Path(folder or paths.results_dir()) / f"{study}.jsonl.gz"
        self.steps_path = self.path.with_name(f"{study}.steps.json")

    def read(self) -> dict[tuple[str, int], Result]:
        """All results, sorted by name and seed; none where there is no file.

        Raises
        ------
        ValueError
            The file is damaged.
        """
        if not self.path.is_file():
            return {}
        try:
            lines = gzip.decompress(self.path.read_bytes()).decode().splitlines()
            results = [Result.from_json(json.loads(line)) for line in lines]
        except (ValueError, gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{self.path} is damaged ({error}); restore it, or remove it and train again.") from error
        return {(r.name, r.seed): r for r in results}

    def add(self, result: Result) -> None:
        """Add a result, or replace that of the same name and seed; several processes may do so at once.

        The same results give the same bytes, in whatever order they were added.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.path.with_name(f".{self.path.name}.lock")):
            files.sweep(self.path.parent, self.path.name)
            results = (self.read() | {(result.name, result.seed): result}).values()
            ordered = sorted(results, key=lambda r: f"{slug(r.name)}-{r.seed}")
            lines = (json.dumps(r.to_json(), ensure_ascii=False, allow_nan=False) + "\n" for r in ordered)
            with files.atomic(self.path) as temporary:
                temporary.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))

    def steps(self, name: str, budget_s: float) -> int | None:
        """For how many steps a network trains on a budget of CPU seconds, once `settle` has said so."""
        settled = files.read_json(self.steps_path) if self.steps_path.is_file() else {}
        return settled.get(f"{name}, {budget_s:g} s")

    def settle(self, name: str, budget_s: float, steps: int) -> None:
        """Keep for how many steps a network trains, so that seeds, machines and later repetitions train alike."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.path.with_name(f".{self.path.name}.lock")):
            files.sweep(self.path.parent, self.steps_path.name)
            settled = files.read_json(self.steps_path) if self.steps_path.is_file() else {}
            files.write_json(self.steps_path, dict(sorted((settled | {f"{name}, {budget_s:g} s": steps}).items())))
