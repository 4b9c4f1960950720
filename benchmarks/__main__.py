"""`python -m benchmarks [TOPIC ...]`: measure, print each figure with its bar, write docs/benchmarks.md.

Exit codes: 0 every figure reaches its bar, 1 some fall short, 2 wrong use.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import report, topics
from benchmarks.pairs import Reading
from benchmarks.setting import Setting
from tagkit.system import paths


def main(arguments: list[str] | None = None) -> int:
    """Measure the topics named, or all of them."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(topics.TOPICS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of turns (default: 5)")
    parser.add_argument("--small", action="store_true", help="seconds instead of minutes, into --folder")
    parser.add_argument("--folder", type=Path, default=paths.home() / "build" / "benchmarks", help="for music and runs")
    parser.add_argument("--report", action="store_true", help="only write the pages anew from the records")
    args = parser.parse_args(arguments)
    if unknown := set(args.topics) - set(topics.TOPICS):
        parser.error(f"there is no topic {', '.join(sorted(unknown))}; take {', '.join(topics.TOPICS)}.")
    home = args.folder if args.small else paths.home()
    records = home / "docs" / "benchmarks"
    held = True
    if not args.report:
        args.folder.mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = str(args.folder)  # one file system for all ways
        setting = Setting(args.folder.resolve(), args.rounds, args.small)
        for name in args.topics or topics.TOPICS:
            print(f"\n{name}: {topics.title(name)}", flush=True)
            load = report.load()
            result = topics.measure(name, setting)
            for reading in result.readings:
                print(line(reading), flush=True)
            print("".join(f"  {note}\n" for note in result.notes), end="", flush=True)
            report.write_record(records, name, topics.title(name), setting, result, load)
            held &= all(reading.holds for reading in result.readings)
    print(f"\n{report.write(records, home)} is written.")
    return 0 if held else 1


def line(reading: Reading) -> str:
    """One figure as the terminal shows it."""
    bar = "" if reading.bar is None else f"  bar {report.bar(reading):12s} {reading.verdict}"
    return f"  {reading.name:58s} {report.value(reading):>34s}{bar}"


if __name__ == "__main__":
    sys.exit(main())
