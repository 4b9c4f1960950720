"""Growth: preparing, an epoch and an evaluation at three sizes, and what they say of larger ones."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.data import magnatagatune_like
from benchmarks.pairs import Reading, Result
from benchmarks.setting import Setting
from tagkit.data import magnatagatune
from tagkit.data.catalog import Catalog

MODEL = "ds256ra"  # a fast network, so that what is not the network shows
CLIP_S = 3.0  # short clips: 25,000 of them are 2.4 GB, not 23
PHASES = ("prepare", "epoch", "evaluate")
# On paper: clips, and seconds of each.
LARGER = {
    "MagnaTagATune": (25_863, 29.1),
    "fma_full": (106_574, 268.0),
    "a million songs": (1_000_000, 240.0),
}


def run(setting: Setting) -> Result:
    """Each phase at each size in a process of its own, the sizes in turns."""
    sizes = [setting.size(n, n // 10) for n in (500, 5_000, 25_000)][: setting.size(3, 2)]
    for n in sizes:
        magnatagatune_like(setting.folder / f"growth-{n}", n, CLIP_S)
    seen = {(phase, n): [] for phase in PHASES for n in sizes}
    for _ in range(setting.rounds):
        for n in sizes:
            for phase in PHASES:
                seen[phase, n].append(_phase(phase, setting.folder, n))
    result = Result()
    for phase in PHASES:
        result.readings += _readings(phase, sizes, seen)
    catalog = magnatagatune.read(setting.folder / f"growth-{sizes[-1]}")
    result.profiles["What preparing holds of a clip, its row in the tables (bytes)"] = _row(catalog)
    result.notes = [
        f"Clips of {CLIP_S:.0f} s; {MODEL}. Each phase runs in a process of its own, the sizes in turns.",
        *_paper(seen, sizes),
    ]
    return result


def _readings(phase: str, sizes: list[int], seen: dict) -> list[Reading]:
    small, large = sizes[0], sizes[-1]
    pairs = list(zip(seen[phase, small], seen[phase, large], strict=True))
    cost = tuple(100 * (b[0] / large / (a[0] / small) - 1) for a, b in pairs)
    memory = tuple(100 * (b[1] / a[1] - 1) for a, b in pairs)
    readings = [
        Reading(f"{phase}, {n:,} clips", tuple(1000 * s[0] / n for s in seen[phase, n]), "CPU ms/clip") for n in sizes
    ]
    readings += [
        Reading(f"{phase}, {n:,} clips, peak memory", tuple(s[1] for s in seen[phase, n]), "MiB") for n in sizes
    ]
    return [
        *readings,
        Reading(f"{phase}, cost of a clip grown from {small:,} to {large:,}", cost, "%", 10, at_least=False),
        Reading(f"{phase}, peak memory grown from {small:,} to {large:,}", memory, "%", 10, at_least=False),
    ]


def _row(catalog: Catalog) -> str:
    """Bytes of a row, column by column."""
    parts = {"clip id": catalog.clips.index.memory_usage(deep=True)}
    parts |= {name: catalog.clips[name].memory_usage(index=False, deep=True) for name in catalog.clips}
    parts["labels"] = catalog.labels.memory_usage(index=False).sum()
    parts["splits"] = catalog.splits.memory_usage(index=False).sum()  # of a few words that all clips share
    return "\n".join(f"{size / len(catalog):6.0f}  {name}" for name, size in parts.items())


def _paper(seen: dict, sizes: list[int]) -> list[str]:
    """Hours and disk of larger collections, from the largest size that was measured."""
    n = sizes[-1]
    prepare, epoch = (min(s[0] for s in seen[phase, n]) / n for phase in ("prepare", "epoch"))
    lines = []
    for name, (clips, seconds) in LARGER.items():
        hours = clips * prepare * seconds / CLIP_S / 3600
        disk = clips * seconds * 32_000 / 1e9
        lines.append(
            f"On paper, {name} ({clips:,} clips of {seconds:g} s): preparing 16 kHz sources {hours:.2g} core hours, "
            f"records {disk:,.0f} GB, an epoch of one window a clip with {MODEL} {clips * epoch / 3600:.2g} core hours."
        )
    return lines


def _phase(phase: str, folder: Path, n: int) -> tuple[float, float]:
    """CPU seconds of a phase without its start, and its process' peak memory in MiB."""
    code = "import sys; from benchmarks.growth import measure; measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))"
    done = subprocess.run(
        [sys.executable, "-c", code, phase, str(folder), str(n)], check=True, text=True, stdout=subprocess.PIPE
    )
    seconds, memory = done.stdout.split()[-2:]
    return float(seconds), float(memory)


def measure(phase: str, folder: str, n: int) -> None:
    """Do one phase and print its CPU seconds and peak memory."""
    root = Path(folder)
    spent = {"prepare": _prepare, "epoch": _epoch, "evaluate": _evaluate}[phase](root, n)
    print(spent, _peak_mib())


def _peak_mib() -> float:
    """Most memory that this process has held, MiB. `ru_maxrss` begins with what its parent held when it started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM: growth is measured on Linux.")


def _prepare(root: Path, n: int) -> float:
    import shutil

    from tagkit.data.prepare import prepare

    catalog = magnatagatune.read(root / f"growth-{n}")
    shutil.rmtree(root / f"growth-records-{n}", ignore_errors=True)
    started = time.process_time()
    prepare(catalog, root / f"growth-records-{n}", sr=16_000, jobs=1, progress=False)
    return time.process_time() - started


def _epoch(root: Path, n: int) -> float:
    from benchmarks.keras_step import BATCH, build_step
    from tagkit.data.batches import training_batches
    from tagkit.data.records import Records
    from tagkit.data.windows import TrainingWindows
    from tagkit.training.config import TrainingConfig

    step, row = build_step(MODEL)
    records = Records.open(root / f"growth-records-{n}")
    windows = TrainingWindows.of(
        records, records.catalog.tags(), row.samples, **TrainingConfig(batch_size=BATCH).windows
    )
    for x, y in training_batches(windows, 0, 4):
        float(step(x, y))
    started = time.process_time()
    for x, y in training_batches(windows, 0, n // BATCH):
        loss = step(x, y)
    float(loss)
    return time.process_time() - started


def _evaluate(root: Path, n: int) -> float:
    import numpy as np

    from tagkit.data.records import Records
    from tagkit.evaluation import metrics
    from tagkit.graph import zoo
    from tagkit.graph.scorer import Scorer

    records = Records.open(root / f"growth-records-{n}")
    score = Scorer(zoo.build(MODEL))
    score(records, np.arange(4))
    everything = np.arange(len(records.catalog))
    started = time.process_time()
    scores = score(records, everything)
    tags = records.catalog.tags()
    metrics.score_tags(records.labels(everything, tags), scores, tags, everything)
    return time.process_time() - started
