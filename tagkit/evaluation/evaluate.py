"""Scoring a run on held-out clips, and tables of the scores for people to read."""

from collections.abc import Mapping
from dataclasses import replace

import keras
import numpy as np
from tqdm.auto import tqdm

from tagkit.data.records import Records
from tagkit.evaluation import metrics
from tagkit.evaluation.intervals import FEWEST_CLUSTERS
from tagkit.evaluation.result import Network, Result, TagScore, Training, Validation
from tagkit.graph.describe import clip_macs, describe_model
from tagkit.graph.scorer import Scorer
from tagkit.training.runs import Run, code_version

INPUTS = {
    None: "raw",
    "Standardize": "raw",
    "Bank": "learned bank",
    "Mel": "mel",
    "Filterbank": "mel",
}  # by the row's frontend
AREAS = {"roc_auc": "roc", "pr_auc": "pr"}  # names of scores in a Result, and in TagScores
AT_A_TIME = 32  # clips between two steps of the progress bar


def evaluate(
    run: Run,
    records: Records | None = None,
    part: str = "test",
    min_positives: int = 1,
    cluster_by: str | None = None,
    resamples: int = 1000,
    progress: bool = True,
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
    records = run.open_records(records)
    records.verify(progress)
    indices = records.part(part, run.record["split"])
    model = run.model()
    scores = _scores(model, records, indices, f"evaluate {run.root.name}", progress)
    cluster_by = cluster_by or records.catalog.cluster_by
    clusters = records.clusters(indices, cluster_by)
    tags = run.tags_in(records)
    if not tags:
        raise ValueError(f"{records.root} knows none of the tags of {run.root}: there is nothing to score.")
    scores = scores[:, [run.tags.index(tag) for tag in tags]]
    scored = metrics.score_tags(records.labels(indices, tags), scores, tags, clusters, min_positives, resamples)
    split = run.record["split"] or records.catalog.default_split
    macro = {key: scored.macro(metric) for key, metric in AREAS.items()}
    return Result(
        model=run.config.model,
        **macro,
        resamples={key: scored.macro_resamples(metric).round(4) for key, metric in AREAS.items()},
        incomplete_resamples=scored.incomplete_resamples,
        tags={tag: _tag_score(scored, k) for k, tag in enumerate(scored.tags)},
        network=describe_network(run, model),
        training=describe_training(run),
        dataset=records.catalog.name,
        split=split,
        split_sizes=run.record["split_sizes"] or records.catalog.split_sizes(split),
        part=part,
        seed=run.record["seed"],
        data=records.fingerprint,
        decoding=records.decoding,
        code=code_version(),
        clips=len(indices),
        min_positives=min_positives,
        clusters=scored.clusters,
        interval=_describe_intervals(scored.clusters, f"{len(set(clusters))} {cluster_by}s", resamples),
        name=(run.imported or {}).get("name", ""),
    )


def _describe_intervals(effective: float, clusters: str, resamples: int) -> str:
    """How the intervals were made, or why there are none."""
    if effective < FEWEST_CLUSTERS:
        as_many = f"{clusters} tell no more than {effective:.1f} of equal size"
        return f"no intervals: {as_many}, and {FEWEST_CLUSTERS} are needed"
    return f"95 % bootstrap-t intervals over {clusters}, {resamples} resamples"


def _tag_score(scored: metrics.TagScores, k: int) -> TagScore:
    return TagScore(int(scored.positives[k]), **{key: scored.tag(metric, k) for key, metric in AREAS.items()})


def _scores(model: keras.Model, records: Records, indices: np.ndarray, title: str, progress: bool) -> np.ndarray:
    """Probabilities (clips, tags); a few clips at a time, so that the progress bar moves."""
    scorer, parts = Scorer(model), np.split(indices, range(AT_A_TIME, len(indices), AT_A_TIME))
    with tqdm(total=len(indices), desc=title, unit="clip", disable=not progress) as bar:
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
        config=replace(run.config, init=None),
        steps_done=r.get("steps_done"),
        cpu_seconds=r.get("cpu_seconds"),
        init=r.get("init"),
        best_valid_roc_auc=max((h["valid_roc_auc"] for h in r["history"]), default=None),
        history=tuple(Validation(h["step"], round(h["loss"], 4), round(h["valid_roc_auc"], 4)) for h in r["history"]),
    )


def table(results: Mapping[str, Result]) -> str:
    """A plain-text table of some results by name, best ROC-AUC first."""
    wide = max(len("model"), *map(len, results))
    head = f"{'model':<{wide}} {'macro ROC-AUC':<22} {'macro PR-AUC':<22} {'split':<8} "
    head += f"{'seed':>4} {'clips':>6} {'tags':>5}"
    rows = [
        f"{name:<{wide}} {r.roc_auc!s:<22} {r.pr_auc!s:<22} {r.split:<8} {r.seed:>4} {r.clips:>6} {len(r.tags):>5}"
        for name, r in sorted(results.items(), key=lambda item: -item[1].roc_auc.value)
    ]
    one = next(iter(results.values()))
    return "\n".join([head, "-" * len(head), *rows, f"{one.part} part of {one.dataset}; {one.interval}."])


def tag_table(result: Result) -> str:
    """A plain-text table of one result's tags, best ROC-AUC first."""
    rows = [
        f"{tag:<16} {s.positives:>9}  {s.roc_auc!s:<22} {s.pr_auc!s:<22}"
        for tag, s in sorted(result.tags.items(), key=lambda item: -item[1].roc_auc.value)
    ]
    return "\n".join([f"{'tag':<16} {'positives':>9}  {'ROC-AUC':<22} {'PR-AUC':<22}", *rows])
