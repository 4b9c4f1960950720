"""Draw the filters of trained networks, and write the page on which one hears their feature maps."""

import argparse
from pathlib import Path

NEEDS_TENSORFLOW = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit analyse`."""
    parser.add_argument("run_folders", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: the first run's folder")


def run(args: argparse.Namespace) -> int:
    """Analyse the runs and say where the figures and the page lie."""
    from tagkit import report
    from tagkit.records import Records
    from tagkit.runs import Run

    runs = {folder.resolve().name: Run.open(folder) for folder in args.run_folders}
    if len(runs) < len(args.run_folders):
        raise ValueError("Two of these runs have the same folder name; analyse them one at a time.")
    if len({(run.record["data"], run.record["split"]) for run in runs.values()}) > 1:
        raise ValueError("These runs were trained on different records or splits; analyse them one at a time.")
    out = args.out or args.run_folders[0]
    records = Records.open(next(iter(runs.values())).records_root)
    page = report.write_page(runs, records, out / "listen.html")
    for path in report.draw_filters(runs, out / "figures"):
        print(f"Figure {path}")
    print(f"Open {page} in a browser to listen; it needs no network.")
    return 0
