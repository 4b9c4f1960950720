"""Preparing: MP3 files in MagnaTagATune's format to records, against what people do instead; and 44.1 kHz stereo."""

import hashlib
import tempfile
from contextlib import ExitStack
from pathlib import Path

import google_crc32c
import numpy as np
import soundfile
import soxr

from benchmarks import decoding
from benchmarks.data import CLIP_S, magnatagatune_like, tune
from benchmarks.pairs import Contestant, Reading, Result, in_turns, ratios, timed
from benchmarks.setting import Setting
from tagkit import audio

ONE_CORE = {0}
LIMIT = (
    "librosa's way is bare decoding to floats and a write, so its bars ask for more than bare decoding itself reaches "
    "where that ratio, above, is below 1.3. What tagkit does beyond it, part by part below, halves the disk (int16), "
    "names every damaged byte (checksums) and survives a power cut (flushed shards, resumption)."
)


def run(setting: Setting) -> Result:
    """All ways in turns, each in a process of its own; those on one core share the same one."""
    n, few = setting.size(288, 4), setting.size(6, 1)
    catalog = magnatagatune_like(setting.folder / f"mtat-{n}", n, setting.size(round(CLIP_S), 3))
    paths = [catalog.root / path for path in catalog.clips["path"]]
    ways = (
        (decoding.tagkit, catalog, 1, ONE_CORE),
        (decoding.soundfile, paths, "int16", ONE_CORE),
        (decoding.soundfile, paths, "float32", ONE_CORE),
        (decoding.librosa, paths, ONE_CORE),
        (decoding.example_loop, paths, ONE_CORE),
        (decoding.pydub, paths[:few], ONE_CORE),
        (decoding.tagkit, catalog, 2, None),
    )
    with ExitStack() as stack:
        jobs = [stack.enter_context(Contestant(*way, cores=cores)) for *way, cores in ways]
        columns = list(zip(*in_turns(jobs, setting.rounds), strict=True))
    ours, bare, floats, usual, loop, pydub, both = columns
    readings = [
        Reading("tagkit, 1 core", tuple(n / s.wall for s in ours), "clips/s"),
        Reading("tagkit, 1 core", tuple(1000 * s.cpu / n for s in ours), "CPU ms/clip"),
        Reading("tagkit, 2 cores", tuple(n / s.wall for s in both), "clips/s"),
        Reading("bare soundfile to int16", tuple(1000 * s.cpu / n for s in bare), "CPU ms/clip"),
        Reading("bare soundfile to float32", tuple(1000 * s.cpu / n for s in floats), "CPU ms/clip"),
        Reading("librosa.load + numpy.save", tuple(1000 * s.cpu / n for s in usual), "CPU ms/clip"),
        Reading("tagkit over pydub, 1 core", ratios(pydub, ours, n / few), bar=12),
        Reading("tagkit over librosa.load + numpy.save, 1 core", ratios(usual, ours), bar=1.3),
        Reading("the same in CPU seconds", ratios(usual, ours, cpu=True)),
        Reading(
            "bare float32 decoding over librosa.load + numpy.save, in CPU seconds", ratios(usual, floats, cpu=True)
        ),
        Reading("tagkit on 2 cores over librosa.load + numpy.save", ratios(usual, both), bar=2.4),
        Reading("tagkit over bare soundfile decoding, 1 core", ratios(bare, ours), bar=0.8),
        Reading("the same in CPU seconds", ratios(bare, ours, cpu=True)),
        Reading("plain tf.train.Example loop over bare decoding, 1 core", ratios(bare, loop)),
    ]
    profile = {"Where the CPU time of a clip goes (one core, ms)": _profile(paths[:32])}
    return Result([*readings, *_stereo(setting)], [_quality(setting), LIMIT], profile)


def _stereo(setting: Setting) -> list[Reading]:
    seconds, copies = setting.size(29, 3), 4
    readings = []
    for suffix in ("mp3", "flac"):
        path = setting.folder / f"stereo-{seconds}.{suffix}"
        if not path.is_file():
            audio.save(path, tune(0, seconds, 44_100, 2), 44_100)
        with Contestant(decoding.load, [path] * copies, cores=ONE_CORE) as job:
            spent = [job() for _ in range(setting.rounds)]
        values = tuple(copies * seconds / s.wall for s in spent)
        readings.append(Reading(f"44.1 kHz stereo {suffix} on 1 core", values, "times real time", bar=50))
    return readings


def _profile(paths: list[Path]) -> str:
    """CPU ms of each thing that must be done with a clip."""
    floats = [soundfile.read(path, dtype="float32")[0] for path in paths]
    pcm = [audio.to_int16(y) for y in floats]
    with tempfile.TemporaryFile() as stream:
        parts = {
            "decode to float32 (libsndfile's mpg123)": lambda: [soundfile.read(p, dtype="float32") for p in paths],
            "round to int16": lambda: [audio.to_int16(y) for y in floats],
            "sha256 of the shard": lambda: [hashlib.sha256(y).digest() for y in pcm],
            "CRC-32C of the record": lambda: [google_crc32c.value(y.tobytes()) for y in pcm],
            "write": lambda: [stream.write(y.data) for y in pcm],
        }
        spent = {name: min(timed(job).cpu for _ in range(3)) for name, job in parts.items()}
    return "\n".join(f"{1000 * seconds / len(paths):6.2f}  {name}" for name, seconds in spent.items())


def _quality(setting: Setting) -> str:
    """What soxr's best quality would change, and cost."""
    y, _ = soundfile.read(setting.folder / f"stereo-{setting.size(29, 3)}.flac", dtype="float32")
    y, ways = y.mean(1), ("HQ", "VHQ")
    for quality in ways:  # the first call of each is slower
        soxr.resample(y, 44_100, 16_000, quality)
    cost = [1000 * timed(lambda q=q: soxr.resample(y, 44_100, 16_000, q)).cpu for q in ways]
    high, best = (audio.to_int16(soxr.resample(y, 44_100, 16_000, q)).astype(int) for q in ways)
    return (
        f"Resampling takes soxr's HQ ({cost[0]:.1f} CPU ms a clip). Its VHQ ({cost[1]:.1f} CPU ms) keeps the bar as "
        f"well; it gives integers that differ by at most {np.abs(high - best).max()} of 65,536 steps. "
        "Records stay with HQ, on which the scores in docs/results.md rest."
    )
