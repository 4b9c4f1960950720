"""Input: training from records against the same training from clips in memory."""

import itertools
import statistics
from dataclasses import replace
from pathlib import Path

from benchmarks.data import CLIP_S, magnatagatune_like
from benchmarks.keras_step import BATCH, build_step
from benchmarks.pairs import Contestant, Reading, Result, Spent, in_turns, timed
from benchmarks.setting import Setting
from tagkit.data.prepare import prepare
from tagkit.data.records import Records

# Slow to fast: what a batch costs to read weighs the more, the faster the network. The steps of a turn.
NETWORKS = {"dm16": 24, "logmel": 24, "mul16f": 24, "ds256ra": 120}
MOST = 3.0


def run(setting: Setting) -> Result:
    """Each network in a process of its own, where both ways take turns with the same step."""
    n = setting.size(96, 6)
    catalog = magnatagatune_like(setting.folder / f"mtat-{n}", n, setting.size(round(CLIP_S), 3))
    records = prepare(catalog, setting.folder / f"records-{n}", sr=16_000, progress=False)
    result = Result()
    for name in list(NETWORKS)[: setting.size(4, 1)]:
        steps = setting.size(NETWORKS[name], 2)
        with Contestant(_compare, name, str(records.root), steps, setting.rounds, warm_up=0) as contestant:
            contestant()
        rows = [Spent(*row) for row in _read(records.root, name)]
        memory, disk, ready = rows[0::3], rows[1::3], rows[2::3]
        result.readings += [
            Reading(f"{name}, from memory", tuple(BATCH * steps / s.wall for s in memory), "examples/s"),
            Reading(f"{name}, longer from records", _longer(disk, memory, "cpu"), "% CPU", MOST, at_least=False),
            Reading(f"{name}, the same by the clock", _longer(disk, memory, "wall"), "%"),
            Reading(f"{name}, longer from memory than on batches made before", _longer(memory, ready, "cpu"), "%"),
        ]
    result.notes.append(
        "Both cut and augment their windows as a training does. The bar is for CPU time: a network keeps all cores"
        " busy, so that is what reading ahead costs it; the clock says more of what else the machine does. The last"
        " line of each network is what cutting and augmenting cost."
    )
    result.profiles["CPU time of a batch of 16 windows, without the network (ms)"] = _profile(records)
    return result


def _longer(these: list[Spent], those: list[Spent], by: str) -> tuple[float, ...]:
    """How much longer these turns took, in percent, pair by pair."""
    return tuple(100 * (getattr(a, by) / getattr(b, by) - 1) for a, b in zip(these, those, strict=True))


class InMemory:
    """Records whose clips were all read before."""

    def __init__(self, records: Records):
        self.lengths = records.lengths
        self._clips = [records.read(position) for position in range(len(self.lengths))]

    def read(self, position: int, start: int, length: int):
        """As `Records.read`; no clip here is shorter than a window."""
        return self._clips[position][start : start + length]


def _profile(records: Records) -> str:
    """What a batch costs, part by part."""
    from tagkit.data.windows import TrainingWindows
    from tagkit.training.config import TrainingConfig

    lines = []
    for label, settings in (
        ("read and cut alone", {"speed_semitones": 0.0, "attenuation_db": 0.0}),
        ("with attenuation and sign", {"speed_semitones": 0.0}),
        ("with speed as well (as in training)", {}),
    ):
        windows = TrainingWindows.of(
            records, records.catalog.tags(), 38_832, **TrainingConfig(batch_size=BATCH, **settings).windows
        )
        spent = [timed(lambda k=k, w=windows: w.batch(k)).cpu for k in range(40)]
        lines.append(f"{1000 * statistics.median(spent):6.2f}  {label}")
    return "\n".join(lines)


def _place(root: Path, name: str) -> Path:
    return root.parent / f"inputs-{name}.txt"


def _read(root: Path, name: str) -> list[list[float]]:
    return [[float(x) for x in line.split()] for line in _place(root, name).read_text().splitlines()]


def _compare(name: str, root: str, steps: int, rounds: int):
    """A job that writes the seconds of three trainings: clips in memory, in records, and batches made before."""
    from tagkit.data.batches import training_batches
    from tagkit.data.windows import TrainingWindows
    from tagkit.training.config import TrainingConfig

    step, row = build_step(name)
    records = Records.open(root)
    config = TrainingConfig(batch_size=BATCH)
    from_disk = TrainingWindows.of(records, records.catalog.tags(), row.samples, **config.windows)
    from_memory = replace(from_disk, records=InMemory(records))
    held = list(training_batches(from_disk, 0, 8))
    ready = [held[k % len(held)] for k in range(steps)]

    def train(batches):
        for x, y in batches:
            loss = step(x, y)
        return float(loss)

    def turn(batches) -> Spent:
        return timed(lambda: train(batches))

    def read(source):
        """Starts before the clock does: the reading ahead of a training that goes on is done as well."""
        batches = iter(source.dataset(0, steps + 4))
        train(itertools.islice(batches, 4))
        return turn(batches)

    def job():
        train(ready[:2])
        rows = in_turns([lambda: read(from_memory), lambda: read(from_disk), lambda: turn(ready)], rounds)
        lines = [f"{s.wall} {s.cpu}\n" for row in rows for s in row]
        _place(Path(root), name).write_text("".join(lines))

    return job
