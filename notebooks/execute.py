"""Execute the notebooks and save copies with their outputs under build/notebooks; `make docs` makes pages of them.

    python notebooks/execute.py              every notebook, in a smoke setting: tiny data, seconds of training
    python notebooks/execute.py --missing    those only that changed since they were executed, or never were
    python notebooks/execute.py --full 13    notebook 13 in earnest, on the data and runs of `make demo`

A smoke run keeps its data, runs and figures under build/smoke, so that it never overwrites real ones.
"""

import argparse
import asyncio
import contextlib
import os
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

from tagkit.system import files

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
EXECUTED = ROOT / "build" / "notebooks"
SMOKE_S = 900  # of a cell; most take seconds, and one with busy neighbours takes minutes
SHARED = ("09", "14", "15")  # train the same run, so they follow one another


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", help="beginnings of names, such as 03 (default: all)")
    parser.add_argument("--full", action="store_true", help="not a smoke run: real data, runs and figures")
    parser.add_argument("--missing", action="store_true", help="only those without an executed copy that is newer")
    args = parser.parse_args()

    chosen = [p for p in sorted(HERE.glob("[0-9][0-9]_*.ipynb")) if p.name.startswith(tuple(args.notebooks or [""]))]
    if not chosen:
        parser.error(f"no notebook begins with {' or '.join(args.notebooks)}")
    if args.missing:
        chosen = [path for path in chosen if not is_executed(path)]
    if not chosen:
        return 0
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "TAGKIT_SMOKE": "0"}
    if not args.full:
        home = ROOT / "build" / "smoke"
        shutil.rmtree(home, ignore_errors=True)  # runs of other settings would be refused, and old ones not trained
        shutil.copytree(ROOT / "docs" / "results", home / "docs" / "results")
        os.environ |= {"TAGKIT_SMOKE": "1", "TAGKIT_HOME": str(home)}
        # What most notebooks begin with, made once before two of them ask for it at the same time.
        subprocess.run([sys.executable, "-m", "tagkit.cli", "demo"], stdout=subprocess.DEVNULL, check=True)
    shared = [p for p in chosen if p.name[:2] in SHARED]
    groups = [chosen] if args.full else [shared, *([p] for p in chosen if p not in shared)]
    passed = asyncio.run(execute_all(groups, None if args.full else SMOKE_S))
    print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
    return 0 if all(passed) else 1


def is_executed(path: Path) -> bool:
    """Whether a copy with outputs is there, and the notebook did not change since."""
    copy = EXECUTED / path.name
    return copy.is_file() and copy.stat().st_mtime >= path.stat().st_mtime


class Client(NotebookClient):
    """Executes a notebook without waiting for an answer that is there.

    A message to a widget, sent while the answer to a cell is awaited, takes the wake-up for that answer with it: the
    answer lies there until the time is up (jupyter/nbclient#312).
    """

    async def async_start_new_kernel_client(self):
        kernel = await super().async_start_new_kernel_client()
        kernel.shell_channel.get_msg = partial(every_second, kernel.shell_channel.get_msg)
        return kernel


async def every_second(get_msg: Callable, timeout: float | None = None) -> dict:
    """The next message, looked for once a second; raises queue.Empty after `timeout` seconds."""
    started = time.monotonic()
    while timeout is None or time.monotonic() - started < timeout:
        with contextlib.suppress(queue.Empty):
            return await get_msg(timeout=1)
    raise queue.Empty


async def execute_all(groups: list[list[Path]], limit_s: int | None) -> list[bool]:
    """Execute groups of notebooks, two groups at a time; which notebooks passed."""
    free = asyncio.Semaphore(2)

    async def follow(group: list[Path]) -> list[bool]:
        async with free:
            return [await execute(path, limit_s) for path in group]

    return list(chain(*await asyncio.gather(*map(follow, groups))))


async def execute(path: Path, limit_s: int | None) -> bool:
    """Run one notebook; afterwards its copy lies in build/notebooks, and says whether this was a smoke run."""
    started = time.monotonic()
    book = await executed(path, limit_s)
    if book:
        book.metadata["smoke"] = limit_s is not None
        EXECUTED.mkdir(parents=True, exist_ok=True)
        with files.atomic(EXECUTED / path.name) as temporary:
            nbformat.write(book, temporary)
    print(f"{path.name}: {'ok' if book else 'FAILED'}, {time.monotonic() - started:.0f} s", flush=True)
    return book is not None


async def executed(path: Path, limit_s: int | None) -> nbformat.NotebookNode | None:
    """The notebook with its outputs, or None where a cell failed or did not end in time."""
    client = Client(
        nbformat.read(path, as_version=4),
        timeout=limit_s,
        startup_timeout=300,
        extra_arguments=["--log-level=40"],
        resources={"metadata": {"path": str(HERE)}},
    )
    try:
        return await client.async_execute()
    except CellTimeoutError:
        print(f"{path.name}: a cell has not ended after {limit_s} s.", file=sys.stderr)
    except (CellExecutionError, RuntimeError) as error:  # a RuntimeError where the kernel died, or did not start
        print(f"{path.name}: {error}", file=sys.stderr)
    return None


if __name__ == "__main__":
    sys.exit(main())
