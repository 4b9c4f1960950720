"""The start of a training: decide what it is to be, build it, and restore how far it had come.

`decide` compares settings, records and run folder without building anything; `build` returns a training that is
complete, at its first step or at the step after its last checkpoint.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tagkit import graph
from tagkit.data.records import Records
from tagkit.data.windows import TrainingWindows, augmented
from tagkit.graph import windowing, zoo
from tagkit.graph.scorer import Scorer
from tagkit.system import code, files, keras_settings
from tagkit.system.code import CodeError
from tagkit.training import checkpoint, optimizers, step
from tagkit.training.checkpoint import Progress
from tagkit.training.config import Phase, TrainingConfig
from tagkit.training.devices import Devices
from tagkit.training.runs import Run, TrainingError, code_version
from tagkit.training.teacher import Teacher


@dataclass(frozen=True)
class Plan:
    """What a training is to be.

    Attributes
    ----------
    run
        As run.json has it, or will have it once the network can be built.
    valid
        Validation clips, by their indices in `records`: (clips,).
    labels
        Their tags, (clips, tags) bool.
    teacher
        Whose scores are learned, if any.
    """

    config: TrainingConfig
    records: Records
    devices: Devices
    run: Run
    valid: np.ndarray
    labels: np.ndarray
    teacher: Teacher | None = None


@dataclass
class Training:
    """A training that can take its next step.

    Attributes
    ----------
    windows
        Batches of the training clips.
    loss
        From labels and logits, (batch, tags), to (batch,).
    take_step
        From this process' rows of a batch to the loss, with the optimizer of the phase.
    """

    plan: Plan
    model: keras.Model
    scorer: Scorer
    windows: TrainingWindows
    loss: Callable
    progress: Progress
    optimizer: keras.optimizers.Optimizer
    take_step: Callable

    @property
    def phases(self) -> tuple[Phase, ...]:
        """All phases of this training."""
        return self.plan.config.schedule

    @property
    def variables(self) -> dict[str, keras.Variable]:
        """All that the next step depends on, by path."""
        return checkpoint.variables(self.model, self.optimizer)

    def enter(self, phase: int) -> None:
        """Begin the phase with this number: a fresh optimizer, and the step that uses it."""
        self.progress.phase = phase
        self.optimizer, self.take_step = _stepper(self.plan, self.model, self.loss, phase)

    def phase_is_over(self) -> bool:
        """Whether the phase has had its validations, or too many of them without a better score than any before."""
        history, phase = self.progress.history, self.phases[self.progress.phase]
        here = sum(row["stage"] == self.progress.phase for row in history)
        waited = min(len(history) - 1 - (self.progress.best or 0), here)
        return 0 < phase.validations <= here or 0 < phase.patience <= waited

    def is_over(self) -> bool:
        """Whether the last phase is over."""
        return self.progress.phase + 1 == len(self.phases) and self.phase_is_over()


def decide(config: TrainingConfig, records: Records, out: Path, devices: Devices) -> Plan:
    """Settle what is trained in the run folder `out`; it stays as it is.

    Raises
    ------
    TrainingError
        The records do not suit the network or cannot judge it, or `out` holds a run with other settings or data.
    """
    row = zoo.find(config.model)
    if zoo.ROWS.get(row.name, row) != row:
        raise TrainingError(f"{row.name} is the name of another network in the zoo; give yours a name of its own.")
    if records.sr != row.sr:
        raise TrainingError(
            f"{records.root} has {records.sr} Hz, but {row.name} takes {row.sr} Hz; prepare it with --sr {row.sr}."
        )
    devices.check(config.batch_size)
    if config.freeze and not config.init:
        raise TrainingError(f"There are no trained weights to freeze up to {config.freeze}: start from a run (--init).")
    teacher = Teacher.open(config.teacher, config.teacher_weight) if config.teacher else None
    tags = teacher.run.tags if teacher else records.catalog.tags(config.vocabulary)
    config = config.settled("multi-label" if teacher else records.catalog.task(config.vocabulary))
    train, valid = (records.part(part, config.split) for part in ("train", "valid"))
    if teacher:
        labels = teacher.judged(records, _part("valid", config, records), valid, devices.chief)
    else:
        labels = records.labels(valid, tags)
    if not (labels.any(0) & ~labels.all(0)).any():
        raise TrainingError(f"No tag tells the {len(valid)} valid clips of {records.root} apart; give it more.")
    _check_classes(config, records, labels)
    example = windowing.settle(row, config.windowing, int(np.median(records.lengths[train])))
    record = _record(config, records, row, example, tags) | {"devices": devices.describe()}
    if teacher:
        record |= {"teacher": teacher.about()}
    return Plan(config, records, devices, _reopened(out, record) or Run(out, record), valid, labels, teacher)


def _check_classes(config: TrainingConfig, records: Records, valid: np.ndarray) -> None:
    """TrainingError if clips are to have one class each and have not, or the windowing has no answer for classes."""
    if config.task != "exclusive":
        return
    train = records.labels(records.part("train", config.split), records.catalog.tags(config.vocabulary))
    if (np.concatenate([train, valid]).sum(1) != 1).any():
        raise TrainingError(f"Some clips of {records.root} have no tag or several; train with --task multi-label.")
    if config.windowing in ("superpool_mean", "superpool_attention"):
        raise TrainingError(f"{config.windowing} averages the scores of tags, not of classes; take another windowing.")


def build(plan: Plan) -> Training:
    """Build the network and its optimizer, and go on from the checkpoint if there is one.

    Raises
    ------
    TrainingError
        The checkpoint is damaged or of another network, `config.init` does not fit, or machines that train together
        see different run folders.
    """
    config, devices, run = plan.config, plan.devices, plan.run
    tf.config.experimental.enable_op_determinism()
    with devices.strategy.scope():
        model = run.windowing.build(run.row, len(run.tags), config.seed, synchronized=devices.replicas > 1)
    if config.init:
        load_pretrained(model, Run.open(config.init))
    if config.freeze:
        freeze(model, config.freeze)
    windows = _windows(plan)
    loss = optimizers.build_loss(config, windows.labels.sum(0))
    # Not before all of that has worked: settings that cannot be built do not bind the folder.
    if devices.chief and not (run.root / "run.json").is_file():
        files.write_json(run.root / "run.json", run.record)
    saved = checkpoint.read(run.root)
    progress = saved.progress if saved else Progress()
    optimizer, take_step = _stepper(plan, model, loss, progress.phase)
    if saved:
        saved.restore(checkpoint.variables(model, optimizer))
    devices.part_seeds(model)
    _agree(plan, progress.step)
    scorer = Scorer(model, exclusive=run.exclusive)
    return Training(plan, model, scorer, windows, loss, progress, optimizer, take_step)


def _augmentation(config: TrainingConfig, samples: int, sr: int) -> Callable | None:
    """The augmentation of the user's own, tried on noise; CodeError if it fails."""
    if config.augmentation is None:
        return None
    function = code.callable_of(code.load(config.augmentation).value)
    rng = np.random.default_rng(0)
    try:
        augmented(rng.integers(-9_000, 9_000, samples, np.int16), function, sr, rng)
    except Exception as error:
        raise CodeError(f"{config.augmentation} fails on a window of {samples} samples: {error}") from error
    return function


def freeze(model: keras.Model, last: str) -> None:
    """Keep the weights of a stage and of all before it, and the statistics of their norms.

    Raises
    ------
    TrainingError
        The network has no such stage, or none behind it.
    """
    names = list(graph.stages(model))
    if last not in names[:-1]:
        raise TrainingError(f"{model.name} has no stage {last!r} to freeze; choose one of {', '.join(names[:-1])}.")
    kept = set(names[: names.index(last) + 1])
    for layer in model.layers:
        if layer.name.split("_")[0] in kept:
            layer.trainable = False


def _part(name: str, config: TrainingConfig, records: Records) -> str:
    """The name of a part, with that of its split."""
    return f"{config.split or records.catalog.default_split}-{name}"


def _windows(plan: Plan) -> TrainingWindows:
    """The training clips with what is learned of them."""
    config, records, example, teacher = plan.config, plan.records, plan.run.windowing, plan.teacher
    settings = config.windows | {"augmentation": _augmentation(config, example.samples, records.sr)}
    if teacher is None:
        return TrainingWindows.of(records, plan.run.tags, example.samples, example.windows, **settings)
    indices = records.part("train", settings.pop("split"))
    soft = teacher.soft(records, _part("train", config, records), indices, plan.devices.chief)
    return TrainingWindows(
        records,
        indices,
        teacher.labels(records, indices),
        example.samples,
        example.windows,
        soft=soft,
        soft_weight=np.where(teacher.known(records), teacher.weight, 1.0).astype(np.float32),
        **settings,
    )


def load_pretrained(model: keras.Model, run: Run) -> None:
    """Load the best weights of a run into the layers of the same names, all but those that tell the tags.

    Raises
    ------
    TrainingError
        A layer has another shape there, as behind windows of another length.
    """
    theirs = {layer.name: layer for layer in run.model().layers}
    for layer in model.layers:
        if layer.weights and layer.name in theirs and not layer.name.startswith(("logits_", "window_", "merge")):
            weights = theirs[layer.name].get_weights()
            if [w.shape for w in weights] != [tuple(w.shape) for w in layer.weights]:
                raise TrainingError(
                    f"Layer {layer.name} has another shape in {run.root}; start from a run with the same windowing."
                )
            layer.set_weights(weights)


def _stepper(plan: Plan, model: keras.Model, loss: Callable, phase: int) -> tuple[keras.Optimizer, Callable]:
    """A fresh optimizer of a phase, and the step that uses it."""
    config, devices = plan.config, plan.devices
    with devices.strategy.scope():
        optimizer = optimizers.build_optimizer(config, config.schedule[phase])
        optimizer.build(model.trainable_variables)
    return optimizer, step.build(model, optimizer, loss, devices, config.batch_size)


def _agree(plan: Plan, step: int) -> None:
    """Check that all processes are about to take the same step: they read the same folder, or they do not."""
    if plan.devices.total(np.float32([step]))[0] != step * plan.devices.processes:
        raise TrainingError(
            f"{plan.run.root} differs between the {plan.devices.processes} machines that train it (here it is at step "
            f"{step}); put it on a disk that all of them share."
        )


def _record(
    config: TrainingConfig, records: Records, row: zoo.Row, example: windowing.Windowing, tags: tuple[str, ...]
) -> dict:
    """What run.json holds of a run that begins."""
    split = config.split or records.catalog.default_split
    return {
        "config": config.to_dict(),
        "row": row.to_dict(),
        "windowing": asdict(example),
        "tags": list(tags),
        "records": str(records.root.resolve()),
        "data": records.fingerprint,
        "decoding": records.decoding,
        "dataset": records.catalog.name,
        "split": split,
        "split_sizes": records.catalog.split_sizes(split),
        "seed": config.seed,
        "init": _origin(config.init, row),
        "own_code": {named: code.load(named).sha256 for named in _own(config)},
        "code": code_version(),
        "keras": keras_settings.in_force(),
        "finished": False,
        "history": [],
    }


def _own(config: TrainingConfig) -> list[str]:
    """What of the user's own code a training uses."""
    return [name for name in (config.loss, config.augmentation) if name and code.is_reference(name)]


def _reopened(out: Path, record: dict) -> Run | None:
    """The run in a folder, if there is one; TrainingError if it is not the one that `record` describes."""
    if not (out / "run.json").is_file():
        return None
    run = Run.open(out)
    drawn = {"row": run.row.to_dict(), "config": run.config.to_dict()}  # with what has been added to tables since
    ours, theirs = (json.loads(json.dumps(r)) for r in (record, run.record | drawn))
    for r in (ours, theirs):
        del r["config"]["init"], r["config"]["teacher"]  # paths; the record has the sha256 of what lies there
    for key in ("config", "row", "windowing", "tags", "data", "split", "init", "teacher"):
        if ours.get(key) != theirs.get(key):
            raise TrainingError(
                f"{out} holds a run with another {_difference(key, theirs.get(key), ours.get(key))}; remove that "
                "folder, or choose another."
            )
    for named, sha256 in ours["own_code"].items():
        if theirs["own_code"][named] != sha256:
            raise TrainingError(
                f"{out} was begun with another version of {named}; restore it, or choose another folder."
            )
    return run


def _difference(key: str, theirs: object, ours: object) -> str:
    """What differs between two values, down to the setting: "config (steps 100, not 200)"."""
    if not isinstance(theirs, dict) or not isinstance(ours, dict):
        return f"{key} ({str(theirs)[:60]}, not {str(ours)[:60]})"
    names = [name for name in theirs | ours if theirs.get(name) != ours.get(name)]
    return f"{key} ({'; '.join(f'{n} {str(theirs.get(n))[:40]}, not {str(ours.get(n))[:40]}' for n in names[:5])})"


def _origin(root: str | None, row: zoo.Row) -> dict | None:
    """What a run that starts from another one's weights must remember of it."""
    if root is None:
        return None
    run = Run.open(root)
    for key in ("stages", "frontend", "activation", "sr"):
        if getattr(run.row, key) != getattr(row, key):
            raise TrainingError(f"{root} holds a {run.config.model}, which has other {key} than {row.name}.")
    kept = {key: run.record[key] for key in ("dataset", "data", "split", "seed", "code")}
    return {"model": run.config.model, "weights_sha256": run.weights_sha256} | kept
