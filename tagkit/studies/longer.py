"""Study `hour`: the same networks after a minute, ten minutes and an hour of training, side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from tagkit.evaluation import compare
from tagkit.evaluation.compare import Group
from tagkit.evaluation.intervals import Interval
from tagkit.studies.plans import SPANS


def by_span(groups: Sequence[Group]) -> dict[str, dict[str, Group]]:
    """The networks trained for each span by model, the shortest span first; spans without any are left out."""
    found = {span: {g.first.model: g for g in groups if g.first.family == span} for span in SPANS}
    return {span: models for span, models in found.items() if models}


def table(spans: Mapping[str, Mapping[str, Group]]) -> pd.DataFrame:
    """Scores as people read them, one row for each model; the best of the longest span first.

    `gain` is what the longest span brings over the shortest, on the same clips.
    """
    first, last = next(iter(spans.values())), list(spans.values())[-1]
    order = sorted(last, key=lambda model: -last[model].score("roc_auc").value)
    rows = {}
    for model in order + sorted({m for models in spans.values() for m in models} - last.keys()):
        of_model = {span: models[model] for span, models in spans.items() if model in models}
        both = first is not last and model in first and model in last
        rows[model] = {
            "input": next(iter(of_model.values())).first.network.input,
            **{f"ROC-AUC, {span}": str(of_model[span].score("roc_auc")) if span in of_model else "-" for span in spans},
            "gain": compare.signed(compare.difference(last[model], first[model])) if both else "-",
            **{f"examples, {span}": _examples(of_model.get(span)) for span in spans},
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _examples(group: Group | None) -> str:
    if group is None:
        return "-"
    return f"{group.training('steps_done') * group.first.training.config.batch_size:,.0f}"


def rank_correlation(one: Mapping[str, Group], other: Mapping[str, Group]) -> tuple[Interval, int]:
    """Spearman's correlation of the test scores of the models in both, and their number.

    Its interval holds the middle 95 % of resamples of the clips; the networks and their trainings stay as they are.
    NaN with fewer than three models.
    """
    models = [model for model in one if model in other]
    if len(models) < 3:
        return Interval(np.nan, np.nan, np.nan), len(models)
    values = [[spans[m].values("roc_auc").mean() for m in models] for spans in (one, other)]
    resamples = [np.array([spans[m].resamples("roc_auc") for m in models]) for spans in (one, other)]
    each = [spearmanr(a, b).statistic for a, b in zip(*(r.T for r in resamples), strict=True) if np.ptp(a) * np.ptp(b)]
    low, high = np.percentile(each, [2.5, 97.5])
    return Interval(float(spearmanr(*values).statistic), float(low), float(high)), len(models)


def curves(spans: Mapping[str, Mapping[str, Group]]) -> dict:
    """What `tagkit.plots.training_curves` draws: test scores over CPU seconds, by the names of its parameters."""
    last = list(spans.values())[-1]
    models = sorted(last, key=lambda m: -last[m].score("roc_auc").value)
    return {
        "steps": [SPANS[span] for span in spans],
        "curves": {m: [of[m].score("roc_auc").value if m in of else np.nan for of in spans.values()] for m in models},
        "xlabel": "CPU seconds of training",
        "ylabel": "test macro ROC-AUC",
    }
