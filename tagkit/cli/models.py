"""List the networks of the zoo."""

import argparse
import json

from tagkit.cli.batch import positive

NEEDS_TENSORFLOW = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit models`."""
    parser.add_argument("--format", choices=["table", "json"], default="table")
    parser.add_argument(
        "--tags", type=positive, default=50, metavar="N", help="outputs to count parameters for (default: 50)"
    )


def run(args: argparse.Namespace) -> int:
    """Print one line (or one JSON object) for each row."""
    from tagkit.graph import zoo

    rows = (zoo.describe(row, args.tags) for row in zoo.ROWS.values())  # each is built, and shown as soon as it is
    if args.format == "json":
        print(json.dumps(list(rows), indent=2, ensure_ascii=False))
        return 0
    print(f"{'name':<22} {'samples':>8} {'parameters':>11} {'MMACs':>8}  source")
    for row in rows:
        counts = f"{row['input_samples']:>8} {row['parameters']:>11,} {row['macs'] / 1e6:>8.1f}"
        print(f"{row['name']:<22} {counts}  {row['source']}", flush=True)
    return 0
