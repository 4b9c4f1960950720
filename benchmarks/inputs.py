"""Input: training from records against training on the same batches in memory."""

import itertools
from pathlib import Path

from benchmarks.data import CLIP_S, magnatagatune_like
from benchmarks.keras_step import BATCH, build_step
from benchmarks.pairs import Contestant, Reading, Result, Spent, in_turns, timed
from benchmarks.setting import Setting
from tagkit.records import Records, prepare

# Slow to fast: what a batch costs to read weighs the more, the faster the network. The steps of a turn.
NETWORKS = {"dm16": 24, "logmel": 24, "mul16f": 24, "ds256ra": 120}
MOST = 3.0


def run(setting: Setting) -> Result:
    """Each network in a process of its own, where both ways take turns with the same step."""
    n = setting.size(96, 6)
    catalog = magnatagatune_like(setting.folder / f"mtat-{n}", n, setting.size(round(CLIP_S), 3))
    records = prepare(catalog, setting.folder / f"records-{n}", progress=False)
    result = Result()
    for name in list(NETWORKS)[: setting.size(4, 1)]:
        steps = setting.size(NETWORKS[name], 2)
        with Contestant(_compare, name, str(records.root), steps, setting.rounds, warm_up=0) as contestant:
            contestant()
        rows = [Spent(*row) for row in _read(records.root, name)]
        memory, disk, plain = rows[0::3], rows[1::3], rows[2::3]
        slower = tuple(100 * (d.wall / m.wall - 1) for d, m in zip(disk, memory, strict=True))
        bare = tuple(100 * (d.wall / m.wall - 1) for d, m in zip(plain, memory, strict=True))
        cpu = tuple(1000 * (d.cpu - m.cpu) / steps for d, m in zip(disk, memory, strict=True))
        result.readings += [
            Reading(f"{name}, from memory", tuple(BATCH * steps / s.wall for s in memory), "examples/s"),
            Reading(f"{name}, longer from records", slower, "%", MOST, at_least=False),
            Reading(f"{name}, longer without augmentation", bare, "%"),
            Reading(f"{name}, CPU time of a batch from records", cpu, "ms"),
        ]
    return result


def _place(root: Path, name: str) -> Path:
    return root.parent / f"inputs-{name}.txt"


def _read(root: Path, name: str) -> list[list[float]]:
    return [[float(x) for x in line.split()] for line in _place(root, name).read_text().splitlines()]


def _compare(name: str, root: str, steps: int, rounds: int):
    """A job that writes the seconds of both ways (and of records without augmentation) to a file, row by row."""
    from tagkit.config import TrainingConfig
    from tagkit.inputs import TrainingWindows

    step, row = build_step(name)
    records = Records.open(root)
    tags = records.catalog.tags()
    windows = [
        TrainingWindows.of(records, tags, row.samples, TrainingConfig(batch_size=BATCH, **settings))
        for settings in ({}, {"speed_semitones": 0.0, "attenuation_db": 0.0})
    ]
    held = list(windows[0].dataset(0, 8))

    def train(batches):
        for x, y in batches:
            loss = step(x, y)
        return float(loss)

    def turn(batches) -> Spent:
        return timed(lambda: train(batches))

    def from_records(source):
        """Starts before the clock does: the reading ahead of a training that goes on is done as well."""
        batches = iter(source.dataset(0, steps + 4))
        train(itertools.islice(batches, 4))
        return turn(batches)

    def job():
        memory = [held[k % len(held)] for k in range(steps)]
        jobs = [lambda: turn(memory), lambda: from_records(windows[0]), lambda: from_records(windows[1])]
        train(memory[:2])
        rows = in_turns(jobs, rounds)
        lines = [f"{s.wall} {s.cpu}\n" for row in rows for s in row]
        _place(Path(root), name).write_text("".join(lines))

    return job
