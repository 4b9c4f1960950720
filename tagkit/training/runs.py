"""Trained networks on disk: what a run folder holds, and what its scores depend on."""

import hashlib
import importlib.metadata
import platform
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tagkit
from tagkit.data.records import Records, RecordsError
from tagkit.graph import specs
from tagkit.system import files, paths
from tagkit.training.config import TrainingConfig

if TYPE_CHECKING:  # a run is opened without Keras
    import keras

    from tagkit.graph.windowing import Windowing

BEST_WEIGHTS = "best.weights.h5"


class TrainingError(ValueError):
    """A run cannot be opened, started or continued; the message says why and what to do."""


@dataclass(frozen=True)
class Run:
    """A trained (or half-trained) network on disk.

    Attributes
    ----------
    root : Path
    record : dict
        As in run.json.
    """

    root: Path
    record: dict = field(repr=False)

    @classmethod
    def open(cls, root: str | Path) -> "Run":
        """Open a run folder; TrainingError says what to do where there is none."""
        root = Path(root)
        if not (root / "run.json").is_file():
            raise TrainingError(f"{root} holds no run (no run.json); train one with `tagkit train --out {root}`.")
        record = files.read_json(root / "run.json")
        if "windowing" not in record:
            raise TrainingError(f"{root} was trained by an older tagkit; remove it and train it again.")
        return cls(root, record)

    @property
    def config(self) -> TrainingConfig:
        """The settings that the run was started with."""
        return TrainingConfig.from_dict(self.record["config"])

    @property
    def row(self) -> specs.Row:
        """The architecture."""
        return specs.Row.from_dict(self.record["row"])

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags in the order of the model's outputs."""
        return tuple(self.record["tags"])

    @property
    def exclusive(self) -> bool:
        """Whether the tags are classes of which a clip has one."""
        return self.config.task == "exclusive"

    @property
    def windowing(self) -> "Windowing":
        """What an example is: a window, a whole clip, or all windows of a clip."""
        from tagkit.graph.windowing import Windowing

        return Windowing(**self.record["windowing"])

    @property
    def imported(self) -> dict | None:
        """Where a published network comes from (`tagkit.graph.published.networks.Published.about`); None for others."""
        return self.record.get("imported")

    @property
    def finished(self) -> bool:
        """Whether training ran to its end."""
        return self.record["finished"]

    @property
    def records_root(self) -> Path:
        """The records that the run was trained on: where they were, or in data/records if all was moved since."""
        then = Path(self.record["records"])
        now = paths.data_dir() / "records" / then.name
        return now if not then.exists() and now.exists() else then

    def open_records(self, records: Records | None = None) -> Records:
        """The records that the run was trained on, or these; TrainingError if they hold other data.

        An imported network has none of its own and takes any at its sampling rate.
        """
        if self.imported:
            return self._suited(records)
        if records is None:
            if not (self.records_root / "manifest.json").is_file():
                raise RecordsError(
                    f"{self.records_root} holds no finished records, and {self.root} was trained on those that were "
                    "there; say where they are now with --records."
                )
            records = Records.open(self.records_root)
        if not records.holds(self.record["data"]) or records.sr != self.row.sr:
            raise TrainingError(
                f"{records.root} holds {records.fingerprint} at {records.sr} Hz, but {self.root} was trained on "
                f"{self.record['data']} at {self.row.sr} Hz: name the records that it was trained on."
            )
        return records

    def _suited(self, records: Records | None) -> Records:
        if records is None:
            raise TrainingError(f"{self.root} was imported and has no records of its own; name some (--records).")
        if records.sr != self.row.sr:
            raise TrainingError(f"{records.root} is at {records.sr} Hz, but {self.root} takes {self.row.sr} Hz.")
        return records

    def needs_single_windows(self, use: str) -> None:
        """TrainingError if the network merges the windows of a clip, which rules out this use of it."""
        if self.windowing.method:
            raise TrainingError(f"{self.root} merges the windows of a clip; {use} takes a network of single windows.")

    def tags_in(self, records: Records) -> tuple[str, ...]:
        """Those of the network's tags that records know; of an imported network, not all need be there."""
        return tuple(tag for tag in self.tags if tag in records.catalog.labels.columns)

    @property
    def best_weights(self) -> Path:
        """The weights at the best validation score; TrainingError where there are none yet."""
        path = self.root / BEST_WEIGHTS
        if not path.is_file():
            raise TrainingError(f"{path} is missing: the run has not reached its first validation; train it on.")
        return path

    @property
    def weights_sha256(self) -> str:
        """Hash of the best weights, 64 hex digits; TrainingError where there are none yet."""
        return hashlib.sha256(self.best_weights.read_bytes()).hexdigest()

    def model(self, trained: bool = True) -> "keras.Model":
        """The network with its best weights, or as its seed initialises it (the random-initialisation control).

        It is rebuilt from the architecture in run.json and plain weights: no code is loaded from the folder.

        Raises
        ------
        TrainingError
            There are no weights yet, or they are not this network's.
        """
        model = self.windowing.build(self.row, len(self.tags), self.config.seed)
        if trained:
            try:
                model.load_weights(self.best_weights)
            except (OSError, ValueError, KeyError) as error:
                raise TrainingError(
                    f"{self.best_weights} holds no weights of {self.row.name} ({error}); "
                    f"remove {self.root} and train again."
                ) from error
        return model


def code_version() -> dict[str, str]:
    """Versions of tagkit (with its git commit where it is a checkout) and of what the result depends on."""
    packages = {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "numpy")}
    return {"tagkit": tagkit.__version__, "commit": _git_commit(), "python": platform.python_version()} | packages


def _git_commit() -> str:
    """The commit of the checkout that this file lies in, with "+changes" if it was edited; "" elsewhere."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        # Installed inside somebody else's checkout, this file is not part of it, nor is its commit ours.
        subprocess.run([*git, "ls-files", "--error-unmatch", Path(__file__).name], capture_output=True, check=True)
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        edits = subprocess.run([*git, "status", "--porcelain", "."], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit + ("+changes" if edits else "")
