"""Run a study: train and score every network that has no result yet.

Each study keeps its results in one file in docs/results/; `tagkit results` writes them up.
"""

import argparse

from tagkit.cli.batch import positive
from tagkit.system.arguments import folder

NEEDS_TENSORFLOW = True
PLANS = ("zoo", "recordings", "pretraining")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit study`."""
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--records", type=folder, metavar="DIR", help="default: those of the plan's dataset")
    parser.add_argument("--jobs", type=positive, default=2, metavar="N", help="trainings at a time (default: 2)")
    parser.add_argument("--seeds", type=positive, metavar="N", help="default: as the plan says")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="train only these entries")


def run(args: argparse.Namespace) -> int:
    """Run the study; Ctrl-C stops it, and the same command resumes it."""
    from tagkit import workspace
    from tagkit.data.records import Records
    from tagkit.studies import plans, runner

    chosen = plans.PLANS[args.plan]
    if workspace.is_smoke():
        chosen = chosen.smoke()
    records = Records.open(args.records) if args.records else workspace.records(chosen.dataset)
    runner.run(chosen, records, args.jobs, args.only, args.seeds)
    return 0
