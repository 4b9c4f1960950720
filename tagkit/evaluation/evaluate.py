"""Scores of a run on held-out clips, with everything needed to quote them, and a table that a person can read."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from tqdm.auto import tqdm

from tagkit.data.records import Records
from tagkit.evaluation import metrics
from tagkit.graph.describe import clip_macs, describe_model
from tagkit.graph.scorer import Scorer
from tagkit.system import files
from tagkit.training.runs import Run, code_version

INPUTS = {None: "raw", "Bank": "learned bank", "Mel": "mel", "Filterbank": "mel"}  # by the row's frontend
AT_A_TIME = 32  # clips between two steps of the progress bar


@dataclass(frozen=True)
class Evaluation:
    """The scores of one run on one part of its split.

    Attributes
    ----------
    scores : TagScores
    record : dict
        What the scores depend on.
    """

    scores: metrics.TagScores
    record: dict

    def to_dict(self) -> dict:
        """Plain JSON types: macro scores with intervals, their conditions, every tag, and every resample's macro score.

        The resamples, in ten-thousandths, are drawn alike for all networks that are scored on the same clips: their
        differences are a paired bootstrap (`tagkit.evaluation.compare`).
        """
        s = self.scores
        result = {}
        for name, metric in (("roc_auc", "roc"), ("pr_auc", "pr")):
            interval = s.macro(metric)
            result |= {name: interval.value, f"{name}_ci": [interval.low, interval.high]}
        result |= self.record
        result["incomplete_resamples"] = s.incomplete_resamples
        result["resampled"] = {
            name: _packed(s.macro_resamples(m)) for name, m in (("roc_auc", "roc"), ("pr_auc", "pr"))
        }
        result["tags"] = {tag: self._tag(k) for k, tag in enumerate(s.tags)}
        return result

    def _tag(self, k: int) -> dict:
        roc, pr = self.scores.tag("roc", k), self.scores.tag("pr", k)
        return {
            "positives": int(self.scores.positives[k]),
            "roc_auc": roc.value,
            "roc_auc_ci": [roc.low, roc.high],
            "pr_auc": pr.value,
            "pr_auc_ci": [pr.low, pr.high],
        }


def evaluate(
    run: Run,
    records: Records | None = None,
    part: str = "test",
    min_positives: int = 1,
    cluster_by: str | None = None,
    resamples: int = 1000,
    progress: bool = True,
) -> Evaluation:
    """Score a run on a part of the split that it was trained with.

    Parameters
    ----------
    run : Run
    records : Records, optional
        Default: the records that the run was trained on.
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
        No tag has enough positives.
    """
    records = run.open_records(records)
    records.verify(progress)
    indices = records.part(part, run.record["split"])
    model = run.model()
    scores = _scores(model, records, indices, f"evaluate {run.root.name}", progress)
    labels = records.labels(indices, run.tags)
    cluster_by = cluster_by or records.catalog.cluster_by
    clusters = records.clusters(indices, cluster_by)
    record = {
        "model": run.config.model,
        "network": describe_network(run, model),
        "training": describe_training(run),
        "dataset": records.catalog.name,
        "split": run.record["split"],
        "split_sizes": run.record["split_sizes"],
        "part": part,
        "seed": run.record["seed"],
        "data": records.fingerprint,
        "code": code_version(),
        "clips": len(indices),
        "min_positives": min_positives,
        "interval": f"95 % percentile bootstrap over {len(set(clusters))} {cluster_by}s, {resamples} resamples",
    }
    return Evaluation(metrics.score_tags(labels, scores, run.tags, clusters, min_positives, resamples), record)


def _scores(model: keras.Model, records: Records, indices: np.ndarray, title: str, progress: bool) -> np.ndarray:
    """Probabilities (clips, tags), a few clips at a time, so that the bar shows where it is."""
    scorer, parts = Scorer(model), np.split(indices, range(AT_A_TIME, len(indices), AT_A_TIME))
    with tqdm(total=len(indices), desc=title, unit="clip", disable=not progress) as bar:
        scores = []
        for some in parts:
            scores.append(scorer(records, some))
            bar.update(len(some))
    return np.concatenate(scores)


def describe_network(run: Run, model: keras.Model) -> dict:
    """What a network takes (raw, mel or learned bank) and costs: windowing, parameters, MACs of a second of sound."""
    windowing = run.windowing
    seconds = (windowing.windows or 1) * windowing.samples / run.record["row"]["sr"]
    return {
        "input": INPUTS[(run.record["row"]["frontend"] or {}).get("table")],
        "windowing": windowing.name,
        "usual_windowing": windowing.name == run.record["row"]["windowing"][0],
        "samples": windowing.samples,
        "parameters": describe_model(model)["parameters"],
        "macs_per_second": round(clip_macs(model, windowing.windows or 1) / seconds),
    }


def describe_training(run: Run) -> dict:
    """How a network was trained: settings, what it started from, steps, CPU time, validation scores."""
    best = max((h["valid_roc_auc"] for h in run.record["history"]), default=None)
    done = {key: run.record.get(key) for key in ("steps_done", "cpu_seconds", "init")}
    history = [{key: round(h[key], 4) for key in ("step", "loss", "valid_roc_auc")} for h in run.record["history"]]
    config = {key: value for key, value in run.record["config"].items() if key != "init"}  # a path; `init` says what of
    return done | {"best_valid_roc_auc": best, "history": history, "config": config}


def save(evaluation: Evaluation, path: str | Path) -> None:
    """Write an evaluation as JSON."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.sweep(path.parent, path.name)
    files.write_json(path, evaluation.to_dict())


def table(results: dict[str, dict]) -> str:
    """A plain-text table of several evaluations (name -> `Evaluation.to_dict`), best ROC-AUC first."""
    wide = max(len("model"), *map(len, results))
    head = f"{'model':<{wide}} {'macro ROC-AUC':<22} {'macro PR-AUC':<22} {'split':<8} "
    head += f"{'seed':>4} {'clips':>6} {'tags':>5}"
    lines = [head, "-" * len(head)]
    for name, r in sorted(results.items(), key=lambda item: -item[1]["roc_auc"]):
        roc, pr = (metrics.Interval(r[m], *r[f"{m}_ci"]) for m in ("roc_auc", "pr_auc"))
        lines.append(
            f"{name:<{wide}} {roc!s:<22} {pr!s:<22} {r['split']:<8} {r['seed']:>4} {r['clips']:>6} {len(r['tags']):>5}"
        )
    any_result = next(iter(results.values()))
    return "\n".join([*lines, f"{any_result['part']} part of {any_result['dataset']}; {any_result['interval']}."])


def _packed(resamples: np.ndarray) -> str:
    return " ".join("nan" if np.isnan(value) else str(round(10_000 * value)) for value in resamples)


def tag_table(result: dict) -> str:
    """A plain-text table of one evaluation's tags, best ROC-AUC first."""
    lines = [f"{'tag':<16} {'positives':>9}  {'ROC-AUC':<22} {'PR-AUC':<22}"]
    for tag, r in sorted(result["tags"].items(), key=lambda item: -item[1]["roc_auc"]):
        roc, pr = (metrics.Interval(r[m], *r[f"{m}_ci"]) for m in ("roc_auc", "pr_auc"))
        lines.append(f"{tag:<16} {r['positives']:>9}  {roc!s:<22} {pr!s:<22}")
    return "\n".join(lines)
