"""Checkpoints: everything that the next step depends on, in one file that is replaced as a whole.

Variables are kept under their paths and checked for shape and dtype when they are restored. Of several processes that
train one network, the chief alone writes.
"""

import json
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from tagkit.system import files
from tagkit.training.runs import TrainingError

CHECKPOINT = "checkpoint.npz"


@dataclass
class Progress:
    """How far a training has come.

    Attributes
    ----------
    step
        Steps done.
    phase
        Its number, from 0.
    history
        One row for each validation, as in run.json.
    losses
        Of each step since the last validation.
    cpu_seconds
        Of steps, in this process.
    """

    step: int = 0
    phase: int = 0
    history: list[dict] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    @property
    def best(self) -> int | None:
        """Index in `history` of the first validation with the best ROC-AUC; None before the first."""
        return int(np.argmax([row["valid_roc_auc"] for row in self.history])) if self.history else None


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: progress, and arrays by the path of their variable."""

    path: Path
    progress: Progress
    arrays: dict[str, np.ndarray]

    def restore(self, variables: dict[str, keras.Variable]) -> None:
        """Give variables, by their paths, the values that they had.

        Raises
        ------
        TrainingError
            The checkpoint has other variables, or one of another shape or dtype; no variable has changed then.
        """
        remedy = f"remove {self.path} and train again."
        if unknown := sorted(self.arrays.keys() ^ variables.keys()):
            where = "is only in the checkpoint" if unknown[0] in self.arrays else "is missing"
            raise TrainingError(f"{self.path} belongs to another network: {unknown[0]} {where}; {remedy}")
        for path, variable in variables.items():
            array = self.arrays[path]
            theirs, ours = (array.dtype.name, array.shape), (variable.dtype, tuple(variable.shape))
            if theirs != ours:
                there, here = (f"{dtype} {shape}" for dtype, shape in (theirs, ours))
                raise TrainingError(f"{self.path} has {path} as {there}, but the network has {here}; {remedy}")
        for path, variable in variables.items():
            variable.assign(self.arrays[path])


def read(folder: Path) -> Checkpoint | None:
    """The checkpoint in a run folder, if there is one; TrainingError if it is damaged."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as saved:
            arrays = dict(saved)
        progress = json.loads(str(arrays.pop("progress")))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise TrainingError(f"{path} is damaged ({error}); remove it and train again.") from error
    if "variable_0" in arrays:
        raise TrainingError(f"{path} was written by an older tagkit; remove it and train again.")
    return Checkpoint(path, Progress(**progress), arrays)


def write(folder: Path, progress: Progress, variables: dict[str, keras.Variable]) -> None:
    """Replace the checkpoint in a run folder; `variables` go by their paths."""
    plain = json.dumps(vars(progress) | {"losses": [float(x) for x in progress.losses]})
    with files.atomic(folder / CHECKPOINT) as temporary, temporary.open("wb") as stream:
        np.savez(stream, progress=plain, **{path: variable.numpy() for path, variable in variables.items()})


def variables(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> dict[str, keras.Variable]:
    """Weights, statistics, states of random generators and the optimizer's variables, by their paths.

    Keras counts random generators through a process; here they go by their layer, numbered where it has several.
    """
    named, generators = {}, Counter()
    for layer in model.layers:
        for variable in layer.variables:
            path = variable.path
            if path.startswith("seed_generator"):
                generators[layer.name] += 1
                path = f"{layer.name}/seed_generator_{generators[layer.name]}"
            named[path] = variable
    return named | {variable.path: variable for variable in optimizer.variables}
