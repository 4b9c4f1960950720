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
from tagkit.datasets import demo
from tagkit.records import Records, prepare
from tagkit.study.plan import PLAIN, Entry, Plan

WARM_UP, MEASURED_S = 2, 1.5
RENDER_SEED = 1  # other clips than the demo's
INTERRUPTED = 130  # a training's exit code after Ctrl-C


def results_folder(plan: Plan) -> Path:
    """Where the results of a plan lie."""
    return paths.results_dir() / plan.name


def result_path(plan: Plan, entry: Entry, seed: int) -> Path:
    """The result of one training."""
    return results_folder(plan) / f"{entry.slug}-{seed}.json"


def run(
    plan: Plan,
    records: Records,
    jobs: int = 2,
    only: Iterable[str] = (),
    seeds: int | None = None,
    progress: bool = True,
) -> None:
    """Train and score what a plan lacks: the first seed of every entry, then the next.

    Parameters
    ----------
    plan : Plan
    records : Records
    jobs : int
        Trainings at a time, each in a process of its own on one core; 0: in this process.
    only : iterable of str
        Labels of entries; none: all.
    seeds : int, optional
        Instead of the plan's.
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
    for clips in sorted({e.pretraining.clips for e in entries if e.pretraining}):
        rendered(clips)
    _train_all(plan, [(entry, 0) for entry in entries], records, jobs, progress)
    further = [e for e in entries if e in finalists(plan)]
    _train_all(plan, [(e, seed) for seed in range(1, seeds or plan.seeds) for e in further], records, jobs, progress)


def finalists(plan: Plan) -> tuple[Entry, ...]:
    """The entries that get further seeds: all, or the best by validation score of those with a first result."""
    if plan.finalists is None:
        return plan.entries
    there = [e for e in plan.entries if result_path(plan, e, 0).is_file()]
    scores = {e.label: files.read_json(result_path(plan, e, 0))["training"]["best_valid_roc_auc"] for e in there}
    return tuple(sorted(there, key=lambda e: -scores[e.label])[: plan.finalists])


def rendered(clips: int) -> Records:
    """Records of so many rendered clips, made if they are not there yet."""
    catalog = demo.render(paths.data_dir() / "rendered", clips, seed=RENDER_SEED)
    return prepare(catalog, paths.data_dir() / "records" / f"rendered-{clips}")


def _train_all(plan: Plan, trainings: list[tuple[Entry, int]], records: Records, jobs: int, progress: bool) -> None:
    """Train what has no result yet, `jobs` at a time."""
    todo = [(e, seed) for e, seed in trainings if not result_path(plan, e, seed).is_file()]
    bar = tqdm(total=len(trainings), desc=f"study {plan.name}", unit="run", disable=not progress)
    bar.update(len(trainings) - len(todo))
    if not jobs:
        for entry, seed in todo:
            train_one(plan, entry, seed, records.root)
            bar.update()
        bar.close()
        return
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
    process = get_context("spawn").Process(
        target=_train_and_follow, args=(plan, entry, seed, records_root, os.getpid())
    )
    process.start()
    process.join()
    if process.exitcode == INTERRUPTED:
        raise KeyboardInterrupt
    if process.exitcode:
        raise RuntimeError(f"Training {entry.label} with seed {seed} ended with exit code {process.exitcode}.")
    return f"{entry.label} seed {seed}: {files.read_json(result_path(plan, entry, seed))['roc_auc']:.3f}"


def _train_and_follow(plan: Plan, entry: Entry, seed: int, records_root: Path, parent: int) -> None:
    """`train_one` in a process that ends when `parent` has ended."""
    from tagkit.training import TrainingInterrupted

    processes.follow(parent)
    try:
        train_one(plan, entry, seed, records_root)
    except TrainingInterrupted:
        sys.exit(INTERRUPTED)


def train_one(plan: Plan, entry: Entry, seed: int, records_root: Path) -> None:
    """Train and score one entry with one seed, and write its result."""
    from tagkit import evaluation
    from tagkit.training import train

    records = Records.open(records_root)
    config = replace(plan.base, model=entry.model, seed=seed, **entry.settings)
    if entry.pretraining:
        config = replace(config, init=str(pretrain(plan, entry, seed)))
    run = train(settle(plan, entry, config, records), records, run_folder(plan, entry, seed), progress=False)
    scored = evaluation.evaluate(run, records, min_positives=plan.min_positives, progress=False)
    about = {"name": entry.label, "family": entry.family, "budget_s": plan.budget(entry)}
    files.write_json(result_path(plan, entry, seed), about | scored.to_dict())


def run_folder(plan: Plan, entry: Entry, seed: int) -> Path:
    """Where one training keeps its weights."""
    return paths.runs_dir() / "study" / plan.name / f"{entry.slug}-{seed}"


def pretrain(plan: Plan, entry: Entry, seed: int) -> Path:
    """Train an entry's network on rendered music, if that is not done yet; the run folder."""
    from tagkit.training import train

    before = entry.pretraining
    records = Records.open(paths.data_dir() / "records" / f"rendered-{before.clips}")
    config = replace(PLAIN, model=entry.model, seed=seed, **before.settings)
    out = paths.runs_dir() / "study" / plan.name / f"{before.slug}-{seed}"
    steps = _steps_of(out) or round(before.budget_s / step_seconds(config, records))
    config = replace(config, steps=steps, eval_every=-(-steps // plan.validations))
    return train(config, records, out, progress=False).root


def settle(plan: Plan, entry: Entry, config: TrainingConfig, records: Records) -> TrainingConfig:
    """The settings of one training, with as many steps as its budget pays for.

    Steps are measured once for an entry: other seeds, and the same training after an interruption, take what is in a
    result or in a run that is there.
    """
    steps = _steps_there(plan, entry) or plan.validations
    if steps == plan.validations and (budget := plan.budget(entry)):
        steps = max(steps, round(budget / step_seconds(config, records)))
    return replace(config, steps=steps, eval_every=-(-steps // plan.validations))


def _steps_there(plan: Plan, entry: Entry) -> int | None:
    for seed in range(plan.seeds):
        if (path := result_path(plan, entry, seed)).is_file():
            return files.read_json(path)["training"]["config"]["steps"]
        if steps := _steps_of(run_folder(plan, entry, seed)):
            return steps
    return None


def _steps_of(run: Path) -> int | None:
    """The steps of a run that was begun."""
    return files.read_json(run / "run.json")["config"]["steps"] if (run / "run.json").is_file() else None


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
