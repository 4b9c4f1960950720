"""The training loop: a tf.function step, checkpoints, and exact resume.

A run folder holds::

    run.json               config, architecture, tags, data, code version, history
    best.weights.h5        weights at the best validation score
    checkpoint.npz         everything that the next step depends on, written atomically
    events/                TensorBoard summaries

An interrupted run that is started again ends with the same weights as one that was never interrupted: a batch
depends on (seed, step) alone, and the checkpoint holds the model, the optimizer and the state of every random
generator. Of several processes that train one network together, only the chief writes; all begin with what the run
folder holds.
"""

import json
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import filelock
import keras
import numpy as np
import tensorflow as tf
from sklearn.metrics import average_precision_score, roc_auc_score
from tqdm.auto import tqdm

from tagkit.data.batches import training_batches
from tagkit.data.records import Records
from tagkit.data.windows import TrainingWindows
from tagkit.graph import windowing, zoo
from tagkit.graph.scorer import Scorer, to_waveform
from tagkit.system import files
from tagkit.training import optimizers
from tagkit.training.config import TrainingConfig
from tagkit.training.devices import Devices, choose
from tagkit.training.runs import BEST_WEIGHTS, Run, TrainingError, code_version

CHECKPOINT = "checkpoint.npz"


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C or SIGTERM after its state had been saved; the same call resumes it."""


# What the processes that are left see of one that is gone.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)


def train(
    config: TrainingConfig,
    records: Records,
    out: str | Path,
    progress: bool = True,
    after: Callable | None = None,
    devices: Devices | None = None,
) -> Run:
    """Train a network, or continue where an interrupted run stopped.

    Parameters
    ----------
    config : TrainingConfig
    records : Records
    out : path
        The run folder. A finished run there with the same settings is returned as it is.
    progress : bool
        Show a bar with examples/s and the time left.
    after : callable, optional
        Called with the step number after each step.
    devices : Devices, optional
        Default: `tagkit.training.devices.choose()`, whatever is there. A run may be continued on others.

    Returns
    -------
    Run

    Raises
    ------
    TrainingError
        `out` holds a run with other settings or data, another process trains there, the loss is not finite, the memory
        does not suffice, or another process of this training was lost.
    TrainingInterrupted
        On Ctrl-C or SIGTERM, after saving.
    """
    out, devices = Path(out), devices or choose()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as stack:
            if devices.chief:
                stack.enter_context(filelock.FileLock(out / ".lock", blocking=False))
                files.sweep(out)
            stop = stack.enter_context(_stop_signal())
            trainer = Trainer(config, records, out, devices)
            if not trainer.run.finished:
                trainer.fit(stop, progress and devices.chief, after)
            if devices.chief:
                (out / CHECKPOINT).unlink(missing_ok=True)  # here, for a run that was killed at its very end
            return Run.open(out) if devices.chief else trainer.run
    except filelock.Timeout as error:
        raise TrainingError(f"{out} is being trained by another process; choose another folder.") from error
    except tf.errors.ResourceExhaustedError as error:
        raise TrainingError(
            f"Batches of {config.batch_size} of {config.model} need more memory than there is; train into another "
            "folder with a smaller --batch-size."
        ) from error
    except _LOST as error:
        if devices.processes == 1:
            raise
        raise TrainingError(
            f"{out} is trained by {devices.processes} processes, and one was lost ({error.message.splitlines()[0]}); "
            "start all of them again: they go on from the last checkpoint."
        ) from error


class Trainer:
    """The state of one run and the loop that advances it; use `train`."""

    def __init__(self, config: TrainingConfig, records: Records, out: Path, devices: Devices):
        self.config, self.records, self.out, self.devices = config, records, out, devices
        self.tags = records.catalog.tags(config.vocabulary)
        row = zoo.find(config.model)
        if records.sr != row.sr:
            raise TrainingError(
                f"{records.root} has {records.sr} Hz, but {row.name} takes {row.sr} Hz; prepare it with --sr {row.sr}."
            )
        devices.check(config.batch_size)
        # Before run.json exists: a split without clips must not bind the folder to its settings.
        train = records.part("train", config.split)
        self.valid = records.part("valid", config.split)
        self.valid_labels = records.labels(self.valid, self.tags)
        if not (self.valid_labels.any(0) & ~self.valid_labels.all(0)).any():
            raise TrainingError(
                f"No tag tells the {len(self.valid)} valid clips of {records.root} apart; give it more."
            )
        plan = windowing.settle(row, config.windowing, int(np.median(records.lengths[train])))
        record = _record(config, records, row, plan, self.tags) | {"devices": devices.describe()}
        self.run = _reopen(out, record)
        if self.run and self.run.finished:
            return
        tf.config.experimental.enable_op_determinism()
        with devices.strategy.scope():
            self.model = plan.build(row, len(self.tags), config.seed, synchronized=devices.replicas > 1)
        if config.init:
            adopt_weights(self.model, Run.open(config.init))
        if not self.run and devices.chief:
            files.write_json(out / "run.json", record)
        self.run = self.run or Run(out, record)
        self.score = Scorer(self.model)
        self.input = TrainingWindows.of(records, self.tags, plan.samples, plan.windows, **config.windows)
        self.loss = optimizers.build_loss(config, self.input.labels.sum(0))
        self.stages = optimizers.stages(config)
        self.history: list[dict] = []
        self.losses: list[float] = []  # since the last validation
        self.step, self.cpu_seconds = 0, 0.0
        self._enter_stage(0)
        self._restore_checkpoint()
        devices.part_seeds(self.model)
        self._agree()

    def fit(self, stop: threading.Event, progress: bool, after: Callable | None) -> None:
        """Advance to the last step; raises TrainingInterrupted once `stop` is set."""
        config = self.config
        self.records.verify(progress)
        writer = self._event_writer()
        bar = tqdm(
            total=config.steps * config.batch_size,
            initial=self.step * config.batch_size,
            desc=f"train {config.model}",
            unit="example",
            unit_scale=True,
            disable=not progress,
        )
        with bar, writer.as_default():
            # A run that was killed between its last validation and its end has nothing left to do.
            last = self.step if self._is_over() else config.steps
            for x, y in training_batches(self.input, self.step, last, self.devices.rows(config.batch_size)):
                started = time.process_time()
                self.losses.append(self.train_step(x, y))
                self.step += 1
                self.cpu_seconds += time.process_time() - started
                bar.update(config.batch_size)
                if self.step % config.eval_every == 0 or self.step == config.steps:
                    self._validate(bar)
                    if self._is_over():
                        break
                if after:
                    after(self.step)
                if self.devices.any(stop.is_set()):
                    self._save_checkpoint()
                    self.devices.wait()
                    raise TrainingInterrupted(
                        f"{self.out} stopped at step {self.step}; the same command goes on from there."
                    )
        self._finish()

    def _validate(self, bar: tqdm) -> None:
        loss = float(np.mean([float(x) for x in self.losses]))
        self.losses.clear()
        if not np.isfinite(loss):
            raise TrainingError(
                f"The loss of {self.config.model} is {loss} at step {self.step}; lower the learning rate."
            )
        scores = self._score_valid()
        roc_auc, pr_auc = _macro(self.valid_labels, scores)
        row = {"step": self.step, "stage": self.stage, "loss": loss, "valid_roc_auc": roc_auc, "valid_pr_auc": pr_auc}
        best = max((h["valid_roc_auc"] for h in self.history), default=-1.0)
        self.history.append(row)
        for name, value in row.items():
            tf.summary.scalar(name, value, self.step)
        bar.set_postfix(loss=f"{loss:.3f}", valid_roc_auc=f"{row['valid_roc_auc']:.3f}")
        if row["valid_roc_auc"] > best and self.devices.chief:
            with files.atomic(self.out / BEST_WEIGHTS) as temporary:
                self.model.save_weights(temporary)
        if self._stage_is_over() and self.stage + 1 < len(self.stages):
            self._return_to_best()
            self._enter_stage(self.stage + 1)
        self._save_checkpoint()

    def _return_to_best(self) -> None:
        """Take up the best weights; the chief, which wrote them, hands them to the other machines."""
        if self.devices.chief:
            self.model.load_weights(self.out / BEST_WEIGHTS)
        if self.devices.processes > 1:
            for weight in self.model.weights:
                weight.assign(self.devices.share(weight.numpy()))

    def _score_valid(self) -> np.ndarray:
        """Scores of the valid clips, (clips, tags): each process scores its share of them."""
        share = self.devices.rows(len(self.valid))
        scores = np.zeros(self.valid_labels.shape, np.float32)
        scores[share] = self.score(self.records, self.valid[share])
        return self.devices.total(scores)

    def _event_writer(self) -> tf.summary.SummaryWriter:
        if self.devices.chief:
            return tf.summary.create_file_writer(str(self.out / "events"))
        return tf.summary.create_noop_writer()

    def _enter_stage(self, number: int) -> None:
        """A fresh optimizer, and the step that uses it."""
        self.stage = number
        with self.devices.strategy.scope():
            self.optimizer = optimizers.build_optimizer(self.config, self.stages[number])
            self.optimizer.build(self.model.trainable_variables)
        self.train_step = _train_step(self.model, self.optimizer, self.loss, self.devices, self.config.batch_size)

    def _stage_is_over(self) -> bool:
        """Whether the stage has had its validations, or too many of them without a better score than any before."""
        stage, here = self.stages[self.stage], [h for h in self.history if h["stage"] == self.stage]
        best = int(np.argmax([h["valid_roc_auc"] for h in self.history])) if self.history else 0
        waited = min(len(self.history) - 1 - best, len(here))
        return 0 < stage.validations <= len(here) or 0 < stage.patience <= waited

    def _is_over(self) -> bool:
        return self.stage + 1 == len(self.stages) and self._stage_is_over()

    def _state(self) -> list[keras.Variable]:
        """All variables that the next step depends on: weights, statistics, random generators, optimizer."""
        return [*self.model.variables, *self.optimizer.variables]

    def _save_checkpoint(self) -> None:
        if not self.devices.chief:
            return
        arrays = {f"variable_{i}": v.numpy() for i, v in enumerate(self._state())}
        progress = {name: getattr(self, name) for name in ("step", "stage", "cpu_seconds", "history")}
        progress["losses"] = [float(x) for x in self.losses]
        with files.atomic(self.out / CHECKPOINT) as temporary, temporary.open("wb") as stream:
            np.savez(stream, progress=json.dumps(progress), **arrays)

    def _restore_checkpoint(self) -> None:
        path = self.out / CHECKPOINT
        if not path.is_file():
            return
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as saved:
                progress = json.loads(str(saved["progress"]))
                self._enter_stage(progress["stage"])
                for i, variable in enumerate(self._state()):
                    variable.assign(saved[f"variable_{i}"])
        except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
            raise TrainingError(f"{path} is damaged ({error}); remove it and train again.") from error
        for name in ("step", "cpu_seconds", "history", "losses"):
            setattr(self, name, progress[name])

    def _agree(self) -> None:
        """Check that all processes are about to take the same step: they read the same folder, or they do not."""
        if self.devices.total(np.float32([self.step]))[0] != self.step * self.devices.processes:
            raise TrainingError(
                f"{self.out} differs between the {self.devices.processes} machines that train it (here it is at step "
                f"{self.step}); put it on a disk that all of them share."
            )

    def _finish(self) -> None:
        if self.devices.chief:
            outcome = {"finished": True, "steps_done": self.step, "cpu_seconds": round(self.cpu_seconds, 2)}
            files.write_json(self.out / "run.json", self.run.record | outcome | {"history": self.history})
        self.devices.wait()


def _train_step(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss_of: Callable,
    devices: Devices,
    batch_size: int,
) -> Callable:
    """A step on this process' rows of a batch; returns the mean loss over the whole batch."""

    def replica_step(x, y):
        with tf.GradientTape() as tape:
            logits = model(to_waveform(x), training=True)
            loss = tf.reduce_sum(loss_of(y, logits)) / batch_size
        variables = model.trainable_variables
        # Adds the gradients up over all replicas.
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    @tf.function(reduce_retracing=True)
    def step(x, y):
        return devices.strategy.reduce("SUM", devices.strategy.run(replica_step, (x, y)), axis=None)

    return lambda x, y: step(*devices.deal((x, y), batch_size))


def _macro(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Macro ROC-AUC and PR-AUC over the tags that some clips have and some lack."""
    if not np.isfinite(scores).all():
        raise TrainingError("Some scores are not finite: the model has diverged; lower the learning rate.")
    told = labels.any(0) & ~labels.all(0)
    if not told.any():
        raise TrainingError(f"No tag tells these {len(labels)} clips apart; score more of them.")
    return (
        float(roc_auc_score(labels[:, told], scores[:, told])),
        float(average_precision_score(labels[:, told], scores[:, told])),
    )


def _record(
    config: TrainingConfig, records: Records, row: zoo.Row, plan: windowing.Windowing, tags: tuple[str, ...]
) -> dict:
    """What run.json holds of a run that begins."""
    split = config.split or records.catalog.default_split
    return {
        "config": config.to_dict(),
        "row": row.to_dict(),
        "windowing": asdict(plan),
        "tags": list(tags),
        "records": str(records.root.resolve()),
        "data": records.fingerprint,
        "decoding": records.decoding,
        "dataset": records.catalog.name,
        "split": split,
        "split_sizes": records.catalog.split_sizes(split),
        "seed": config.seed,
        "init": _origin(config.init, row),
        "code": code_version(),
        "finished": False,
        "history": [],
    }


def _reopen(out: Path, record: dict) -> Run | None:
    """The run in a folder, if there is one; TrainingError if it is not the one that `record` describes."""
    if not (out / "run.json").is_file():
        return None
    run = Run.open(out)
    ours, theirs = (json.loads(json.dumps(r)) for r in (record, run.record))
    for r in (ours, theirs):
        del r["config"]["init"]  # a path; "init" has the sha256 of what lies there
    for key in ("config", "row", "windowing", "tags", "data", "split", "init"):
        if ours[key] != theirs[key]:
            raise TrainingError(f"{out} holds a run with another {key}; remove that folder, or choose another.")
    return run


def _origin(root: str | None, row: zoo.Row) -> dict | None:
    """What a run that starts from another one's weights must remember of it."""
    if root is None:
        return None
    run = Run.open(root)
    ours = json.loads(json.dumps(row.to_dict()))
    for key in ("stages", "frontend", "activation", "sr"):
        if run.record["row"][key] != ours[key]:
            raise TrainingError(f"{root} holds a {run.config.model}, which has other {key} than {row.name}.")
    kept = {key: run.record[key] for key in ("dataset", "data", "split", "seed", "code")}
    return {"model": run.config.model, "weights_sha256": run.weights_sha256} | kept


def adopt_weights(model: keras.Model, run: Run) -> None:
    """Give a network the best weights of a run's layers of the same names, all but those that tell its tags.

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


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, instead of breaking off in the middle of a step."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
