"""Worker processes: how they behave (Ctrl-C is their parent's, and so is their end), and where a cluster has them."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tagkit.system import extras

KILLED = (
    "A worker process was killed, perhaps for want of memory; run the same command again, which keeps what is done, "
    "with fewer --jobs."
)


class ClusterError(ValueError):
    """A Dask cluster cannot be used; the message says why and what to do."""


@contextmanager
def on_cluster(scheduler: str | None) -> Iterator[None]:
    """Let work within the block run on the workers of a Dask cluster; None leaves it on this machine.

    A worker that is lost costs the task that it was at: another one does it again.

    Parameters
    ----------
    scheduler : str or None
        Address of the scheduler, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    ClusterError
        Dask is not installed, or no scheduler answers, or it has no workers.
    """
    if scheduler is None:
        yield
        return
    import joblib

    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError(f"A cluster needs Dask; {extras.install('cluster')}.") from error
    try:
        client = Client(scheduler, timeout=_ANSWERS_WITHIN_S, set_as_default=True)
    except (OSError, ValueError) as error:
        raise ClusterError(f"No Dask scheduler answers at {scheduler} ({error}); start `dask scheduler`.") from error
    with client:
        if not client.nthreads():
            raise ClusterError(f"The Dask scheduler at {scheduler} has no workers; start `dask worker {scheduler}`.")
        with joblib.parallel_config("dask"):
            yield


_ANSWERS_WITHIN_S = 20
_following: set[int] = set()


def follow(parent: int, every_s: float = 0.5) -> None:
    """Make this process follow process `parent`; call it first thing in work that joblib may run elsewhere.

    Ctrl-C reaches every process of a terminal, and each would print its traceback: only the parent answers it, and
    stops the others. A parent that is killed stops nobody: its workers notice and end, instead of waiting idly for
    minutes. Nothing happens in the parent itself, nor in processes that it did not start (those of a cluster).

    Parameters
    ----------
    parent : int
        Process id of the caller, from ``os.getpid()`` there.
    every_s : float
        How often to look, in seconds.
    """
    if os.getpid() in _following or os.getppid() != parent:
        return
    _following.add(os.getpid())
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent, every_s), daemon=True).start()


def _end_with(parent: int, every_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(every_s)
    os._exit(1)
