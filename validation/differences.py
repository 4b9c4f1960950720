"""Differences between networks: coverage of intervals, and how often p-values find what is not there.

Two networks are scored on the same simulated test part, with every fourth tag of the other simulations. Part of what
their scores hold beside the labels is the clips' own (both networks err alike), part is the network's, part the single
training's; and trainings differ in skill, with the standard deviation stated, in macro ROC-AUC. "Equal networks" would
reach the same mean score over endless seeds and clips: a p-value below .05 should come up in 5 % of cases, and in 7 %
at most. Where networks differ, the interval of the difference should hold the true one in 95 %. One case falls short:
the p-value of average precision of two single trainings comes up twice as often as it should. Train three
seeds before you compare designs by it; ROC-AUC, by which docs/results.md compares, is not affected.
"""

from dataclasses import dataclass, replace

import numpy as np

from tagkit.evaluation import intervals, metrics
from validation import populations
from validation.coverage import Count
from validation.findings import Rate
from validation.populations import Population

SEEDS, QUICK_TRIALS, TRIALS, RESAMPLES = 3, 40, 400, 150
P_BOUNDS = (0.0, 0.07)
SHARES = (0.5, 0.25, 0.25)  # of the variance of scores: of the clip, of the network, of the training


@dataclass(frozen=True)
class Case:
    """Two networks; `spread` is the standard deviation over seeds of each one's ROC-AUC."""

    part: Population
    aucs: tuple[float, float]
    spread: tuple[float, float]
    seeds: int = SEEDS

    @property
    def name(self) -> str:
        """What tells the case from others."""
        networks = f"equal networks ({self.aucs[0]:g})" if self.aucs[0] == self.aucs[1] else "ROC-AUC {:g} and {:g}"
        spread = " and ".join(f"{s:g}" for s in sorted(set(self.spread)))
        seeds = f"{self.seeds} seeds, spread {spread}" if self.seeds > 1 else "1 seed, these trainings"
        return f"{networks.format(*self.aucs)}, {self.part.name}, {seeds}"


def run(quick: bool) -> list[Rate]:
    """Count false positives and coverage."""
    demo, few = (replace(part, prevalence=part.prevalence[::4]) for part in (populations.DEMO, populations.RECORDINGS))
    cases = [Case(demo, (0.9, 0.9), (0.005, 0.005)), Case(demo, (0.9, 0.9), (0, 0), 1)]
    if not quick:
        cases += [
            Case(demo, (0.9, 0.9), (0, 0)),
            Case(demo, (0.9, 0.9), (0.002, 0.02)),
            Case(few, (0.75, 0.75), (0.01, 0.01)),
            Case(few, (0.75, 0.75), (0, 0), 1),
            Case(demo, (0.9, 0.75), (0.005, 0.02)),
            Case(demo, (0.9, 0.55), (0.005, 0.02)),
            Case(few, (0.9, 0.75), (0.01, 0.01)),
        ]
    return [rate for case in cases for rate in compare(case, QUICK_TRIALS if quick else TRIALS)]


def compare(case: Case, trials: int) -> list[Rate]:
    """Of one case: false positives where the networks are equal, else coverage; ROC-AUC, then average precision."""
    rng = np.random.default_rng([2, len(case.part.sizes), *(round(1000 * a) for a in case.aucs), case.seeds])
    small, counts = {"roc": 0, "pr": 0}, {"roc": Count(), "pr": Count()}
    for trial in range(trials):
        labels, common = case.part.labels(rng), case.part.noise(rng)
        skills = rng.normal(case.aucs, case.spread, (case.seeds, 2)).T
        scored = [_trainings(case.part, labels, common, some, rng, trial) for some in skills]
        for metric, count in counts.items():
            truth = np.subtract(*(_truth(metric, auc, labels, case.part.min_positives) for auc in case.aucs))
            values = [[getattr(s, metric).mean() for s in some] for some in scored]
            resamples = [np.mean([s.macro_resamples(metric) for s in some], axis=0) for some in scored]
            found = intervals.difference(*values, *resamples, scored[0][0].clusters)
            count.add(found.interval, truth)
            small[metric] += found.p < 0.05
    names = {"roc": "macro ROC-AUC", "pr": "macro PR-AUC"}
    if case.aucs[0] == case.aucs[1]:
        return [Rate(f"p < .05, {names[m]}, {case.name}", int(k), trials, *P_BOUNDS) for m, k in small.items()]
    return [c.rate(f"coverage, {names[m]}, {case.name}", 0.92, 0.98) for m, c in counts.items()]


def _trainings(
    part: Population,
    labels: np.ndarray,
    common: np.ndarray,
    skills: np.ndarray,
    rng: np.random.Generator,
    trial: int,
) -> list[metrics.TagScores]:
    """The scores of one network's trainings on the same clips."""
    own, tags = part.noise(rng), tuple(map(str, range(labels.shape[1])))
    found = []
    for skill in skills:
        parts = zip(np.sqrt(SHARES), (common, own, part.noise(rng)), strict=True)
        scores = populations.separation(float(skill)) * labels + sum(weight * noise for weight, noise in parts)
        found.append(metrics.score_tags(labels, scores, tags, part.clusters, part.min_positives, RESAMPLES, trial))
    return found


def _truth(metric: str, auc: float, labels: np.ndarray, min_positives: int) -> float:
    """The true macro score of a network of this ROC-AUC."""
    if metric == "roc":
        return auc
    shares = labels.mean(0)[labels.sum(0) >= min_positives]
    return float(populations.average_precisions(auc, shares).mean())
