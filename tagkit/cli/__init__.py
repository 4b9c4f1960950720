"""The `tagkit` command: one module for each subcommand.

Only the parser is built at start-up; what a subcommand needs (TensorFlow above all) is imported when it runs.

Exit codes: 0 done, 1 an error that the message explains, 2 wrong use, 130 interrupted (the same command resumes).
"""

import argparse
import os
import sys
from collections.abc import Sequence

import tagkit
from tagkit.cli import analyse, demo, evaluate, models, prepare, train

_COMMANDS = (demo, prepare, train, evaluate, analyse, models)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; TAGKIT_DEBUG=1 shows the traceback of an error."""
    # Before TensorFlow is imported: its start-up notes would bury our own lines.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    args = _parser().parse_args(arguments)
    try:
        return args.run(args) or 0
    except KeyboardInterrupt as stop:
        print(f"\n{str(stop) or 'Interrupted; the same command goes on from here.'}", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        if os.environ.get("TAGKIT_DEBUG"):
            raise
        print(f"tagkit {args.command}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tagkit", description=tagkit.__doc__)
    parser.add_argument("--version", action="version", version=f"tagkit {tagkit.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        name = module.__name__.rpartition(".")[2]
        summary = module.__doc__.splitlines()[0]
        command = commands.add_parser(name, help=summary, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser
