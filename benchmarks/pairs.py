"""Two jobs in turns on a busy machine: what is compared was measured side by side, and only ratios are kept."""

import multiprocessing
import os
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

START_S = 600


@dataclass(frozen=True)
class Spent:
    """Seconds of one turn, and CPU seconds of its process (those of processes that it starts are not among them)."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Reading:
    """One figure: its values, one for each pair of turns, and the bar that their median has to reach.

    Attributes
    ----------
    name : str
    values : tuple of float
    unit : str
    bar : float or None
        None: a figure that is only told.
    at_least : bool
        Whether the bar is the least or the most.
    """

    name: str
    values: tuple[float, ...]
    unit: str = "times"
    bar: float | None = None
    at_least: bool = True

    @property
    def median(self) -> float:
        """Of the values."""
        return statistics.median(self.values)

    @property
    def holds(self) -> bool:
        """Whether the median reaches the bar; true where there is none."""
        return self.bar is None or (self.median >= self.bar if self.at_least else self.median <= self.bar)

    @property
    def verdict(self) -> str:
        """What is printed behind the figure."""
        if self.bar is None:
            return ""
        return "holds" if self.holds else "falls short"

    def to_dict(self) -> dict:
        """Plain JSON types."""
        return asdict(self) | {"values": [float(f"{v:.5g}") for v in self.values]}

    @classmethod
    def from_dict(cls, values: dict) -> "Reading":
        """From `to_dict`."""
        return cls(**values | {"values": tuple(values["values"])})


@dataclass
class Result:
    """What a topic found: its readings, sentences that belong to them, and tables of text (a profile)."""

    readings: list[Reading] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    profiles: dict[str, str] = field(default_factory=dict)


def timed(job: Callable[[], object]) -> Spent:
    """Do a job once."""
    wall, cpu = time.perf_counter(), time.process_time()
    job()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def in_turns(jobs: Sequence[Callable[[], Spent]], rounds: int) -> list[tuple[Spent, ...]]:
    """Let jobs take turns, (rounds, jobs); every other round goes backwards, so that a drift favours nobody."""
    rows = []
    for k in range(rounds):
        order = range(len(jobs)) if k % 2 == 0 else reversed(range(len(jobs)))
        spent = {i: jobs[i]() for i in order}
        rows.append(tuple(spent[i] for i in range(len(jobs))))
    return rows


def ratios(slow: Sequence[Spent], fast: Sequence[Spent], scale: float = 1.0, cpu: bool = False) -> tuple[float, ...]:
    """How many times faster `fast` is, pair by pair; `scale` is its share of the other's work, where they differ."""
    key = "cpu" if cpu else "wall"
    return tuple(scale * getattr(s, key) / getattr(f, key) for s, f in zip(slow, fast, strict=True))


class Contestant:
    """A process of its own that does one job whenever it is told to; use it in a `with` block.

    Parameters
    ----------
    build : callable
        At the top of a module; called there with `args`, it prepares everything and returns the job.
    args
    cores : set of int, optional
        The processors that it may use (on Linux; elsewhere all).
    warm_up : int
        Turns before the first that counts.
    """

    def __init__(self, build: Callable, *args, cores: set[int] | None = None, warm_up: int = 1):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_attend, args=(theirs, build, args, cores, warm_up))
        self._process.start()
        theirs.close()  # so that the end of the process shows as the end of the pipe

    def __enter__(self) -> "Contestant":
        if not self._pipe.poll(START_S):
            raise TimeoutError(f"A contestant was not ready after {START_S} seconds.")
        self._receive()
        return self

    def __exit__(self, *_) -> None:
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()

    def __call__(self) -> Spent:
        """One turn."""
        self._pipe.send(True)
        return self._receive()

    def _receive(self):
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise RuntimeError("A contestant ended without a word; it may have run out of memory.") from None
        if isinstance(answer, str):
            raise RuntimeError(f"A contestant failed:\n{answer}")
        return answer


def _attend(pipe, build: Callable, args: tuple, cores: set[int] | None, warm_up: int) -> None:
    try:
        if cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
        job = build(*args)
        for _ in range(warm_up):
            job()
        pipe.send(None)
        while pipe.recv():
            pipe.send(timed(job))
    except EOFError:
        return  # the other side has seen enough
    except Exception:  # noqa: BLE001 - whatever it is, the other side raises it
        pipe.send(traceback.format_exc())
