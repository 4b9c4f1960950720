"""Real processes that run tagkit's commands, forked from one that has imported TensorFlow: they start at once."""

import contextlib
import json
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path

from waiting import until

from tagkit.deploy import launch

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    ["tagkit.training.loop", "tagkit.evaluation.evaluate", "tagkit.cli", "tagkit.data.download"]
)


def start(log: Path, function: Callable, *arguments: object, **environment: str):
    """Call a module's function in a process of its own; it returns the exit code, and its output goes to `log`."""
    process = FORKED.Process(target=_run, args=(log, environment, function, arguments))
    process.start()
    return process


def _run(log: Path, environment: dict[str, str], function: Callable, arguments: tuple) -> None:
    os.setsid()  # so that a kill reaches its workers, too
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.exit(function(*arguments))


def tagkit(*arguments: object) -> int:
    """Run a `tagkit` command."""
    from tagkit.cli import main

    return main([str(a) for a in arguments])


def start_workers(folder: Path, count: int, *arguments: object) -> list:
    """Start a command in several processes, as `tagkit launch` does; worker i writes to `worker{i}.log`."""
    folder.mkdir(exist_ok=True)
    return [
        start(folder / f"worker{i}.log", tagkit, *arguments, TF_CONFIG=json.dumps(task))
        for i, task in enumerate(launch.tasks(count))
    ]


def wait_for(path: Path, processes: list) -> None:
    """Return once some processes, which must live until then, have written a file."""
    until(lambda: path.exists() or not all(p.is_alive() for p in processes), f"no {path.name}", 300, 0.005)
    assert path.exists(), f"a process ended before it had written {path.name}"


@contextlib.contextmanager
def ended(processes: list):
    """Kill what is left of some processes at the end of a test."""
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.join()
