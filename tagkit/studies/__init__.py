"""Studies: many networks trained on equal terms, scored, and written up from their records."""

from collections.abc import Sequence

from tagkit.evaluation import compare
from tagkit.studies import runner
from tagkit.studies.plans import PLANS, Plan
from tagkit.studies.store import Store

__all__ = ["PLANS", "groups"]


def groups(plan: str, names: Sequence[str]) -> list[compare.Group]:
    """Results of some networks of a study, of all seeds there are; networks without any are trained now, with one seed.

    Parameters
    ----------
    plan : {"zoo", "recordings", "pretraining"}
    names : sequence of str
        Labels of the plan's entries; a smoke run that lacks some trains only the first two, on a handful of batches.

    Returns
    -------
    list of Group
        In the order of `names`.
    """
    from tagkit import workspace  # loads TensorFlow, which the write-up does without

    chosen, jobs = PLANS[plan], 2
    if workspace.is_smoke() and _missing(chosen, names):
        chosen, names, jobs = chosen.smoke(), names[:2], 0
    if missing := _missing(chosen, names):
        runner.run(chosen, workspace.records(chosen.dataset), jobs, missing, seeds=1)
    return compare.pick(compare.group(Store(chosen.name).read().values()), names)


def _missing(plan: Plan, names: Sequence[str]) -> list[str]:
    there = Store(plan.name).read()
    return [e.label for e in plan.entries if e.label in names and (e.label, 0) not in there]
