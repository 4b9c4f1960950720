"""Execute the notebooks and save copies with their outputs under build/notebooks; `make docs` makes pages of them.

    python notebooks/execute.py              every notebook, in a smoke setting: tiny data, seconds of training
    python notebooks/execute.py --missing    those only that changed since they were executed, or never were
    python notebooks/execute.py --full 13    notebook 13 in earnest, on the data and runs of `make demo`

A smoke run keeps its data, runs and figures under build/smoke, so that it never overwrites real ones.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tagkit.system import files

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
EXECUTED = ROOT / "build" / "notebooks"
SMOKE_S = 600  # ten times what a notebook takes: Jupyter has lost a kernel's answer, and then waits for ever
STUDY = ("04", "05", "06", "07", "08", "09", "10", "11")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", help="beginnings of names, such as 03 (default: all)")
    parser.add_argument("--full", action="store_true", help="not a smoke run: real data, runs and figures")
    parser.add_argument("--missing", action="store_true", help="only those without an executed copy that is newer")
    args = parser.parse_args()

    chosen = [p for p in sorted(HERE.glob("[0-9][0-9]_*.ipynb")) if p.name.startswith(tuple(args.notebooks or [""]))]
    if not chosen:
        parser.error(f"no notebook begins with {' or '.join(args.notebooks)}")
    if args.missing:
        chosen = [path for path in chosen if not is_executed(path)]
    if not chosen:
        return 0
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "TAGKIT_SMOKE": "0"}
    if not args.full:
        home = ROOT / "build" / "smoke"
        shutil.rmtree(home, ignore_errors=True)  # runs of other settings would be refused, and old ones not trained
        home.mkdir(parents=True)
        environment |= {"TAGKIT_SMOKE": "1", "TAGKIT_HOME": str(home)}
        # What most notebooks begin with, made once before two of them ask for it at the same time.
        subprocess.run(
            [sys.executable, "-m", "tagkit.cli", "demo"], env=environment, stdout=subprocess.DEVNULL, check=True
        )
    # Two at a time; those that share the runs of the study follow one another.
    lanes = [[p for p in chosen if (p.name[:2] in STUDY) is shared] for shared in (True, False)]
    with ThreadPoolExecutor(1 if args.full else 2) as threads:
        done = list(threads.map(lambda lane: [(p.name, execute(p, environment)) for p in lane], lanes))
    failed = [name for lane in done for name, ok in lane if not ok]
    print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def is_executed(path: Path) -> bool:
    """Whether a copy with outputs is there, and the notebook did not change since."""
    copy = EXECUTED / path.name
    return copy.is_file() and copy.stat().st_mtime >= path.stat().st_mtime


def execute(path: Path, environment: dict[str, str]) -> bool:
    """Run one notebook; afterwards its copy lies in build/notebooks, and says whether this was a smoke run."""
    started = time.monotonic()
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--log-level=ERROR", "--to", "notebook", "--execute"]
    with tempfile.TemporaryDirectory() as folder:
        command += ["--ExecutePreprocessor.timeout=-1", "--output-dir", folder, str(path)]
        passed = convert(command, environment)
        if passed:
            book = files.read_json(Path(folder) / path.name)
            book["metadata"]["smoke"] = environment["TAGKIT_SMOKE"] == "1"
            files.write_json(EXECUTED / path.name, book)
    print(f"{path.name}: {'ok' if passed else 'FAILED'}, {time.monotonic() - started:.0f} s", flush=True)
    return passed


def convert(command: list[str], environment: dict[str, str]) -> bool:
    """Whether the command succeeds; a smoke run that hangs is tried once more."""
    limit = SMOKE_S if environment["TAGKIT_SMOKE"] == "1" else None
    for _ in range(2):
        try:
            return subprocess.run(command, env=environment, check=False, timeout=limit).returncode == 0
        except subprocess.TimeoutExpired:
            print(f"{command[-1]} has not ended after {SMOKE_S} s.", flush=True)
    return False


if __name__ == "__main__":
    sys.exit(main())
