"""Run a command in several processes on this machine that train one network together."""

import argparse

from tagkit.cli.batch import positive

NEEDS_TENSORFLOW = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many, and the command."""
    parser.add_argument("--workers", type=positive, required=True, metavar="N", help="processes")
    parser.add_argument("arguments", nargs="+", metavar="COMMAND", help="as in: launch --workers 2 -- train ...")


def run(args: argparse.Namespace) -> int:
    """Wait for all processes; the first exit code that is not 0."""
    from tagkit.launch import launch

    return launch(args.arguments, args.workers)
