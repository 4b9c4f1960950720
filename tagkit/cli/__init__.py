"""The `tagkit` command: one file for each family of subcommands.

Only the parser is built at start-up; what a subcommand needs (TensorFlow above all) is imported when it runs.

Exit codes: 0 done, 1 an error that the message explains, 2 wrong use, 3 some files of many failed (`tag`, `embed`), 130
interrupted (the same command resumes), 141 nobody reads the output any more (`tagkit ... | head`).
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import tagkit
from tagkit.cli import (
    analysis,
    data,
    demo,
    deploying,
    embedding,
    importing,
    predictions,
    scoring,
    studying,
    tagging,
    training,
)
from tagkit.deploy import storage
from tagkit.system import quiet
from tagkit.system.arguments import RemoteFolder, local

_FAMILIES = (demo, data, training, importing, scoring, tagging, embedding, predictions, analysis, deploying, studying)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; TAGKIT_DEBUG=1 shows the traceback of an error."""
    quiet.open_standard_streams()
    args = _parser().parse_args(arguments)
    mirrors = _take_local_copies(args)
    try:
        with storage.following(mirrors):
            _check_folders(args)
            args.check(args)
            if args.needs_tensorflow:
                quiet.import_tensorflow()
                _run_code(args.code)
            code = args.run(args) or 0
            sys.stdout.flush()
            return code
    except BrokenPipeError:
        quiet.discard_output()
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt as stop:
        print(f"\n{str(stop) or 'Interrupted; rerun the command to resume.'}", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        if os.environ.get("TAGKIT_DEBUG"):
            raise
        print(f"tagkit {args.command}: {error}", file=sys.stderr)
        return 1


def _run_code(paths: Sequence[Path]) -> None:
    """Run the files that --code names: their Keras layers become known as front-ends."""
    from tagkit.graph.layers import own

    for path in paths:
        own.register(path)


def _take_local_copies(args: argparse.Namespace) -> list[storage.Mirror]:
    """Put local copies in the place of the remote folders among the arguments; returns their mirrors."""
    mirrors: dict[str, storage.Mirror] = {}

    def copy(value: object) -> object:
        if isinstance(value, list):
            return [copy(each) for each in value]
        if isinstance(value, RemoteFolder):
            return mirrors.setdefault(value.url, storage.Mirror(value.url)).copy
        return value

    for name, value in list(vars(args).items()):
        setattr(args, name, copy(value))
    return list(mirrors.values())


def _check_folders(args: argparse.Namespace) -> None:
    """Open the runs and records that the arguments name, which costs nothing; an error where there are none."""
    from tagkit.data.records import Records
    from tagkit.studies.crossval import is_crossval
    from tagkit.training.runs import Run

    given = vars(args)
    for root in filter(None, [given.get("run_folder"), *(given.get("run_folders") or ())]):
        if is_crossval(root):
            continue
        if root.exists() or not _is_published(str(root)):
            Run.open(root)
    if given.get("records"):
        Records.open(given["records"])


def _is_published(name: str) -> bool:
    """Whether this is the name of a network that others published, rather than a folder's."""
    if "-" not in name or "/" in name:  # the list takes seconds to load
        return False
    from tagkit.graph.published import networks

    return name in networks.NETWORKS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tagkit", description=tagkit.__doc__)
    parser.add_argument("--version", action="version", version=f"tagkit {tagkit.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (command for family in _FAMILIES for command in family.COMMANDS):
        about = command.run.__doc__ or command.name  # python -OO leaves no docstrings
        subparser = commands.add_parser(command.name, help=about.splitlines()[0], description=about)
        command.add_arguments(subparser)
        if command.needs_tensorflow:
            about = "run this Python file, whose Keras layers are front-ends of networks; may be given repeatedly"
            subparser.add_argument("--code", type=local, action="append", default=[], metavar="FILE", help=about)
        subparser.set_defaults(run=command.run, check=command.check, needs_tensorflow=command.needs_tensorflow)
    return parser
