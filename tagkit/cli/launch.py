"""Run a command in several processes that train one network together, here or one on each machine."""

import argparse

from tagkit.cli.batch import positive

NEEDS_TENSORFLOW = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many processes, or which machines; and the command."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--workers", type=positive, metavar="N", help="so many processes on this machine")
    where.add_argument("--hosts", metavar="HOST:PORT,...", help="one process on each of these, started there")
    parser.add_argument("--index", type=int, default=0, metavar="I", help="which of the hosts this one is, from 0")
    parser.add_argument("arguments", nargs="+", metavar="COMMAND", help="as in: launch --workers 2 -- train ...")


def run(args: argparse.Namespace) -> int:
    """Wait for all processes; the first exit code that is not 0."""
    from tagkit import cli
    from tagkit.deploy import launch

    if args.workers:
        return launch.launch(args.arguments, args.workers)
    launch.join(args.hosts.split(","), args.index)
    return cli.main(args.arguments)
