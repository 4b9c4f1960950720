"""Several trainings at a time, each in a process of its own on one core; one that fails does not stop the others."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from multiprocessing import active_children, get_context

from tagkit.system import processes, quiet
from tagkit.system.progress import progress_bar

# The budget of a study is CPU time: no GPU, and one training is one core's.
ON_ONE_CORE = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}


class StudyError(ValueError):
    """Some trainings of a study failed, or its results are those of another study; the message says which."""


def run(tasks: Mapping[str, Callable[[], None]], jobs: int, title: str, done: int = 0, progress: bool = True) -> None:
    """Do tasks, `jobs` at a time, with a progress bar; see `each`.

    Parameters
    ----------
    tasks
        By name.
    title
        Of the progress bar.
    done
        So many tasks were done before.

    Raises
    ------
    StudyError
        Some failed; standard error says why, and all others were done.
    """
    failed = []
    bar = progress_bar(total=done + len(tasks), initial=done, desc=title, unit="run", disable=not progress)
    with bar, closing(each(tasks, jobs)) as ended:
        for name, error in ended:
            if error:
                print(f"\n{name}: {error}", file=sys.stderr)
                failed.append(name)
            bar.set_postfix_str(name)
            bar.update()
    if failed:
        raise StudyError(f"{len(failed)} trainings failed, as said above: {', '.join(failed)}. All others are done.")


def each(tasks: Mapping[str, Callable[[], None]], jobs: int) -> Iterator[tuple[str, str | None]]:
    """Do tasks, `jobs` at a time; yields the name of each as it ends, and why it failed if it did.

    Parameters
    ----------
    tasks : mapping of str -> callable
        Callables that can be pickled.
    jobs
        0: one after the other in this process, where the first error is raised.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C, after what is under way was told to stop.
    """
    if not jobs:
        for name, task in tasks.items():
            task()
            yield name, None
        return
    with ThreadPoolExecutor(jobs) as threads:
        futures = {threads.submit(_alone, task): name for name, task in tasks.items()}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()  # it saves its training and ends
            raise


def _alone(task: Callable[[], None]) -> str | None:
    """Do a task in a process of its own, which gives its memory back as it ends; why it failed, if it did.

    One pool for each task: a pool loses all of its processes if one is killed.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), _start, (os.getpid(),)) as pool:
        try:
            return pool.submit(_done_or_explained, task).result()
        except BrokenProcessPool:
            return "its process was killed, perhaps for want of memory."


def _start(parent: int) -> None:
    """Prepare a process of one core for training; it ends when `parent` has ended."""
    processes.follow(parent)
    os.environ |= ON_ONE_CORE
    quiet.import_tensorflow()


def _done_or_explained(task: Callable[[], None]) -> str | None:
    try:
        task()
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(str(error)) from None  # of a class that needs no TensorFlow to arrive
    except (ValueError, OSError) as error:
        return str(error)
    except Exception:  # noqa: BLE001 (the traceback is shown, and no other training stops)
        return traceback.format_exc()
    return None
