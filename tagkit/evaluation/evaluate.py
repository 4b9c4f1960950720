"""Scoring a run on held-out clips, and tables of the scores for people to read."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import keras
import numpy as np

from tagkit.data.download import DownloadError
from tagkit.data.records import Records
from tagkit.evaluation.predictions import Predictions, check_format
from tagkit.evaluation.result import Network, Result, Scores, Training, Validation
from tagkit.graph.describe import clip_macs, describe_model
from tagkit.graph.scorer import Scorer
from tagkit.system.progress import progress_bar
from tagkit.training.runs import Run, TrainingError, code_version
from tagkit.training.teacher import Teacher

INPUTS = {
    None: "raw",
    "Standardize": "raw",
    "Bank": "learned bank",
    "Mel": "mel",
    "Filterbank": "mel",
    "Own": "own",
}  # by the row's frontend
AT_A_TIME = 32  # clips between two steps of the progress bar


def evaluate(
    run: Run,
    records: Records | None = None,
    part: str = "test",
    min_positives: int = 1,
    cluster_by: str | None = None,
    resamples: int = 1000,
    progress: bool = True,
    predictions: Path | None = None,
) -> Result:
    """Score a run on a part of the split that it was trained with.

    Parameters
    ----------
    run : Run
    records : Records, optional
        Default: the records that the run was trained on. Those of an imported network's tags that they do not know are
        left out.
    part : {"test", "valid", "train"}
    min_positives : int
        Tags with fewer positive clips in this part are left out.
    cluster_by : {"song", "artist"}, optional
        Default: as the records say.
    resamples : int
        Bootstrap resamples of whole clusters.
    progress : bool
    predictions : Path, optional
        Write the labels and scores of every clip to this file: see `tagkit.evaluation.predictions`.

    Raises
    ------
    TrainingError
        The records are not those that the run was trained on.
    ValueError
        No tag has enough positives, or the records know none of the network's.

    Examples
    --------
    >>> result = evaluate(Run.open("runs/tones"), progress=False)
    >>> result.part, result.clips, list(result.tags)
    ('test', 6, ['low', 'middle', 'high'])
    >>> 0 <= result.roc_auc.value <= 1
    True
    """
    if predictions:
        check_format(predictions)
    records, model = run.open_records(records), run.model()
    predicted = _predict(run, model, records, part, cluster_by, progress)
    if predictions:
        predicted.save(predictions)
    result = describe(run, model, records, predicted.scored(min_positives, resamples))
    return replace(result, agreement=_agreement(run, records, part, predicted, progress))


def describe(run: Run, model: keras.Model, records: Records, scores: Scores) -> Result:
    """The Result of a run, whose network is `model`, from the scores of its predictions for these records."""
    split = run.record["split"] or records.catalog.default_split
    return Result(
        **{f.name: getattr(scores, f.name) for f in fields(Scores)},
        model=run.config.model,
        network=describe_network(run, model),
        training=describe_training(run),
        dataset=records.catalog.name,
        split=split,
        split_sizes=run.record["split_sizes"] or records.catalog.split_sizes(split),
        seed=run.record["seed"],
        data=records.fingerprint,
        decoding=records.decoding,
        code=code_version(),
        name=(run.imported or {}).get("name", ""),
    )


def predict(
    run: Run,
    records: Records | None = None,
    part: str = "test",
    cluster_by: str | None = None,
    progress: bool = True,
) -> Predictions:
    """Labels and probabilities of a part of the split that a run was trained with; parameters as for `evaluate`.

    Raises
    ------
    TrainingError
        The records are not those that the run was trained on.
    """
    return _predict(run, run.model(), run.open_records(records), part, cluster_by, progress)


def _predict(
    run: Run, model: keras.Model, records: Records, part: str, cluster_by: str | None, progress: bool
) -> Predictions:
    records.verify(progress)
    indices = records.part(part, run.record["split"])
    cluster_by = cluster_by or records.catalog.cluster_by
    tags = run.tags_in(records)
    if not tags:
        raise ValueError(f"{records.root} knows none of the tags of {run.root}: there is nothing to score.")
    return Predictions(
        clips=records.catalog.clips.index[indices].to_numpy(object),
        part=np.full(len(indices), part, object),
        clusters=records.clusters(indices, cluster_by),
        cluster_by=cluster_by,
        tags=tags,
        labels=records.labels(indices, tags),
        scores=_scores(run, model, records, indices, progress)[:, [run.tags.index(tag) for tag in tags]],
        exclusive=run.exclusive,
    )


def _agreement(run: Run, records: Records, part: str, predicted: Predictions, progress: bool) -> float | None:
    """How alike a student and its teacher score some clips; None without a teacher, or where its run is gone."""
    taught = run.record.get("teacher")
    if taught is None:
        return None
    try:
        teacher = Teacher.open(run.config.teacher)
        if teacher.run.weights_sha256 != taught["weights_sha256"]:
            return None
    except (TrainingError, DownloadError):
        return None
    indices = records.part(part, run.record["split"])
    theirs = teacher.soft(records, f"{run.record['split']}-{part}", indices, progress).whole(indices)
    theirs = theirs[:, [run.tags.index(tag) for tag in predicted.tags]]
    varied = (np.ptp(predicted.scores, 0) > 0) & (np.ptp(theirs, 0) > 0)
    pairs = zip(predicted.scores.T[varied], theirs.T[varied], strict=True)
    return float(np.mean([np.corrcoef(ours, said)[0, 1] for ours, said in pairs]))


def _scores(run: Run, model: keras.Model, records: Records, indices: np.ndarray, progress: bool) -> np.ndarray:
    """Probabilities (clips, tags); a few clips at a time, so that the progress bar moves."""
    scorer = Scorer(model, exclusive=run.exclusive)
    parts = np.split(indices, range(AT_A_TIME, len(indices), AT_A_TIME))
    with progress_bar(total=len(indices), desc=f"evaluate {run.root.name}", unit="clip", disable=not progress) as bar:
        scores = []
        for some in parts:
            scores.append(scorer(records, some))
            bar.update(len(some))
    return np.concatenate(scores)


def describe_network(run: Run, model: keras.Model) -> Network:
    """What a run's network takes and costs."""
    windowing = run.windowing
    seconds = (windowing.windows or 1) * windowing.samples / run.record["row"]["sr"]
    return Network(
        input=INPUTS[(run.record["row"]["frontend"] or {}).get("table")],
        windowing=windowing.name,
        samples=windowing.samples,
        parameters=describe_model(model)["parameters"],
        macs_per_second=round(clip_macs(model, windowing.windows or 1) / seconds),
        usual_windowing=windowing.name == run.record["row"]["windowing"][0],
    )


def describe_training(run: Run) -> Training:
    """How a run was trained; losses and validation scores are rounded to 0.0001."""
    r = run.record
    return Training(
        config=replace(run.config, init=None, teacher=None),
        steps_done=r.get("steps_done"),
        cpu_seconds=r.get("cpu_seconds"),
        init=r.get("init"),
        best_valid_roc_auc=max((h["valid_roc_auc"] for h in r["history"]), default=None),
        history=tuple(Validation(h["step"], round(h["loss"], 4), round(h["valid_roc_auc"], 4)) for h in r["history"]),
        teacher=r.get("teacher"),
    )


HEADS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
HEADS |= {"roc_auc": "macro ROC-AUC", "pr_auc": "macro PR-AUC"}


def table(results: Mapping[str, Result]) -> str:
    """A plain-text table of some results by name, the best first."""
    one, wide = next(iter(results.values())), max(len("model"), *map(len, results))
    head = f"{'model':<{wide}} {''.join(f'{HEADS[m]:<23}' for m in one.metrics)}{'split':<8} "
    head += f"{'seed':>4} {'clips':>6} {'tags':>5}"
    rows = [
        f"{name:<{wide}} {''.join(f'{r.score(m)!s:<23}' for m in one.metrics)}{r.split:<8} "
        f"{r.seed:>4} {r.clips:>6} {len(r.tags):>5}"
        for name, r in sorted(results.items(), key=lambda item: -item[1].score(one.metrics[0]).value)
    ]
    return "\n".join([head, "-" * len(head), *rows, f"{one.part} part of {one.dataset}; {one.interval}."])
