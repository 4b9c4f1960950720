"""The `tagkit` command: one module for each subcommand.

Only the parser is built at start-up; what a subcommand needs (TensorFlow above all) is imported when it runs.

Exit codes: 0 done, 1 an error that the message explains, 2 wrong use, 3 some files of many failed (`tag`, `embed`), 130
interrupted (the same command resumes).
"""

import argparse
import os
import sys
from collections.abc import Sequence

import tagkit
from tagkit.cli import (
    analyse,
    cloud,
    compare,
    demo,
    download,
    embed,
    evaluate,
    export,
    lastfm,
    launch,
    models,
    prepare,
    render,
    results,
    serve,
    study,
    tag,
    train,
)
from tagkit.deploy import storage
from tagkit.system import quiet

_COMMANDS = (
    *(demo, download, render, prepare, lastfm, train, launch, cloud, evaluate, compare, analyse),
    *(tag, embed, export, serve, study, results, models),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; TAGKIT_DEBUG=1 shows the traceback of an error."""
    args = _parser().parse_args(arguments)
    remotes = _take_local_copies(args)
    try:
        if args.needs_tensorflow:
            quiet.import_tensorflow()
        with storage.following(remotes):
            return args.run(args) or 0
    except KeyboardInterrupt as stop:
        print(f"\n{str(stop) or 'Interrupted; the same command goes on from here.'}", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        if os.environ.get("TAGKIT_DEBUG"):
            raise
        print(f"tagkit {args.command}: {error}", file=sys.stderr)
        return 1


def _take_local_copies(args: argparse.Namespace) -> list[storage.Remote]:
    """Put the local copies in the place of the remote folders among the arguments; returns these."""
    found = []
    for name, value in list(vars(args).items()):
        values = value if isinstance(value, list) else [value]
        if here := [each for each in values if isinstance(each, storage.Remote)]:
            copies = [each.copy if each in here else each for each in values]
            setattr(args, name, copies if isinstance(value, list) else copies[0])
            found += here
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tagkit", description=tagkit.__doc__)
    parser.add_argument("--version", action="version", version=f"tagkit {tagkit.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _COMMANDS:
        name = module.__name__.rpartition(".")[2]
        summary = module.__doc__.splitlines()[0]
        command = commands.add_parser(name, help=summary, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run, needs_tensorflow=module.NEEDS_TENSORFLOW)
    return parser
