"""Several processes that train one network together: all on this machine, or one on each of several."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

GRACE_S = 60  # for the others to notice that one is gone, and to say so themselves


class LaunchError(ValueError):
    """A process of a launch was killed from outside, or its hosts make no sense."""


def launch(arguments: Sequence[str], workers: int) -> int:
    """Run a `tagkit` command in several processes, each told of the others by TF_CONFIG; wait for all of them.

    Worker 0 is the chief. Ctrl-C and SIGTERM are passed on. Once one process fails, the others have a minute to end.

    Parameters
    ----------
    arguments : sequence of str
        Of `tagkit`, such as ``["train", "--records", ...]``.

    Returns
    -------
    int
        0, or the first exit code that was not.

    Raises
    ------
    LaunchError
        A worker was killed.
    """
    processes: list[subprocess.Popen] = []

    def pass_on(number: int, _frame: object) -> None:
        for process in processes:
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for task in tasks(workers):
            environment = os.environ | {"TF_CONFIG": json.dumps(task)}
            command = [sys.executable, "-m", "tagkit.cli", *arguments]
            # In a session of its own, Ctrl-C reaches each process once: from here.
            processes.append(subprocess.Popen(command, env=environment, start_new_session=True))
        return _wait(processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def join(hosts: Sequence[str], index: int) -> None:
    """Make this process one of several machines that train together: sets TF_CONFIG for it.

    Parameters
    ----------
    hosts : sequence of str
        "name:port" of every machine, in the same order everywhere; the first is the chief.
    index : int
        Which of them this one is.

    Raises
    ------
    LaunchError
        There is no such index, or a host without a port.
    """
    if not 0 <= index < len(hosts):
        raise LaunchError(f"There is no machine {index} among {len(hosts)}; count from 0.")
    for host in hosts:
        if not host.rpartition(":")[2].isdigit():
            raise LaunchError(f"{host!r} has no port; give each host as name:port.")
    os.environ["TF_CONFIG"] = json.dumps(_task(hosts, index))


def tasks(workers: int) -> list[dict]:
    """What TF_CONFIG holds for each of several workers on loopback, on ports that are free now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(workers)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        hosts = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in sockets]
    return [_task(hosts, i) for i in range(workers)]


def _task(hosts: Sequence[str], index: int) -> dict:
    return {"cluster": {"worker": list(hosts)}, "task": {"type": "worker", "index": index}}


def _wait(processes: list[subprocess.Popen]) -> int:
    """Wait until all have ended, or until the grace after the first failure is over; returns that failure's code."""
    first, code, deadline = 0, 0, float("inf")
    while True:
        codes = [process.poll() for process in processes]
        if not code and any(codes):
            first, code = next((i, c) for i, c in enumerate(codes) if c)
            deadline = time.monotonic() + GRACE_S
        if None not in codes or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if code < 0:
        raise LaunchError(
            f"Worker {first} was killed by signal {-code}; rerun the command to resume from the last checkpoint."
        )
    return code
