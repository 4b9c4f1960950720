"""Cross-validation: every network trained on every fold with every seed, and one table of all of it.

A folder holds ``crossval.json`` (folds, data, networks) and, for each training, ``MODEL/fold1-seed0``: a run with its
``predictions.csv`` and ``test.json``. What is done is kept; the folder can be given more networks and seeds later.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from tagkit.data import folds
from tagkit.data.records import Records
from tagkit.evaluation import classes, compare
from tagkit.evaluation.classes import Classes
from tagkit.evaluation.intervals import Interval, interval
from tagkit.evaluation.result import METRICS, Result, TagScore
from tagkit.graph.specs import Row
from tagkit.studies import pool
from tagkit.studies.pool import StudyError
from tagkit.system import files
from tagkit.training.config import TrainingConfig

ABOUT = "crossval.json"


@dataclass(frozen=True)
class CrossValidation:
    """A folder with the trainings of a cross-validation.

    Attributes
    ----------
    root : Path
    by : {"artist", "song", "clip"}
        What is never in two parts of a fold.
    folds : int
    data : str
        Fingerprint of the records.
    min_positives : int
        Tags with fewer positive test clips in a fold are left out of its score.
    """

    root: Path
    by: str
    folds: int
    data: str = field(repr=False)
    min_positives: int = 1

    @classmethod
    def open(cls, root: str | Path) -> "CrossValidation":
        """Open a folder that `run` has begun; StudyError where there is none."""
        root = Path(root)
        if not is_crossval(root):
            raise StudyError(f"{root} holds no cross-validation (no {ABOUT}); make one with `tagkit crossval`.")
        return cls(root, **files.read_json(root / ABOUT))

    @classmethod
    def begin(cls, root: str | Path, by: str, count: int, records: Records, min_positives: int) -> "CrossValidation":
        """Open a folder, or begin one; StudyError if it holds another cross-validation."""
        root = Path(root)
        folds.names(by, count)  # refuses too few
        settings = {"by": by, "folds": count, "data": records.fingerprint, "min_positives": min_positives}
        if not is_crossval(root):
            files.write_json(root / ABOUT, settings)
        there = files.read_json(root / ABOUT)
        for key, value in settings.items():
            if there[key] != value:
                raise StudyError(f"{root} has {key} {there[key]}, not {value}; choose another folder, or keep to it.")
        return cls(root, **settings)

    def run_folder(self, model: str, fold: int, seed: int) -> Path:
        """Where one training lies; folds count from 1."""
        return self.root / model / f"fold{fold}-seed{seed}"

    def results(self) -> list[Result]:
        """One Result for each network and seed whose folds are all done: see `over_folds`.

        Raises
        ------
        StudyError
            No network has a seed with all folds done.
        """
        found = []
        for model in sorted(p.name for p in self.root.iterdir() if p.is_dir()):
            seeds = {int(p.name.partition("-seed")[2]) for p in (self.root / model).glob("fold*-seed*")}
            for seed in sorted(seeds):
                paths = [self.run_folder(model, fold, seed) / "test.json" for fold in range(1, self.folds + 1)]
                if all(path.is_file() for path in paths):
                    found.append(over_folds([Result.from_json(files.read_json(path)) for path in paths]))
        if not found:
            raise StudyError(f"No network in {self.root} has all its {self.folds} folds done; rerun `tagkit crossval`.")
        return found


def is_crossval(root: str | Path) -> bool:
    """Whether a folder holds a cross-validation."""
    return (Path(root) / ABOUT).is_file()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    configs: Mapping[str, TrainingConfig],
    records: Records,
    out: str | Path,
    by: str | None = None,
    count: int = 5,
    seeds: Iterable[int] = (0,),
    min_positives: int = 1,
    jobs: int | None = None,
    progress: bool = True,
    code: Sequence[str | Path] = (),
) -> CrossValidation:
    """Train and score every network on every fold with every seed, as far as that is not done yet.

    Parameters
    ----------
    configs
        Settings by the network's name; their seed and split are replaced.
    out
        The folder. An interrupted call is resumed by the same call.
    by : {"artist", "song", "clip"}, optional
        What is never in two parts of a fold. Default: what the records' intervals are clustered by.
    count
        Folds, at least 3.
    min_positives
        Tags with fewer positive test clips in a fold are left out of its score.
    jobs
        Trainings at a time, each on one core. Default: one for each core. 0: in this process.
    code
        Python files whose Keras layers are front-ends of these networks.

    Raises
    ------
    StudyError
        `out` holds another cross-validation, or some trainings failed (all others were done).
    ValueError
        There are fewer groups than folds.
    """
    begun = CrossValidation.begin(out, by or records.catalog.cluster_by, count, records, min_positives)
    splits = folds.names(begun.by, count)
    for split in splits:
        records.catalog.parts(split)  # before any training: are there enough groups?
    tasks, total = {}, 0
    for seed in seeds:
        for fold, split in enumerate(splits, start=1):
            for name, config in configs.items():
                total += 1
                folder = begun.run_folder(name, fold, seed)
                task = records.catalog.task(config.vocabulary)
                settled = replace(config, seed=seed, split=split)
                if not _is_done(folder, settled, task):
                    tasks[f"{name} fold {fold} seed {seed}"] = partial(
                        _train_fold, settled, records.root, folder, fold, min_positives, tuple(code)
                    )
    jobs = cores() if jobs is None else jobs
    pool.run(tasks, min(jobs, len(tasks)), "crossval", total - len(tasks), progress)
    return begun


def _is_done(folder: Path, config: TrainingConfig, task: str) -> bool:
    """Whether a training was scored; StudyError if it was one with other settings."""
    if not (folder / "test.json").is_file():
        return False
    there = Result.from_json(files.read_json(folder / "test.json")).training.config
    same = there == replace(config, init=None).settled(task)
    if isinstance(config.model, Row):
        row = json.loads(json.dumps(config.model.to_dict()))
        same = same and files.read_json(folder / "run.json")["row"] == row
    if not same:
        raise StudyError(f"{folder} was trained with other settings; choose another folder, or remove that one.")
    return True


def _train_fold(
    config: TrainingConfig,
    records_root: Path,
    folder: Path,
    fold: int,
    min_positives: int,
    code: tuple[str | Path, ...],
) -> None:
    """Train and score one network on one fold."""
    from tagkit.evaluation import evaluate
    from tagkit.graph.layers import own
    from tagkit.training.loop import train

    for path in code:
        own.register(path)
    records = Records.open(records_root)
    trained = train(config, records, folder, progress=False)
    predictions = evaluate.predict(trained, records, progress=False)
    predictions.save(folder / "predictions.csv")
    # Folds are different clips: their resamples are drawn apart.
    scores = predictions.scored(min_positives, seed=fold)
    evaluate.describe(trained, trained.model(trained=False), records, scores).save(folder / "test.json")


def over_folds(results: Sequence[Result]) -> Result:
    """One network and seed, over all folds: means of the folds' scores, and of their resamples.

    Each fold is scored by itself and the mean is taken: scores of different networks are not on one scale, so that
    clips of different folds cannot be ranked together. A tag's score is the mean over the folds that can score it, and
    has no interval of its own.
    """
    first = results[0]
    resamples = {m: np.mean([r.resamples[m] for r in results], axis=0) for m in first.metrics}
    clusters = sum(r.clusters for r in results)
    scores = {m: float(np.mean([getattr(r, m).value for r in results])) for m in METRICS}
    by, _, of = first.split.replace("/", ":").split(":")
    config = replace(first.training.config, split=f"{by}:{of} folds")
    return replace(
        first,
        **{m: interval(score, resamples[m], clusters) for m, score in scores.items()},
        resamples=resamples,
        incomplete_resamples=float(np.mean([r.incomplete_resamples for r in results])),
        tags=_mean_tags(results),
        classes=_mean_classes(results, resamples, clusters) if first.classes else None,
        clips=sum(r.clips for r in results),
        clusters=clusters,
        interval=f"95 % intervals over the clusters of {of} folds by {by}, and over seeds where there are several",
        split=config.split,
        split_sizes={"train": 0, "valid": 0, "test": sum(r.clips for r in results)},
        training=replace(
            first.training,
            config=config,
            history=(),
            **{key: _mean(results, key) for key in ("steps_done", "cpu_seconds", "best_valid_roc_auc")},
        ),
    )


def _mean(results: Sequence[Result], key: str) -> float:
    return float(np.mean([getattr(r.training, key) for r in results]))


def _mean_tags(results: Sequence[Result]) -> dict[str, TagScore]:
    names = dict.fromkeys(tag for r in results for tag in r.tags)
    found = {tag: [r.tags[tag] for r in results if tag in r.tags] for tag in names}
    return {
        tag: TagScore(
            sum(s.positives for s in each),
            **{m: Interval(float(np.mean([getattr(s, m).value for s in each])), np.nan, np.nan) for m in METRICS},
        )
        for tag, each in found.items()
    }


def _mean_classes(results: Sequence[Result], resamples: Mapping[str, np.ndarray], clusters: float) -> Classes:
    """Mean accuracies; the confusion of all clips, whose shares have no interval of their own."""
    confusion = np.sum([r.classes.confusion for r in results], axis=0)
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    means = {m: float(np.mean([r.score(m).value for r in results])) for m in classes.METRICS}
    return Classes(
        results[0].classes.names,
        **{m: interval(mean, resamples[m], clusters) for m, mean in means.items()},
        confusion=confusion,
        shares=tuple(tuple(Interval(float(share), np.nan, np.nan) for share in row) for row in shares),
    )


def table(results: Sequence[Result], reference: str | None = None) -> pd.DataFrame:
    """Networks compared on all folds, and where the variance of their scores comes from; best network first.

    Parameters
    ----------
    results
        Of `CrossValidation.results`, or of several of the same folds.
    reference
        The network that the others are compared with. Default: the best by validation score.

    Returns
    -------
    DataFrame (networks,)
        As from `tagkit.evaluation.compare.table`, but the intervals of scores are over clips and, where
        there are several, seeds. Further columns: of the score that ranks, `clips_sd`, the standard error over
        the choice of clips, and `seeds_sd`, the standard deviation between seeds (NaN for one seed).
    """
    groups = compare.group(results)
    frame = compare.table(groups, reference)
    for name, group in zip(frame.index, compare.pick(groups, frame.index), strict=True):
        for metric in group.first.metrics:
            values = group.values(metric)
            frame.at[name, metric] = interval(values.mean(), group.resamples(metric), group.first.clusters, values)
        metric = group.first.metrics[0]
        values = group.values(metric)
        frame.loc[name, "clips_sd"] = np.nanstd(group.resamples(metric), ddof=1)
        frame.loc[name, "seeds_sd"] = values.std(ddof=1) if len(values) > 1 else np.nan
    return frame


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it."""
    text = compare.scores_as_text(frame)
    deviations = [("SD of clips", frame["clips_sd"]), ("SD of seeds", frame["seeds_sd"])]
    for place, (name, values) in enumerate(deviations, start=1):
        text.insert(place, name, [f"{value:.4f}" if np.isfinite(value) else "unknown" for value in values])
    return text.assign(parameters=frame["parameters"].map("{:,}".format), seeds=frame["seeds"].astype(str))
