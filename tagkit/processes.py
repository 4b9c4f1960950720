"""Manners of worker processes: they leave Ctrl-C to the process that started them, and end when it is gone."""

import os
import signal
import threading
import time

KILLED = (
    "A worker process was killed, perhaps for want of memory; run the same command again, which keeps what is done, "
    "with fewer --jobs."
)

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
