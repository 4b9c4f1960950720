"""The training loop: a tf.function step, checkpoints, and exact resume.

A run folder holds::

    run.json               config, architecture, tags, data, code version, history
    best.weights.h5        weights at the best validation score
    checkpoint.npz         everything that the next step depends on, written atomically
    events/                TensorBoard summaries

An interrupted run that is started again ends with the same weights as one that was never interrupted: a batch
depends on (seed, step) alone, and the checkpoint holds the model, the optimizer and the state of every random
generator.
"""

import importlib.metadata
import json
import platform
import signal
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import filelock
import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

import tagkit
from tagkit import files, losses, metrics
from tagkit.config import TrainingConfig
from tagkit.graph import zoo
from tagkit.inputs import TrainingWindows, part_positions
from tagkit.prediction import Predictor, to_waveform
from tagkit.records import Records

BEST_WEIGHTS = "best.weights.h5"
CHECKPOINT = "checkpoint.npz"


class TrainingError(ValueError):
    """A run cannot be started or continued; the message says why and what to do."""


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C or SIGTERM after its state had been saved; the same call resumes it."""


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
        return cls(root, files.read_json(root / "run.json"))

    @property
    def config(self) -> TrainingConfig:
        """The settings that the run was started with."""
        return TrainingConfig.from_dict(self.record["config"])

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags in the order of the model's outputs."""
        return tuple(self.record["tags"])

    @property
    def finished(self) -> bool:
        """Whether training ran to its end."""
        return self.record["finished"]

    @property
    def records_root(self) -> Path:
        """The records that the run was trained on."""
        return Path(self.record["records"])

    def model(self, trained: bool = True) -> keras.Model:
        """The network with its best weights, or with its initial ones (the untrained twin).

        It is rebuilt from the architecture in run.json and plain weights: no code is loaded from the folder.
        """
        model = zoo.build(zoo.Row.from_dict(self.record["row"]), n_tags=len(self.tags), seed=self.config.seed)
        if trained:
            path = self.root / BEST_WEIGHTS
            if not path.is_file():
                raise TrainingError(f"{path} is missing: the run has not reached its first validation; train it on.")
            model.load_weights(path)
        return model


def train(
    config: TrainingConfig, records: Records, out: str | Path, progress: bool = True, after: Callable | None = None
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

    Returns
    -------
    Run

    Raises
    ------
    TrainingError
        `out` holds a run with other settings or data, another process trains there, or the loss is not finite.
    TrainingInterrupted
        On Ctrl-C or SIGTERM, after saving.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(out / ".lock", blocking=False), _stop_signal() as stop:
            files.sweep(out)
            trainer = Trainer(config, records, out)
            if not trainer.run.finished:
                trainer.fit(stop, progress, after)
            return Run.open(out)
    except filelock.Timeout as error:
        raise TrainingError(f"{out} is being trained by another process; choose another folder.") from error


class Trainer:
    """The state of one run and the loop that advances it; use `train`."""

    def __init__(self, config: TrainingConfig, records: Records, out: Path):
        self.config, self.records, self.out = config, records, out
        self.tags = records.catalog.tags(config.vocabulary)
        row = zoo.find(config.model)
        if records.sr != row.sr:
            raise TrainingError(
                f"{records.root} has {records.sr} Hz, but {row.name} takes {row.sr} Hz; prepare it with --sr {row.sr}."
            )
        # Before run.json exists: a split without clips must not bind the folder to its settings.
        part_positions(records, "train", config.split)
        self.valid = part_positions(records, "valid", config.split)
        self.valid_labels = records.catalog.labels[list(self.tags)].to_numpy(bool)[self.valid]
        if not (self.valid_labels.any(0) & ~self.valid_labels.all(0)).any():
            raise TrainingError(
                f"No tag tells the {len(self.valid)} valid clips of {records.root} apart; give it more."
            )
        self.run = _open_or_create(config, records, row, self.tags, out)
        if self.run.finished:
            return
        records.verify()
        tf.config.experimental.enable_op_determinism()
        self.model = zoo.build(row, n_tags=len(self.tags), seed=config.seed)
        self.optimizer = build_optimizer(config)
        self.optimizer.build(self.model.trainable_variables)
        self.predict = Predictor(self.model)
        window = self.model.input_shape[1]
        self.input = TrainingWindows.of(records, self.tags, window, config)
        self.history: list[dict] = []
        self.losses: list[float] = []  # since the last validation
        self.step = 0
        self._restore_checkpoint()

    def fit(self, stop: threading.Event, progress: bool, after: Callable | None) -> None:
        """Advance to the last step; raises TrainingInterrupted once `stop` is set."""
        config = self.config
        train_step = _train_step(self.model, self.optimizer)
        writer = tf.summary.create_file_writer(str(self.out / "events"))
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
            last = self.step if self._out_of_patience() else config.steps
            for x, y in self.input.dataset(self.step, last):
                self.losses.append(train_step(x, y))
                self.step += 1
                bar.update(config.batch_size)
                if self.step % config.eval_every == 0 or self.step == config.steps:
                    self._validate(bar)
                    if self._out_of_patience():
                        break
                if after:
                    after(self.step)
                if stop.is_set():
                    self._save_checkpoint()
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
        scores = self.predict(self.records, self.valid)
        tagged = metrics.score_tags(self.valid_labels, scores, self.tags, self.valid, resamples=1)
        row = {"step": self.step, "loss": loss, "valid_roc_auc": tagged.roc.mean(), "valid_pr_auc": tagged.pr.mean()}
        row = {k: v if k == "step" else float(v) for k, v in row.items()}
        best = max((h["valid_roc_auc"] for h in self.history), default=-1.0)
        self.history.append(row)
        for name, value in row.items():
            tf.summary.scalar(name, value, self.step)
        bar.set_postfix(loss=f"{loss:.3f}", valid_roc_auc=f"{row['valid_roc_auc']:.3f}")
        if row["valid_roc_auc"] > best:
            with files.atomic(self.out / BEST_WEIGHTS) as temporary:
                self.model.save_weights(temporary)
        self._save_checkpoint()

    def _out_of_patience(self) -> bool:
        scores = [h["valid_roc_auc"] for h in self.history] or [0.0]
        return 0 < self.config.patience <= len(scores) - 1 - int(np.argmax(scores))

    def _state(self) -> list[keras.Variable]:
        """All variables that the next step depends on: weights, statistics, random generators, optimizer."""
        return [*self.model.variables, *self.optimizer.variables]

    def _save_checkpoint(self) -> None:
        arrays = {f"variable_{i}": v.numpy() for i, v in enumerate(self._state())}
        progress = {"step": self.step, "losses": [float(x) for x in self.losses], "history": self.history}
        with files.atomic(self.out / CHECKPOINT) as temporary, temporary.open("wb") as stream:
            np.savez(stream, progress=json.dumps(progress), **arrays)

    def _restore_checkpoint(self) -> None:
        path = self.out / CHECKPOINT
        if not path.is_file():
            return
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as saved:
                progress = json.loads(str(saved["progress"]))
                for i, variable in enumerate(self._state()):
                    variable.assign(saved[f"variable_{i}"])
        except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
            raise TrainingError(f"{path} is damaged ({error}); remove it and train again.") from error
        self.step, self.losses, self.history = progress["step"], progress["losses"], progress["history"]

    def _finish(self) -> None:
        files.write_json(
            self.out / "run.json",
            self.run.record | {"finished": True, "steps_done": self.step, "history": self.history},
        )
        (self.out / CHECKPOINT).unlink()


def build_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """AdamW or SGD with linear warm-up and cosine decay to 0."""
    warmup = round(config.warmup * config.steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        decay_steps=config.steps - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True)
    return keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay)


def _train_step(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> Callable:
    @tf.function(reduce_retracing=True)
    def step(x, y):
        with tf.GradientTape() as tape:
            logits = model(to_waveform(x), training=True)
            loss = tf.reduce_mean(losses.sigmoid_cross_entropy(y, logits))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return step


def _open_or_create(config: TrainingConfig, records: Records, row: zoo.Row, tags: tuple[str, ...], out: Path) -> Run:
    split = config.split or records.catalog.default_split
    record = {
        "config": config.to_dict(),
        "row": row.to_dict(),
        "tags": list(tags),
        "records": str(records.root.resolve()),
        "data": records.fingerprint,
        "dataset": records.catalog.name,
        "split": split,
        "split_sizes": records.catalog.split_sizes(split),
        "seed": config.seed,
        "code": code_version(),
        "finished": False,
    }
    if not (out / "run.json").is_file():
        files.write_json(out / "run.json", record)
        return Run.open(out)
    run = Run.open(out)
    there = json.loads(json.dumps(run.record))
    for key in ("config", "row", "tags", "data", "split"):
        if there[key] != json.loads(json.dumps(record[key])):
            raise TrainingError(f"{out} holds a run with another {key}; remove that folder, or choose another.")
    return run


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
