"""Tagging: a thousand MP3 files to tags by `tagkit tag`, start-up included."""

import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.data import CLIP_S, magnatagatune_like
from benchmarks.pairs import Reading, Result, Spent
from benchmarks.setting import Setting
from tagkit.data.catalog import Catalog


def run(setting: Setting) -> Result:
    """The command as a user calls it, in a fresh process, on a folder of files."""
    seconds = setting.size(round(CLIP_S), 3)
    readings = []
    for name, clips, bar in (("dm16", 1000, 300), ("samplecnn", 24, None))[: setting.size(2, 1)]:
        clips = setting.size(clips, 4)
        catalog = magnatagatune_like(setting.folder / f"mtat-{clips}", clips, seconds)
        folder = untrained(setting, name, catalog)
        spent = [_tag(folder, catalog.root / "mp3", clips) for _ in range(setting.rounds)]
        hours = clips * seconds / 3600
        readings += [
            Reading(f"{name}, {clips:,} clips", tuple(3600 * hours / s.wall for s in spent), "times real time", bar),
            Reading(f"{name}, the same by CPU seconds", tuple(3600 * hours / s.cpu for s in spent), "times real time"),
            Reading(f"{name}, an hour of audio", tuple(s.wall / hours for s in spent), "s"),
        ]
    return Result(
        readings, ["The networks are untrained, which changes no time; the start takes a few seconds of each run."]
    )


def untrained(setting: Setting, name: str, catalog: Catalog) -> Path:
    """A run folder whose network has hardly learned."""
    folder = setting.folder / f"run-{name}"
    if not (folder / "best.weights.h5").is_file():
        command = ["import sys; from benchmarks.tag import make_run; make_run(*sys.argv[1:])"]
        subprocess.run([sys.executable, "-c", *command, name, str(setting.folder), str(folder)], check=True)
    return folder


def make_run(name: str, folder: str, out: str) -> None:
    """Train a network for two steps on a few clips."""
    from tagkit.data.prepare import prepare
    from tagkit.training.config import TrainingConfig
    from tagkit.training.loop import train

    catalog = magnatagatune_like(Path(folder) / "mtat-48", 48, 4)
    records = prepare(catalog, Path(folder) / "records-48", sr=16_000, progress=False)
    train(TrainingConfig(model=name, steps=2, batch_size=2, eval_every=2), records, out, progress=False)


def _tag(run: Path, music: Path, clips: int) -> Spent:
    command = [sys.executable, "-m", "tagkit.cli", "tag", str(music), "--run", str(run), "--format", "csv"]
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if (lines := done.stdout.count("\n")) != clips + 1:
        raise RuntimeError(f"tagkit tag gave {lines} lines for {clips} clips: {done.stderr[-500:]}")
    return Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
