"""Commands that train many networks on equal terms and write them up: crossval, study, results."""

import argparse
from typing import TYPE_CHECKING

from tagkit.cli.command import Command
from tagkit.cli.training import add_settings, settings
from tagkit.system.arguments import folder, positive

if TYPE_CHECKING:
    from tagkit.evaluation.result import Result

GROUPS = ("artist", "song", "clip")
PLANS = ("zoo", "recordings", "pretraining", "teacher", "hour", "bank")


def _crossval_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=folder, required=True, metavar="DIR", help="made by `tagkit prepare`")
    parser.add_argument("--out", type=folder, required=True, metavar="DIR", help="where the runs and scores go")
    parser.add_argument(
        "--model", dest="models", nargs="+", required=True, metavar="NAME", help="networks, as for `tagkit train`"
    )
    parser.add_argument("--folds", type=positive, default=5, metavar="N", help="at least 3 (default: 5)")
    parser.add_argument(
        "--by", choices=["artist", "song", "clip"], help="never in two parts (default: as the records say)"
    )
    parser.add_argument("--seeds", type=positive, default=1, metavar="N", help="trainings on each fold (default: 1)")
    parser.add_argument(
        "--min-positives", type=positive, default=1, metavar="N", help="leave out rarer tags (default: 1)"
    )
    parser.add_argument("--jobs", type=positive, metavar="N", help="trainings at a time (default: one per core)")
    parser.add_argument("--reference", metavar="NAME", help="the network to compare the others with")
    add_settings(parser, "model", "seed", "split")


def crossval(args: argparse.Namespace) -> None:
    """Train networks on every fold with every seed and compare them; rerun the command to resume.

    Every clip is tested once by each network and seed, in a fold whose training has no clip of its artist. The table
    shows two variances: what other clips, and what other seeds would change.
    """
    from dataclasses import replace

    from tagkit.data.records import Records
    from tagkit.graph import given
    from tagkit.studies import crossval
    from tagkit.system.code import is_reference

    config = settings(args)
    rows = [given.find(name) for name in args.models]
    configs = {row.name: replace(config, model=row) for row in rows}
    begun = crossval.run(
        configs,
        Records.open(args.records),
        args.out,
        args.by,
        args.folds,
        range(args.seeds),
        args.min_positives,
        args.jobs,
        code=[*args.code, *(name.rpartition(":")[0] for name in args.models if is_reference(name))],
    )
    show_crossval(begun.results(), args.reference)


def show_crossval(results: "list[Result]", reference: str | None) -> None:
    """Print the table of a cross-validation."""
    from tagkit.studies import crossval

    one = results[0]
    print(crossval.as_text(crossval.table(results, reference)).to_string(), end="\n\n")
    print(f"Means over {one.split} of {one.dataset} ({one.clips} clips, data {one.data}); {one.interval}.")


def _study_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--records", type=folder, metavar="DIR", help="default: those of the plan's dataset")
    parser.add_argument("--jobs", type=positive, default=2, metavar="N", help="trainings at a time (default: 2)")
    parser.add_argument("--seeds", type=positive, metavar="N", help="default: as the plan says")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="train only these entries")


def study(args: argparse.Namespace) -> None:
    """Run a study: train and score every network that has no result yet.

    Each study keeps its results in one file in docs/results/; `tagkit results` writes them up.
    """
    from tagkit import workspace
    from tagkit.data.records import Records
    from tagkit.studies import plans, runner

    chosen = plans.PLANS[args.plan]
    if workspace.is_smoke():
        chosen = chosen.smoke()
    records = Records.open(args.records) if args.records else workspace.records(chosen.dataset)
    runner.run(chosen, records, args.jobs, args.only, args.seeds)


def _results_arguments(parser: argparse.ArgumentParser) -> None:
    """`tagkit results` takes no arguments: TAGKIT_HOME says where docs/ and figures/ are."""


def results(args: argparse.Namespace) -> None:
    """Write docs/results.md and its figures from the results in docs/results/ alone."""
    from tagkit.studies import writeup

    for path in writeup.write():
        print(path)


COMMANDS = (
    Command("crossval", _crossval_arguments, crossval, needs_tensorflow=True),
    Command("study", _study_arguments, study, needs_tensorflow=True),
    Command("results", _results_arguments, results),
)
