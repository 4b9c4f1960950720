"""Start-up: how long a shell waits for `tagkit --help`, and Python for `import tagkit`."""

import subprocess
import sys
import time

from benchmarks.pairs import Reading, Result, Spent, in_turns
from benchmarks.setting import Setting

HELP = [sys.executable, "-m", "tagkit.cli", "--help"]
IMPORT = [sys.executable, "-c", "import tagkit"]
HEAVY = "import sys, tagkit.cli; tagkit.cli._parser(); print(sum(m in sys.modules for m in ('tensorflow', 'keras')))"


def run(setting: Setting) -> Result:
    """Each command in a fresh process."""
    rows = in_turns([lambda: _process(HELP), lambda: _process(IMPORT)], setting.rounds)
    heavy = int(subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, check=True, text=True).stdout)
    names = ("tagkit --help", "import tagkit")
    seconds = [Reading(n, tuple(r[k].wall for r in rows), "s", 0.5, at_least=False) for k, n in enumerate(names)]
    return Result([*seconds, Reading("TensorFlow and Keras imported by it", (float(heavy),), "", 0, at_least=False)])


def _process(command: list[str]) -> Spent:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Spent(time.perf_counter() - started, 0.0)
