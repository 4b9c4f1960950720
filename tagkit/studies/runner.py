"""Running a study: every training that is not done yet, several at a time, each on one core.

Results go into the study's `Store`; run folders, with the weights, may be removed at any time. Run the same study again
to resume it. A training that fails in a process of its own does not stop the others.
"""

import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from tagkit.data import demo
from tagkit.data.prepare import prepare
from tagkit.data.records import Records
from tagkit.evaluation.result import Result
from tagkit.graph.specs import Bank
from tagkit.studies import pool
from tagkit.studies.plans import PLAIN, Entry, Plan
from tagkit.studies.pool import StudyError
from tagkit.studies.store import Store
from tagkit.system import files, paths
from tagkit.training.config import TrainingConfig

WARM_UP, MEASURED_S = 2, 1.5
RENDER_SEED = 1  # other clips than the demo's


def run_folder(plan: Plan, entry: Entry, seed: int) -> Path:
    """Where one training keeps its weights."""
    return paths.runs_dir() / "study" / plan.name / f"{entry.slug}-{seed}"


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
        Trainings at a time, each in a process of its own on one core. 0: in this process, where the first error ends
        the study.
    only : iterable of str
        Labels of entries to train; empty: all.
    seeds : int, optional
        Replaces the plan's.
    progress : bool

    Raises
    ------
    StudyError
        Some trainings failed (the others were done), or there are results with other data, settings or budget.
    ValueError
        `only` names an entry that the plan lacks.
    KeyboardInterrupt
        On Ctrl-C, after trainings under way have been saved.
    """
    only, plan = set(only), replace(plan, seeds=seeds or plan.seeds)
    if unknown := only - {entry.label for entry in plan.entries}:
        raise ValueError(f"The study {plan.name} has no {sorted(unknown)[0]!r}.")
    entries = [e for e in plan.entries if not only or e.label in only]
    for clips in sorted({e.pretraining.clips for e in entries if e.pretraining}):
        rendered(clips)
    _train_all(plan, [(entry, 0) for entry in entries], records, jobs, progress)
    if plan.seeds > 1:
        chosen = finalists(plan)
        further = [e for e in entries if e in chosen]
        if only and len(further) < len(entries):
            left = ", ".join(e.label for e in entries if e not in further)
            print(
                f"Only one seed of {left} was trained: further seeds are for the {plan.finalists} best entries by "
                "validation score, once every entry has its first.",
                file=sys.stderr,
            )
        _train_all(plan, [(e, seed) for seed in range(1, plan.seeds) for e in further], records, jobs, progress)


def finalists(plan: Plan) -> tuple[Entry, ...]:
    """The entries that get further seeds: all, or the best ones by validation score once every entry has its first."""
    if plan.finalists is None:
        return plan.entries
    there = Store(plan.name).read()
    if any((e.label, 0) not in there for e in plan.entries):
        return ()
    ranked = sorted(plan.entries, key=lambda e: -there[e.label, 0].training.best_valid_roc_auc)
    best_of = [next(e for e in ranked if there[e.label, 0].network.input == kind) for kind in plan.best_of]
    return tuple(e for e in ranked if e in ranked[: plan.finalists] or e in best_of)


def rendered(clips: int) -> Records:
    """Records of this many rendered clips, rendered and prepared if they do not exist yet."""
    out = paths.data_dir() / "records" / f"rendered-{clips}"
    if (out / "manifest.json").is_file():
        return Records.open(out)
    return prepare(demo.render(paths.data_dir() / f"rendered-{clips}", clips, seed=RENDER_SEED), out, sr=16_000)


def _train_all(plan: Plan, trainings: list[tuple[Entry, int]], records: Records, jobs: int, progress: bool) -> None:
    """Train what has no result yet, `jobs` at a time; StudyError at the end names those that failed."""
    there, tasks = Store(plan.name).read(), {}
    for entry, seed in trainings:
        if result := there.get((entry.label, seed)):
            _check_terms(plan, entry, result, records)
        else:
            tasks[f"{entry.label} seed {seed}"] = partial(train_one, plan, entry, seed, records.root)
    pool.run(tasks, jobs, f"study {plan.name}", len(trainings) - len(tasks), progress)


def _check_terms(plan: Plan, entry: Entry, result: Result, records: Records) -> None:
    """StudyError if a result is of other data, or was trained otherwise than the plan says."""
    there = {"data": result.data, "decoding": result.decoding, "budget_s": result.budget_s}
    there |= result.training.config.to_dict()
    same = records.holds(result.data)
    here = {"data": result.data if same else records.fingerprint, "decoding": records.decoding}
    here |= {"budget_s": plan.budget(entry)}
    here |= _config(plan, entry, result.seed).to_dict()
    for key in here.keys() - {"init", "teacher", "steps", "eval_every"}:  # paths, and what follows from the budget
        if here[key] != there[key]:
            raise StudyError(
                f"{Store(plan.name).path} has {result.name} seed {result.seed} with {key} {there[key]}, but this study "
                f"has {here[key]}; move that file away to start anew, or keep to it."
            )


def _config(plan: Plan, entry: Entry, seed: int) -> TrainingConfig:
    """The settings of a training, except its steps, which follow from the budget."""
    settled = replace(plan.base, model=entry.model, seed=seed, **entry.settings).settled("multi-label")
    return replace(settled, model=entry.model)  # a row of the study's own is in no zoo, where its name would be sought


def train_one(plan: Plan, entry: Entry, seed: int, records_root: Path) -> None:
    """Train and score one entry with one seed, and write its result.

    Parameters
    ----------
    plan : Plan
    entry : Entry
    seed : int
    records_root : Path
        The records folder.

    Raises
    ------
    StudyError
        Another process trains it.
    ValueError
        It cannot be trained or scored; see `tagkit.training.loop.train` and `tagkit.evaluation.evaluate.evaluate`.
    KeyboardInterrupt
        On Ctrl-C or SIGTERM, once the training is saved.
    """
    from tagkit.analysis import banks
    from tagkit.evaluation import evaluate
    from tagkit.training.loop import train

    records, out = Records.open(records_root), run_folder(plan, entry, seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    busy = StudyError(f"{out} is being trained by another process.")
    with files.exclusive(out.with_name(f"{out.name}.lock"), busy):
        config = _config(plan, entry, seed)
        if entry.pretraining:
            config = replace(config, init=str(pretrain(plan, entry, seed)))
        runs = [run_folder(plan, entry, each) for each in range(plan.seeds)]
        steps = _steps(plan, entry.label, plan.budget(entry), runs, config, records)
        run = train(_with_steps(plan, config, steps), records, out, progress=False)
        scored = evaluate.evaluate(run, records, min_positives=plan.min_positives, progress=False)
        about = {"name": entry.label, "family": entry.family, "budget_s": plan.budget(entry)}
        if isinstance(run.row.frontend, Bank):
            about["moved"] = banks.moved(run)
        Store(plan.name).add(replace(scored, **about))


def pretrain(plan: Plan, entry: Entry, seed: int) -> Path:
    """Train an entry's network on rendered music, if that is not done yet; returns the run folder.

    Parameters
    ----------
    plan : Plan
    entry : Entry
        One with a pretraining.
    seed : int
        Below `plan.seeds`; all seeds train for the same number of steps.
    """
    from tagkit.training.loop import train

    before, records = entry.pretraining, rendered(entry.pretraining.clips)
    folder = paths.runs_dir() / "study" / plan.name
    folders = [folder / f"{entry.model}-{before.slug}-{k}" for k in range(plan.seeds)]
    config = replace(PLAIN, model=entry.model, seed=seed, **before.settings)
    budget_s = before.budget_s if plan.budget_s else 0
    steps = _steps(plan, f"{entry.model} {before.slug}", budget_s, folders, config, records)
    return train(_with_steps(plan, config, steps), records, folders[seed], progress=False).root


def settle_steps(plan: Plan, budget_s: float, config: TrainingConfig, records: Records) -> int:
    """The steps that fit a budget: a multiple of the validations, with at least one step for each.

    Parameters
    ----------
    plan : Plan
        Says how many validations there are.
    budget_s : float
        CPU seconds; 0 gives one step for each validation.
    config : TrainingConfig
    records : Records
        A few steps on them are timed (`step_seconds`).
    """
    each = round(budget_s / step_seconds(config, records) / plan.validations) if budget_s else 1
    return plan.validations * max(each, 1)


def _with_steps(plan: Plan, config: TrainingConfig, steps: int) -> TrainingConfig:
    return replace(config, steps=steps, eval_every=-(-steps // plan.validations))


def _steps(
    plan: Plan, name: str, budget_s: float, runs: Sequence[Path], config: TrainingConfig, records: Records
) -> int:
    """The steps of a training, the same for all seeds: those of a run that was begun, or settled, or settled now."""
    store = Store(plan.name)
    steps = next((each for each in map(_steps_of, runs) if each), None) or store.steps(name, budget_s)
    steps = steps or settle_steps(plan, budget_s, config, records)
    store.settle(name, budget_s, steps)
    return steps


def _steps_of(run: Path) -> int | None:
    """The steps of a run, None if it was never started."""
    return files.read_json(run / "run.json")["config"]["steps"] if (run / "run.json").is_file() else None


def step_seconds(config: TrainingConfig, records: Records) -> float:
    """CPU seconds of one training step, measured over at least 1.5 s of them."""
    from tagkit.training import devices, start

    with tempfile.TemporaryDirectory() as folder:
        training = start.build(start.decide(config, records, Path(folder), devices.choose()))
        batch = training.windows.batch(0)
        for _ in range(WARM_UP):
            training.take_step(*batch)
        steps, started = 0, time.process_time()
        while time.process_time() - started < MEASURED_S:
            training.take_step(*batch)
            steps += 1
        return (time.process_time() - started) / steps
