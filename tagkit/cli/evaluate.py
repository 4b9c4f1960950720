"""Score runs on held-out clips, with confidence intervals."""

import argparse

from tagkit.system.arguments import folder, local

NEEDS_TENSORFLOW = True
FEWEST_RESAMPLES = 100  # fewer may all miss a rare tag


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit evaluate`."""
    parser.add_argument("run_folder", type=folder, metavar="RUN", help="folder of a training, such as runs/demo/dm16")
    add_conditions(parser)
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples (default: 1000)")
    parser.add_argument("--json", type=local, metavar="FILE", help="write the scores to this file")


def add_conditions(parser: argparse.ArgumentParser) -> None:
    """What runs are scored on."""
    parser.add_argument("--records", type=folder, metavar="DIR", help="default: those used in training")
    parser.add_argument("--part", choices=["test", "valid", "train"], default="test", help="default: test")
    parser.add_argument("--min-positives", type=int, default=1, metavar="N", help="leave out rarer tags (default: 1)")
    parser.add_argument("--cluster-by", choices=["song", "artist"], help="default: as the records say")


def run(args: argparse.Namespace) -> int:
    """Print the tables and write the JSON file."""
    if args.resamples < FEWEST_RESAMPLES:
        raise ValueError(f"--resamples is {args.resamples}; an interval needs at least {FEWEST_RESAMPLES}.")
    from tagkit.data.records import Records
    from tagkit.evaluation import evaluate
    from tagkit.training.runs import Run

    opened = Run.open(args.run_folder)
    result = evaluate.evaluate(
        opened,
        Records.open(args.records) if args.records else None,
        args.part,
        args.min_positives,
        args.cluster_by,
        args.resamples,
    )
    if args.json:
        result.save(args.json)
    print(evaluate.tag_table(result), end="\n\n")
    print(evaluate.table({result.model: result}))
    return 0
