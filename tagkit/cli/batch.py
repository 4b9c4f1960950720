"""What the commands over many music files share: their arguments, progress, failures and exit codes.

Exit codes: 0 everything was done, 3 some files failed (each is named on standard error), 1 all of them did.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tagkit.system.arguments import folder, local

if TYPE_CHECKING:
    from tagkit.evaluation.sweep import Failed

ALL_FAILED, SOME_FAILED = 1, 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files, the run, and how many are decoded at a time."""
    parser.add_argument("sources", type=local, nargs="+", metavar="FILE_OR_FOLDER", help="folders are searched through")
    parser.add_argument("--run", type=folder, dest="run_folder", metavar="RUN", help="default: runs/demo/dm16")
    parser.add_argument("--jobs", type=positive, metavar="N", help="files decoded at a time (default: cores)")


def succeeded(results: Iterable, total: int, verb: str, failed: "list[Failed]") -> Iterator:
    """Pass on what succeeded, under a progress bar; what failed is named on standard error and put into `failed`."""
    from tqdm.auto import tqdm

    from tagkit.evaluation.sweep import Failed

    for output in (sys.stdout, sys.stderr):
        output.reconfigure(errors="backslashreplace")  # a file's name may be in no known encoding
    for result in tqdm(results, verb, total, unit="file"):
        if isinstance(result, Failed):
            failed.append(result)
            tqdm.write(f"tagkit {verb}: " + result.reason.replace("\n", "\\n"), sys.stderr)
        else:
            yield result


def exit_code(done: int, failed: int) -> int:
    """0, 3 or 1."""
    if not done:
        return ALL_FAILED
    return SOME_FAILED if failed else 0


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value
