"""Analysis: probing a network with tones, making its channels heard, and writing the listening page."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.data import tune
from benchmarks.pairs import Reading, Result, Spent, timed
from benchmarks.setting import Setting

SHOWN_S = 7.0


def run(setting: Setting) -> Result:
    """All in one process, which has TensorFlow loaded."""
    code = "import sys; from benchmarks.analysis import measure; measure(*map(int, sys.argv[1:]))"
    sizes = [setting.rounds, setting.size(128, 8), setting.size(20, 2)]
    done = subprocess.run([sys.executable, "-c", code, *map(str, sizes)], check=True, text=True, stdout=subprocess.PIPE)
    rows = {}
    for name, *values in (line.split("\t") for line in done.stdout.splitlines()):
        rows[name] = tuple(map(float, values))
    return Result([Reading(name, values, "s") for name, values in rows.items()])


def measure(rounds: int, tones: int, sounds: int) -> None:
    """Print a row of seconds for each figure, of dm16 with its first weights."""
    from tagkit.analysis import feature_maps, sonify, spectra
    from tagkit.graph import zoo
    from tagkit.listening import page as listen

    model = zoo.build("dm16")
    y = tune(0, SHOWN_S)
    found = {}

    def probe():
        found["probe"] = spectra.tone_probe(model, tones=tones)

    def page(folder: str):
        clips = [listen.Excerpt(f"clip {k}", tune(k, SHOWN_S), model.sr) for k in range(3)]
        listen.write(Path(folder) / "listen.html", [listen.network(model, clips)], clips)

    def show(name: str, spent: list[Spent], each: int) -> None:
        print("\t".join([name, *(f"{s.wall / each:.6g}" for s in spent)]), flush=True)

    spent = [timed(probe) for _ in range(rounds)]
    channels = sum(response.shape[-1] for response in found["probe"].response.values())
    show(f"tone probe of dm16 ({channels} channels, {tones} tones), a channel", spent, channels)
    maps = feature_maps.compute(model, y)
    stage = next(iter(found["probe"].response))
    chosen = [int(c) for c in np.flatnonzero(np.isfinite(found["probe"].tuning(stage).centre_hz))[:sounds]]
    for mode in ("carrier", "gated"):
        made = [
            timed(lambda mode=mode: [sonify.sonify(maps, stage, c, mode, probe=found["probe"]) for c in chosen])
            for _ in range(rounds)
        ]
        show(f"one channel heard for {SHOWN_S:.0f} s, {mode}", made, len(chosen))
    with tempfile.TemporaryDirectory() as folder:
        show("listen.html of dm16 and three clips", [timed(lambda: page(folder)) for _ in range(rounds)], 1)
