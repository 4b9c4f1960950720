"""Studies: many networks trained on equal terms, scored, and written up from their records."""

from collections.abc import Sequence

from tagkit import comparison, workspace
from tagkit.study import runner
from tagkit.study.plan import PLANS

__all__ = ["PLANS", "groups"]


def groups(plan: str, names: Sequence[str]) -> list[comparison.Group]:
    """Results of some networks of a study, of all seeds that there are; what has none is trained now, with one seed.

    Parameters
    ----------
    plan : {"zoo", "recordings", "pretraining"}
    names : sequence of str
        Labels of the plan's entries; in a smoke run only the first two are trained, on a handful of batches.

    Returns
    -------
    list of Group
        In the order of `names`.
    """
    chosen, jobs = PLANS[plan], 2
    if workspace.is_smoke():
        chosen, names, jobs = chosen.smoke(), names[:2], 0
    missing = [e.label for e in chosen.entries if e.label in names and not runner.result_path(chosen, e, 0).is_file()]
    if missing:
        runner.run(chosen, workspace.records(chosen.dataset), jobs, missing, seeds=1)
    results = comparison.load(runner.results_folder(chosen))
    return comparison.pick(comparison.group(results), names)
