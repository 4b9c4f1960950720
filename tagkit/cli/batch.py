"""What commands on many music files share: arguments, progress, failures and exit codes.

Exit codes: 0 everything was done, 3 some files failed (standard error names each), 1 all of them failed.
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
    parser.add_argument("sources", type=local, nargs="+", metavar="FILE_OR_FOLDER", help="folders are searched")
    parser.add_argument("--run", type=folder, dest="run_folder", metavar="RUN", help="default: runs/demo/dm16")
    parser.add_argument("--jobs", type=positive, metavar="N", help="files decoded at a time (default: one per core)")


def succeeded(results: Iterable, total: int, verb: str, failed: "list[Failed]") -> Iterator:
    """Pass on what succeeded, with a progress bar; name failures on standard error and append them to `failed`."""
    from tqdm.auto import tqdm

    from tagkit.evaluation.sweep import Failed

    for output in (sys.stdout, sys.stderr):
        output.reconfigure(errors="backslashreplace")  # file names can be in any encoding
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
