"""The training loop.

A run folder holds::

    run.json               config, architecture, tags, data, code version, history
    best.weights.h5        weights at the best validation score
    checkpoint.npz         everything that the next step depends on, until the run is finished
    events/                TensorBoard summaries

A run that was interrupted and is started again ends with the same weights as one that was not: a batch depends on
(seed, step) alone, and the checkpoint holds the rest. Where several processes train one network together, the chief
alone writes.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from sklearn.metrics import average_precision_score, roc_auc_score
from tqdm.auto import tqdm

from tagkit.data.batches import training_batches
from tagkit.data.records import Records
from tagkit.system.progress import progress_bar
from tagkit.training import chief, start
from tagkit.training.config import TrainingConfig
from tagkit.training.devices import Devices, choose
from tagkit.training.guard import TrainingInterrupted, guarded
from tagkit.training.runs import Run, TrainingError
from tagkit.training.start import Training

__all__ = ["TrainingInterrupted", "fit", "train"]


def train(
    config: TrainingConfig,
    records: Records,
    out: str | Path,
    progress: bool = True,
    after: Callable[[int], None] | None = None,
    devices: Devices | None = None,
) -> Run:
    """Train a network, or continue where an interrupted run stopped.

    Parameters
    ----------
    out
        The run folder. A finished run there with the same settings is returned as it is.
    progress
        Show a bar with examples/s and the time left.
    after
        Called with the step number after each step.
    devices
        Default: `tagkit.training.devices.choose()`, whatever is there. A run may be continued on others.

    Raises
    ------
    TrainingError
        `out` holds a run with other settings or data, another process trains there, the loss is not finite, the memory
        does not suffice, or another process of this training was lost.
    TrainingInterrupted
        On Ctrl-C or SIGTERM, after saving.

    Examples
    --------
    >>> from tagkit.data.records import Records
    >>> from tagkit.training.config import TrainingConfig
    >>> config = TrainingConfig("ds256ra", steps=4, batch_size=2, eval_every=2)
    >>> run = train(config, Records.open("records"), "runs/first", progress=False)
    >>> [row["step"] for row in run.record["history"]]
    [2, 4]
    """
    out, devices = Path(out), devices or choose()
    with guarded(config, out, devices) as stop:
        plan = start.decide(config, records, out, devices)
        if not plan.run.finished:
            fit(start.build(plan), stop, progress and devices.chief, after)
        return chief.close(plan)


def fit(training: Training, stop: threading.Event, progress: bool, after: Callable[[int], None] | None = None) -> None:
    """Advance to the last step; raises TrainingInterrupted once `stop` is set."""
    plan, done = training.plan, training.progress
    config, devices = plan.config, plan.devices
    plan.records.verify(progress)
    # A run that was killed between its last validation and its end has nothing left to do.
    last = done.step if training.is_over() else config.steps
    with _bar(training, progress) as bar, chief.events(plan).as_default():
        for x, y in training_batches(training.windows, done.step, last, devices.rows(config.batch_size)):
            started = time.process_time()
            done.losses.append(training.take_step(x, y))
            done.step += 1
            done.cpu_seconds += time.process_time() - started
            bar.update(config.batch_size)
            if done.step % config.eval_every == 0 or done.step == config.steps:
                _validate(training, bar)
                if training.is_over():
                    break
            if after:
                after(done.step)
            if devices.any(stop.is_set()):
                chief.save(training)
                devices.wait()
                raise TrainingInterrupted(f"{plan.run.root} stopped at step {done.step}; rerun the command to resume.")
    chief.finish(training)


def _validate(training: Training, bar: tqdm) -> None:
    """Score the validation clips, keep the best weights, move on to the next phase if it is time, and save."""
    plan, done = training.plan, training.progress
    loss = float(np.mean([float(x) for x in done.losses]))
    done.losses.clear()
    if not np.isfinite(loss):
        raise TrainingError(f"The loss of {plan.config.model} is {loss} at step {done.step}; lower the learning rate.")
    roc_auc, pr_auc = _macro(plan.labels, _score(training))
    # Runs have always called the phase "stage" in their history, and still do.
    row = {"step": done.step, "stage": done.phase, "loss": loss, "valid_roc_auc": roc_auc, "valid_pr_auc": pr_auc}
    done.history.append(row)
    for name, value in row.items():
        tf.summary.scalar(name, value, done.step)
    bar.set_postfix(loss=f"{loss:.3f}", valid_roc_auc=f"{roc_auc:.3f}")
    if done.history[done.best] is row:
        chief.save_best(training)
    if training.phase_is_over() and not training.is_over():
        chief.return_to_best(training)
        training.enter(done.phase + 1)
    chief.save(training)


def _score(training: Training) -> np.ndarray:
    """Scores of the validation clips, (clips, tags): each process scores its share of them."""
    plan = training.plan
    share = plan.devices.rows(len(plan.valid))
    scores = np.zeros(plan.labels.shape, np.float32)
    scores[share] = training.scorer(plan.records, plan.valid[share])
    return plan.devices.total(scores)


def _macro(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Macro ROC-AUC and PR-AUC over the tags that some clips have and some lack."""
    if not np.isfinite(scores).all():
        raise TrainingError("Some scores are not finite: the model has diverged; lower the learning rate.")
    told = labels.any(0) & ~labels.all(0)
    kinds = (roc_auc_score, average_precision_score)
    return tuple(float(kind(labels[:, told], scores[:, told])) for kind in kinds)


def _bar(training: Training, shown: bool) -> tqdm:
    config, done = training.plan.config, training.progress.step
    return progress_bar(
        total=config.steps * config.batch_size,
        initial=done * config.batch_size,
        desc=f"train {config.model}",
        unit="example",
        unit_scale=True,
        disable=not shown,
    )
