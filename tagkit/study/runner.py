"""Running a study: every training that is not done yet, several at a time, each on one core.

A training's result is one small JSON file; its run folder, with the weights, may be removed at any time. What was
interrupted goes on with the same call.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from tqdm.auto import tqdm

from tagkit import files, paths, processes
from tagkit.config import TrainingConfig
from tagkit.records import Records
from tagkit.study.plan import Entry, Plan

WARM_UP, MEASURED_S = 2, 1.5
INTERRUPTED = 130  # a training's exit code after Ctrl-C


def results_folder(plan: Plan) -> Path:
    """Where the results of a plan lie."""
    return paths.results_dir() / plan.name


def result_path(plan: Plan, entry: Entry, seed: int) -> Path:
    """The result of one training."""
    return results_folder(plan) / f"{entry.slug}-{seed}.json"


def run(plan: Plan, records: Records, jobs: int = 2, only: Iterable[str] = (), progress: bool = True) -> None:
    """Train and score what a plan lacks: the first seed of every entry, then the next.

    Parameters
    ----------
    plan : Plan
    records : Records
    jobs : int
        Trainings at a time, each in a process of its own on one core.
    only : iterable of str
        Labels of entries; none: all.
    progress : bool

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C; trainings under way have been saved.
    """
    only = set(only)
    if unknown := only - {entry.label for entry in plan.entries}:
        raise ValueError(f"The study {plan.name} has no {sorted(unknown)[0]!r}.")
    entries = [e for e in plan.entries if not only or e.label in only]
    todo = [(e, s) for s in range(plan.seeds) for e in entries if not result_path(plan, e, s).is_file()]
    bar = tqdm(total=plan.seeds * len(entries), desc=f"study {plan.name}", unit="run", disable=not progress)
    bar.update(bar.total - len(todo))
    with bar, ThreadPoolExecutor(jobs) as threads:
        futures = [threads.submit(_in_a_process, plan, entry, seed, records.root) for entry, seed in todo]
        try:
            for future in as_completed(futures):
                bar.set_postfix_str(future.result())
                bar.update()
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)
            raise


def _in_a_process(plan: Plan, entry: Entry, seed: int, records_root: Path) -> str:
    """`train_one` in a process of its own: what memory TensorFlow keeps goes back, and one core is one core."""
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = get_context("spawn").Process(target=train_one, args=(plan, entry, seed, records_root, os.getpid()))
    process.start()
    process.join()
    if process.exitcode == INTERRUPTED:
        raise KeyboardInterrupt
    if process.exitcode:
        raise RuntimeError(f"Training {entry.label} with seed {seed} ended with exit code {process.exitcode}.")
    return f"{entry.label} seed {seed}: {files.read_json(result_path(plan, entry, seed))['roc_auc']:.3f}"


def train_one(plan: Plan, entry: Entry, seed: int, records_root: Path, parent: int) -> None:
    """Train and score one entry with one seed, and write its result; the process ends when `parent` has ended."""
    from tagkit import evaluation
    from tagkit.training import TrainingInterrupted, train

    processes.follow(parent)
    records = Records.open(records_root)
    out = paths.runs_dir() / "study" / plan.name / f"{entry.slug}-{seed}"
    try:
        run = train(settle(plan, entry, seed, records), records, out, progress=False)
    except TrainingInterrupted:
        sys.exit(INTERRUPTED)
    scored = evaluation.evaluate(run, records, min_positives=plan.min_positives, progress=False)
    result = {"name": entry.label, "family": entry.family, "budget_s": plan.budget_s} | scored.to_dict()
    files.write_json(result_path(plan, entry, seed), result)


def settle(plan: Plan, entry: Entry, seed: int, records: Records) -> TrainingConfig:
    """The settings of one training, with as many steps as its budget pays for.

    Steps are measured once for an entry: other seeds, and the same training after an interruption, take what is in a
    result or in a run that is there.
    """
    config = replace(plan.base, model=entry.model, seed=seed, **entry.settings)
    steps = _steps_there(plan, entry) or max(round(plan.budget_s / step_seconds(config, records)), plan.validations)
    return replace(config, steps=steps, eval_every=-(-steps // plan.validations))


def _steps_there(plan: Plan, entry: Entry) -> int | None:
    for seed in range(plan.seeds):
        if (path := result_path(plan, entry, seed)).is_file():
            return files.read_json(path)["training"]["config"]["steps"]
        run = paths.runs_dir() / "study" / plan.name / f"{entry.slug}-{seed}" / "run.json"
        if run.is_file():
            return files.read_json(run)["config"]["steps"]
    return None


def step_seconds(config: TrainingConfig, records: Records) -> float:
    """CPU seconds of one training step, measured over at least 1.5 s of them."""
    from tagkit.training import Trainer

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, records, Path(folder))
        batch = trainer.input.batch(0)
        for _ in range(WARM_UP):
            trainer.train_step(*batch)
        steps, started = 0, time.process_time()
        while time.process_time() - started < MEASURED_S:
            trainer.train_step(*batch)
            steps += 1
        return (time.process_time() - started) / steps
