"""Take trained networks apart: figures and numbers of their filters and channels, and the page on which one hears them.

The page (listen.html) shows the networks side by side. Figures and analysis.json lie beside it: how each stage builds
its filters on the one below, which channel tells which tag, and how alike the networks represent the clips.
"""

import argparse

from tagkit.system.arguments import folder

NEEDS_TENSORFLOW = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit analyse`."""
    parser.add_argument("run_folders", type=folder, nargs="+", metavar="RUN", help="folders of trainings")
    parser.add_argument("--records", type=folder, metavar="DIR", help="default: those that the runs were trained on")
    parser.add_argument("--out", type=folder, metavar="DIR", help="default: the first run's folder")
    parser.add_argument("--clips", type=int, metavar="N", help="clips to listen to, held-out ones first (default: all)")
    parser.add_argument("--no-twin", action="store_true", help="leave out the untrained network, for half the time")


def run(args: argparse.Namespace) -> int:
    """Analyse the runs and say what was found and where figures and page lie."""
    if args.clips is not None and args.clips < 2:
        raise ValueError(f"--clips is {args.clips}; at least 2 are needed, and 256 for the similarity of networks.")
    from tagkit.analysis import figures, report
    from tagkit.data.records import Records
    from tagkit.listening import run_page
    from tagkit.training.runs import Run

    runs = {folder.resolve().name: Run.open(folder) for folder in args.run_folders}
    if len(runs) < len(args.run_folders):
        raise ValueError("Two of these runs have the same folder name; analyse them one at a time.")
    if len({(run.record["data"], run.record["split"]) for run in runs.values()}) > 1:
        raise ValueError("These runs were trained on different records or splits; analyse them one at a time.")
    out = args.out or args.run_folders[0]
    records = next(iter(runs.values())).open_records(Records.open(args.records) if args.records else None)
    twin = not args.no_twin
    analyses = [report.analyse(run, records, clips=args.clips, twin=twin) for run in runs.values()]
    for found in analyses:
        print(f"\n{found.name}\n{found.summary()}")
    paths, missing = report.write(analyses, out / "figures")
    paths += figures.draw_filters(runs, out / "figures") if twin else []
    print("", *missing, *(f"Figure {path}" for path in paths), sep="\n")
    print(f"Numbers {report.write_numbers(analyses, out / 'analysis.json')}")
    if not any(run.row.reads_waveform for run in runs.values()):
        print("No page to listen to: none of these networks reads the bare waveform.")
        return 0
    page = run_page.write_page(runs, records, out / "listen.html", analyses=analyses)
    print(f"Open {page} in a browser to listen; it needs no network.")
    return 0
