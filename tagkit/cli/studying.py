"""Commands that run studies and write them up: study, results."""

import argparse

from tagkit.cli.command import Command
from tagkit.system.arguments import folder, positive

PLANS = ("zoo", "recordings", "pretraining")


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
    Command("study", _study_arguments, study, needs_tensorflow=True),
    Command("results", _results_arguments, results),
)
