"""Music to measure on: clips like MagnaTagATune's, as many as are asked for, from a pool of a few dozen."""

import csv
import os
from pathlib import Path

import numpy as np

from tagkit import audio
from tagkit.data import layout, magnatagatune
from tagkit.data.catalog import Catalog

POOL = 24
CLIP_S = 29.1
FOLDERS = "0123456789abcdef"


def tune(seed: int, seconds: float, sr: int = 16_000, channels: int = 1) -> np.ndarray:
    """Chords of decaying harmonics in noise: it costs a decoder what music costs. (samples[, channels]), float32."""
    rng = np.random.default_rng(seed)
    y = rng.normal(0, 0.01, (round(seconds * sr), channels)).astype("f4")
    for start in np.arange(0, seconds, 0.5):
        part = y[round(start * sr) : round((start + 2) * sr)]
        t = np.arange(len(part)) / sr
        for pitch in rng.choice(48, 3) + 40:
            f0 = 440 * 2 ** ((pitch - 69) / 12)
            harmonics = [np.sin(2 * np.pi * k * f0 * t) / k for k in range(1, 7) if k * f0 < 0.45 * sr]
            part += (0.08 * np.exp(-2 * t) * sum(harmonics))[:, None] * rng.uniform(0.5, 1, channels)
    return np.clip(y, -1, 1)[:, 0] if channels == 1 else np.clip(y, -1, 1)


def magnatagatune_like(root: Path, clips: int, seconds: float = CLIP_S) -> Catalog:
    """A dataset in MagnaTagATune's layout at `root`: 16 kHz mono MP3 files, which share the bytes of a small pool.

    A machine keeps the pool in memory: reading these files costs no time of a disk.

    Parameters
    ----------
    root : path
        What is there already is used again.
    clips : int
    seconds : float
        Length of a clip.
    """
    pool = root / "pool"
    for k in range(min(POOL, clips)):
        if not (pool / f"{k}.mp3").is_file():
            audio.save(pool / f"{k}.mp3", tune(k, seconds), 16_000)
    names = [f"{FOLDERS[k % 16]}/artist_{k // 4}-album-{k}-piece-0-29.mp3" for k in range(clips)]
    for k, name in enumerate(names):
        path = root / "mp3" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(pool / f"{k % POOL}.mp3", path)
    rng = np.random.default_rng(0)
    with (root / layout.ANNOTATIONS).open("w", newline="") as f:
        writer = csv.writer(f, delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writerow(["clip_id", *magnatagatune.TOP50, "mp3_path"])
        labels = (rng.random((clips, 50)) < 0.1).astype(int)
        writer.writerows([k, *labels[k], name] for k, name in enumerate(names))
    with (root / layout.CLIP_INFO).open("w", newline="") as f:
        writer = csv.writer(f, delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writerow(layout.CLIP_INFO_COLUMNS)
        writer.writerows(
            [k, 1, f"piece {k}", f"artist {k // 4}", "album", "", 0, 29, "", name] for k, name in enumerate(names)
        )
    return magnatagatune.read(root)
