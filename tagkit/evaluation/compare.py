"""Comparing networks: means over seeds with intervals, paired differences, one table.

All results of a comparison come from the same clips with the same tags, and their bootstrap resamples are drawn alike:
resample k of one network and resample k of another see the same clips, so their difference is a paired bootstrap.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import pandas as pd

from tagkit.evaluation import intervals
from tagkit.evaluation.intervals import Difference, Interval
from tagkit.evaluation.result import Result
from tagkit.training.config import TrainingConfig

CONDITIONS = ("dataset", "data", "split", "part", "clips", "min_positives", "interval", "clusters")


class ComparisonError(ValueError):
    """These results cannot be compared; the message says which differ in what."""


@dataclass(frozen=True)
class Group:
    """The results of one network, one for each seed it was trained with."""

    name: str
    results: tuple[Result, ...]

    @property
    def first(self) -> Result:
        """One of the results, for what all seeds share."""
        return self.results[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, ascending."""
        return tuple(r.seed for r in self.results)

    def values(self, metric: str) -> np.ndarray:
        """The score of each seed, (seeds,); `metric` is one of `Result.metrics`."""
        return np.array([r.score(metric).value for r in self.results])

    def resamples(self, metric: str) -> np.ndarray:
        """The mean over seeds in each bootstrap resample of the clips, (resamples,)."""
        return np.mean([r.resamples[metric] for r in self.results], axis=0)

    def score(self, metric: str) -> Interval:
        """The mean over seeds; its interval is over the clips, for these seeds."""
        return intervals.interval(self.values(metric).mean(), self.resamples(metric), self.first.clusters)

    def tag_scores(self, metric: str = "roc_auc") -> pd.Series:
        """The mean over seeds of each tag's score."""
        return pd.DataFrame([{t: getattr(s, metric).value for t, s in r.tags.items()} for r in self.results]).mean()

    def training(self, key: str) -> float:
        """The mean over seeds of a number that `Training` holds, NaN if one is not known."""
        values = [getattr(r.training, key) for r in self.results]
        return float(np.mean([np.nan if value is None else value for value in values]))

    @property
    def examples_per_cpu_second(self) -> float:
        """Training examples (windows, or clips) for each second of CPU time."""
        batch = self.first.training.config.batch_size
        return self.training("steps_done") * batch / self.training("cpu_seconds")


def told_apart(results: Sequence[Result], names: Sequence[str]) -> list[Result]:
    """The results, renamed to `names` where results of one network differ in more than their seed."""
    mixed = {
        label
        for label, each in _by_label(results).items()
        if len({r.seed for r in each}) < len(each) or _departure(each)
    }
    return [replace(r, name=n) if r.label in mixed else r for r, n in zip(results, names, strict=True)]


def group(results: Iterable[Result]) -> list[Group]:
    """Group results by network (`Result.label`), in the order in which they come, seeds ascending.

    Raises
    ------
    ComparisonError
        The results are of different clips or tags, or those of one network differ in more than their seed.

    Examples
    --------
    >>> results = [evaluate(Run.open(root), progress=False) for root in ("runs/tones", "runs/tones_again")]
    >>> [(g.name, g.seeds) for g in group(results)]
    [('ds256ra', (0, 1))]
    """
    results = list(results)
    if not results:
        raise ComparisonError("There is nothing to compare: name at least one run.")
    for result in results:
        _check_same(results[0], result)
    groups = [Group(label, tuple(sorted(each, key=lambda r: r.seed))) for label, each in _by_label(results).items()]
    for g in groups:
        if len(set(g.seeds)) < len(g.seeds):
            raise ComparisonError(f"Two results of {g.name} have the same seed; leave one out.")
        if key := _departure(g.results):
            raise ComparisonError(f"Results of {g.name} were trained with different {key}; compare them separately.")
    return groups


def _by_label(results: Iterable[Result]) -> dict[str, list[Result]]:
    named: dict[str, list[Result]] = {}
    for result in results:
        named.setdefault(result.label, []).append(result)
    return named


def _departure(results: Sequence[Result]) -> str | None:
    """A setting in which trainings differ that should differ in their seed alone."""
    configs = [r.training.config for r in results]
    names = [f.name for f in fields(TrainingConfig) if f.name not in ("seed", "init")]
    return next((name for name in names if len({getattr(c, name) for c in configs}) > 1), None)


def _check_same(one: Result, other: Result) -> None:
    for key in CONDITIONS:
        here, there = getattr(one, key), getattr(other, key)
        if here != there:
            raise ComparisonError(
                f"{one.label} and {other.label} differ in {key}: {here} and {there}; scores of different conditions "
                "do not compare."
            )
    if one.metrics != other.metrics:
        raise ComparisonError(f"One of {one.label} and {other.label} chooses between classes and the other does not.")
    if list(one.tags) != list(other.tags):
        raise ComparisonError(f"{one.label} and {other.label} were scored on different tags.")


def difference(group: Group, reference: Group, metric: str = "roc_auc") -> Difference:
    """How far `group` is ahead of `reference`: paired over the bootstrap resamples of the clips.

    Parameters
    ----------
    group, reference : Group
        Of the same comparison: resample k of both is of the same clips.
    metric
        One of `Result.metrics`.
    """
    return intervals.difference(
        *(g.values(metric) for g in (group, reference)),
        *(g.resamples(metric) for g in (group, reference)),
        group.first.clusters,
    )


def best(groups: Sequence[Group]) -> Group:
    """The network with the best validation score (mean over seeds); one without comes last."""
    scores = [g.training("best_valid_roc_auc") for g in groups]
    return groups[int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))]


def holm(p_values: Sequence[float]) -> np.ndarray:
    """P-values adjusted for their number, (tests,), by Holm's step-down method (Scand. J. Statist. 6, 1979).

    Those that are NaN stay so, and count as tests.
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p)  # NaN last
    adjusted = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    return adjusted[np.argsort(order)]


def table(groups: Sequence[Group], reference: str | None = None) -> pd.DataFrame:
    """One row for each network, the best first: by ROC-AUC, or by accuracy where tags are exclusive classes.

    Parameters
    ----------
    groups : sequence of Group
    reference : str, optional
        The network that the others are compared with, by name; default: the best by validation score, so that the
        test part chooses nothing.

    Returns
    -------
    DataFrame (networks,)
        Indexed by name. `roc_auc`, `pr_auc` and, of classes, `accuracy`, `balanced_accuracy` (Interval). Of the score
        that ranks: `lowest` and `highest` over seeds, `difference` (`Difference`, to the reference) and `p` (adjusted
        by `holm`). Further `valid_roc_auc`, the fields of `Network`, `examples_per_cpu_second`, `cpu_seconds`, `seeds`.
        The reference has no difference (None) and no p (NaN).

    Raises
    ------
    ComparisonError
        No group has the name `reference`.
    """
    if reference is None:
        reference = best(groups).name
    (base,) = pick(groups, [reference])
    metric = base.first.metrics[0]
    differences = {g.name: difference(g, base, metric) for g in groups if g is not base}
    p = dict(zip(differences, holm([d.p for d in differences.values()]), strict=True))
    frame = pd.DataFrame.from_dict({g.name: _row(g) for g in groups}, orient="index")
    frame["difference"] = [differences.get(n) for n in frame.index]
    frame["p"] = [p.get(n, np.nan) for n in frame.index]
    return frame.sort_values(metric, key=lambda column: [s.value for s in column], ascending=False)


def _row(group: Group) -> dict:
    metrics = group.first.metrics
    ranking = group.values(metrics[0])
    return {
        **{m: group.score(m) for m in metrics},
        "lowest": ranking.min(),
        "highest": ranking.max(),
        "valid_roc_auc": group.training("best_valid_roc_auc"),
        **asdict(group.first.network),
        "examples_per_cpu_second": group.examples_per_cpu_second,
        "cpu_seconds": group.training("cpu_seconds"),
        "seeds": len(group.seeds),
    }


def conditions(groups: Sequence[Group]) -> str:
    """One sentence that says what the scores of a comparison were measured on."""
    r = groups[0].first
    decoder = f", decoder version {r.decoding}" if r.decoding else ""
    return (
        f"Macro averages over {len(r.tags)} tags, {r.part} part of split {r.split!r} of {r.dataset} "
        f"({r.clips} clips, data {r.data}{decoder}); {r.interval}."
    )


def tag_table(groups: Sequence[Group], metric: str = "roc_auc") -> pd.DataFrame:
    """Each tag's score for each network, (tags, networks), the mean over seeds; easiest tag first."""
    frame = pd.DataFrame({g.name: g.tag_scores(metric) for g in groups})
    return frame.loc[frame.mean(axis=1).sort_values(ascending=False).index]


def by_tag(result: Result) -> dict:
    """What `tagkit.plots.per_tag_scores` draws of a result, by the names of its parameters."""
    return {
        "tags": list(result.tags),
        **_columns([s.roc_auc for s in result.tags.values()]),
        "positives": [s.positives for s in result.tags.values()],
    }


def ranking(groups: Sequence[Group], metric: str = "roc_auc") -> dict:
    """What `tagkit.plots.score_ranking` draws of some networks, by the names of its parameters."""
    return {
        "names": [g.name for g in groups],
        **_columns([g.score(metric) for g in groups]),
        "kinds": [g.first.network.input for g in groups],
        "seeds": [g.values(metric) for g in groups],
    }


_PARTS = {"values": "value", "low": "low", "high": "high"}  # of an Interval, as plots name them


def _columns(scores: Sequence[Interval]) -> dict[str, np.ndarray]:
    return {key: np.array([getattr(s, name) for s in scores]) for key, name in _PARTS.items()}


def learning(results: Mapping[str, Result]) -> dict:
    """What `tagkit.plots.training_curves` draws of some results by name, by the names of its parameters."""
    histories = {name: r.training.history for name, r in results.items()}
    longest = max(histories.values(), key=len)
    return {
        "steps": [v.step for v in longest],
        "curves": {
            name: [v.valid_roc_auc for v in history] + [np.nan] * (len(longest) - len(history))
            for name, history in histories.items()
        },
        "ylabel": "validation macro ROC-AUC",
    }


def costs(groups: Sequence[Group]) -> dict:
    """What `tagkit.plots.score_against_cost` draws of some networks, by the names of its parameters."""
    drawn = ranking(groups)
    macs = np.array([g.first.network.macs_per_second for g in groups]) / 1e6
    return {key: drawn[key] for key in ("names", "values", "kinds")} | {"costs": macs}


COLUMNS = (
    "over seeds: the lowest and the highest; difference: from the reference, on the same clips; p: two-sided, adjusted "
    "for the number of networks; valid: the best validation ROC-AUC; MMAC/s: millions of multiplications for a second "
    "of sound; examples/CPU s: of training; seeds: trainings averaged."
)


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it: rounded, with units in the names of the columns."""
    text = scores_as_text(frame)
    text.insert(1, "over seeds", [f"{a:.3f}-{b:.3f}" for a, b in zip(frame["lowest"], frame["highest"], strict=True)])
    return text.assign(
        **{
            "valid": frame["valid_roc_auc"].map("{:.3f}".format),
            "input": frame["input"],
            "parameters": frame["parameters"].map("{:,}".format),
            "MMAC/s": (frame["macs_per_second"] / 1e6).map("{:,.1f}".format),
            "examples/CPU s": frame["examples_per_cpu_second"].map("{:,.0f}".format),
            "seeds": frame["seeds"].astype(str),
        }
    )


HEADS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "roc_auc": "ROC-AUC", "pr_auc": "PR-AUC"}


def scores_as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The scores, differences and p-values of a table, as people read them."""
    return pd.DataFrame(
        {
            **{head: frame[metric].map(str) for metric, head in HEADS.items() if metric in frame},
            "difference": [signed(d) for d in frame["difference"]],
            "p": [_p_text(p, d) for p, d in zip(frame["p"], frame["difference"], strict=True)],
        },
        index=frame.index,
    )


def _p_text(p: float, difference: Difference | None) -> str:
    """A p-value as people read it, marked where it leaves the seeds out; "" for the reference."""
    if difference is None:
        return ""
    text = "unknown" if np.isnan(p) else "< .001" if p < 0.001 else f"{p:.3f}"
    return text if difference.over_seeds or np.isnan(p) else f"{text} (clips only)"


def signed(difference: Difference | None) -> str:
    """A difference with its interval, as people read it; None is the reference."""
    return "reference" if difference is None else difference.interval.text("+")


def markdown(frame: pd.DataFrame, corner: str = "network") -> str:
    """A frame of texts as a table in Markdown."""
    lines = [[corner, *frame.columns], ["---"] * (len(frame.columns) + 1)]
    lines += [[str(name), *map(str, row)] for name, row in zip(frame.index, frame.to_numpy(), strict=True)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def pick(groups: Sequence[Group], names: Iterable[str]) -> list[Group]:
    """The groups of these names, in this order; ComparisonError for one that is not there."""
    by_name = {g.name: g for g in groups}
    names = list(names)
    if missing := [name for name in names if name not in by_name]:
        raise ComparisonError(f"There is no {missing[0]!r} here: there are {', '.join(by_name)}.")
    return [by_name[name] for name in names]
