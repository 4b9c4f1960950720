"""The commands that take trained networks apart: analyse, live."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tagkit.cli.command import Command
from tagkit.system.arguments import folder, positive

if TYPE_CHECKING:
    from tagkit.analysis.portrait import Portrait
    from tagkit.data.records import Records
    from tagkit.training.runs import Run


PROBES = "What a linear probe reads from each stage, macro ROC-AUC:"
SOUNDS = (
    "What share of its channel's answer a sound carries, and what its controls do (the same sound aimed at random, and "
    "the clip's loudest parts); drop and gain of the channel's tag with the sound in place of the clip:"
)


def _analyse_arguments(parser: argparse.ArgumentParser) -> None:
    _measuring_arguments(parser)
    parser.add_argument("--out", type=folder, metavar="DIR", help="default: the first run's folder")
    parser.add_argument(
        "--clips", type=positive, default=4, metavar="N", help="held-out clips on the page to listen to (default: 4)"
    )
    parser.add_argument(
        "--causes",
        type=positive,
        nargs="?",
        const=240,
        metavar="CLIPS",
        help="experiments: mute each instrument in so many rendered clips (240), silence channels, probe stages, and "
        "play sounds to the network again",
    )


def _measuring_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_folders", type=folder, nargs="+", metavar="RUN", help="run folders, or names of published networks"
    )
    parser.add_argument("--records", type=folder, metavar="DIR", help="default: those that the runs were trained on")
    parser.add_argument(
        "--measure",
        type=positive,
        metavar="N",
        help="clips that the statistics are of, held-out ones first (default: 300, or all where there are fewer)",
    )
    parser.add_argument(
        "--no-control", action="store_true", help="leave out the untrained network (the control), for half the time"
    )


def _check_measure(args: argparse.Namespace) -> None:
    if args.measure == 1:
        raise ValueError("--measure is 1; at least 2 clips are needed, and 256 for the similarity of networks.")


def _measured(args: argparse.Namespace, runs: "dict[str, Run]", records: "Records") -> "dict[str, Portrait]":
    from tagkit.analysis import portrait

    return {
        name: portrait.measure(run, records, clips=args.measure, control=not args.no_control)
        for name, run in runs.items()
    }


def analyse(args: argparse.Namespace) -> None:
    """Analyse trained networks: figures and numbers of their filters and channels, and a page to listen to them.

    The page (listen.html) shows the networks side by side. Figures and analysis.json lie beside it: how each stage
    builds its filters on the one below, which channel tells which tag, and how alike the networks represent the clips.
    What is measured of a network is kept in its folder (portrait.npz) and read from there the next time.
    """
    from tagkit.analysis import report
    from tagkit.listening import page

    runs, records = _open(args)
    out = args.out or next(iter(runs.values())).root
    portraits = _measured(args, runs, records)
    found = list(portraits.values())
    for each in found:
        print(f"\n{each.name}\n{report.summary(each)}")
    paths, missing = report.write(found, out / "figures")
    if args.causes:
        paths += _causes(runs, portraits, records, args.causes, not args.no_control, out / "figures")
    raw = {name: each for name, each in portraits.items() if runs[name].row.reads_waveform}
    paths += report.write_filters(list(raw.values()), out / "figures")
    print("", *missing, *(f"Figure {path}" for path in paths), sep="\n")
    print(f"Numbers {report.write_numbers(found, out / 'analysis.json')}")
    if not raw:
        print("No page to listen to: none of these networks learned its first filters on the waveform.")
        return
    written = page.of_runs(out / "listen.html", runs, portraits, records, args.clips)
    print(f"Open {written} in a browser to listen; it needs no network.")


def _causes(runs: dict, portraits: dict, records: "Records", clips: int, control: bool, folder: Path) -> list[Path]:
    """Print and draw what experiments tell of each network's tags, channels and sounds; the figures' paths."""
    from tagkit.analysis import report
    from tagkit.analysis.causes import ablation, muting, probes, sounds
    from tagkit.training.runs import TrainingError

    paths, read, unsuited = [], {}, {}
    for name, run in runs.items():
        try:
            muting.check(run)
        except TrainingError as reason:
            unsuited[name] = reason
    suited = [run for name, run in runs.items() if name not in unsuited]
    muted = {found.name: found for found in muting.of_runs(suited, clips=clips, control=control)}

    def mute(_: "Run", portrait: "Portrait") -> str:
        if portrait.name in unsuited:
            raise unsuited[portrait.name]
        paths.append(report.write_muting(muted[portrait.name], folder))
        return muted[portrait.name].summary(portrait)

    def read_stages(_: "Run", portrait: "Portrait") -> str:
        read[portrait.name] = probes.measure(portrait)
        return f"{PROBES}\n{probes.table(read[portrait.name])}"

    experiments = {
        "muting": mute,
        "ablation": lambda run, portrait: ablation.measure(run, portrait, records).summary(),
        "probes": read_stages,
        "faithfulness": lambda run, portrait: (
            f"{SOUNDS}\n{sounds.table(sounds.measure(run, portrait, records)).round(2).to_string()}"
        ),
    }
    for name, run in runs.items():
        print(f"\n{name}, causes")
        for what, experiment in experiments.items():
            try:
                print(f"\n{experiment(run, portraits[name])}")
            except ValueError as reason:  # too few clips, or a network that it does not suit: it says which
                print(f"\nNo {what}: {reason}")
    return paths + report.write_probes(read, folder)


def _live_arguments(parser: argparse.ArgumentParser) -> None:
    _measuring_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: live.html in the first run's folder")
    parser.add_argument(
        "--weights", choices=("float16", "float32"), default="float16", help="precision in the page (default: float16)"
    )


def live(args: argparse.Namespace) -> None:
    """Write a page with the networks inside: drop a song on it, and hear what any channel makes of it.

    One HTML file that runs in a browser, opened from disk or from any web server; no music leaves the browser. What is
    measured of a network is kept in its folder (portrait.npz) and read from there the next time.
    """
    from tagkit.listening.live import page

    runs, records = _open(args)
    for name, run in runs.items():
        page.check_windowing(name, run)  # before minutes are spent
    portraits = _measured(args, runs, records)
    path = args.out or next(iter(runs.values())).root / "live.html"
    written = page.of_runs(path, runs, portraits, records, precision=args.weights)
    print(f"Open {written} in a browser and drop a song on it; {written.stat().st_size / 1e6:.1f} MB.")


def _open(args: argparse.Namespace) -> tuple[dict[str, "Run"], "Records"]:
    """The runs by the names of their folders, and the records that they share; ValueError if they share none."""
    from tagkit.data.records import Records
    from tagkit.training import imported

    runs = {folder.resolve().name: imported.open_run(folder) for folder in args.run_folders}
    if len(runs) < len(args.run_folders):
        raise ValueError("Two of these runs have the same folder name; analyse them one at a time.")
    own = [run for run in runs.values() if not run.imported] or list(runs.values())
    if len({(run.record["data"], run.record["split"]) for run in own}) > 1:
        raise ValueError("These runs were trained on different records or splits; analyse them one at a time.")
    records = own[0].open_records(Records.open(args.records) if args.records else None)
    return runs, records


COMMANDS = (
    Command("analyse", _analyse_arguments, analyse, needs_tensorflow=True, check=_check_measure),
    Command("live", _live_arguments, live, needs_tensorflow=True, check=_check_measure),
)
