"""Tag music files of any format and length with a trained network.

Exit codes: 0 all files were tagged, 3 some could not be (standard error names each), 2 wrong use, 1 nothing could be
tagged.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tagkit.cli import batch
from tagkit.system.arguments import local

if TYPE_CHECKING:
    from tagkit.evaluation.calibrate import Calibration
    from tagkit.evaluation.sweep import Failed
    from tagkit.evaluation.tag import Tagged, Tagger

NEEDS_TENSORFLOW = True
WIDEST = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit tag`."""
    batch.add_arguments(parser)
    parser.add_argument("--top", type=batch.positive, default=5, metavar="N", help="tags shown (default: 5)")
    parser.add_argument(
        "--format",
        choices=["table", "json", "csv"],
        default="table",
        help="json and csv hold the scores of all tags (default: table)",
    )
    parser.add_argument("--taggram", type=local, metavar="DIR", help="draw each file's tags over time in this folder")


def run(args: argparse.Namespace) -> int:
    """Tag everything: results go to standard output, progress and failures to standard error."""
    from tagkit.evaluation.sweep import Failed, find_files
    from tagkit.evaluation.tag import Tagger

    tagger = Tagger.open(args.run_folder)
    sources = list(find_files(args.sources))
    failed: list[Failed] = []
    results = batch.succeeded(tagger.each(sources, args.jobs), len(sources), "tag", failed)
    if args.taggram:
        results = _drawn(results, args.taggram, args.top)
    if args.format == "csv":
        tagged = _print_csv(tagger, results)
    elif args.format == "json":
        tagged = _print_json(tagger, results, failed, args.top)
    else:
        widest = max(len(str(source)) for source in sources)
        tagged = _print_table(tagger, results, args.top, min(widest, WIDEST))
    return batch.exit_code(tagged, len(failed))


def _print_table(tagger: "Tagger", results: "Iterable[Tagged]", top: int, width: int) -> int:
    from tqdm.auto import tqdm  # its `write` keeps the progress bar below the table

    count = 0
    for count, result in enumerate(results, start=1):
        if count == 1:
            tqdm.write(f"{'file':<{width}}  {'length':>8}  tags, by score")
        scores = "  ".join(f"{tag} {score:.2f}".replace(" 0.", " .") for tag, score in result.top(top).items())
        name = str(result.path)
        name = name if len(name) <= width else "…" + name[1 - width :]
        tqdm.write(f"{name:<{width}}  {_clock(result.duration_s):>8}  {scores}")
    if count:
        calibration, unknown = _calibration(tagger)
        print(f"\nScores by {tagger.run.root}: 0 to 1, the mean over windows of {tagger.window / tagger.sr:.1f} s.")
        print(calibration.sentences() if calibration else unknown)
    return count


def _print_csv(tagger: "Tagger", results: "Iterable[Tagged]") -> int:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "duration_s", *tagger.tags])
    count = 0
    for result in results:
        writer.writerow([result.path, f"{result.duration_s:.3f}", *(f"{score:.6f}" for score in result.scores)])
        count += 1
    return count


def _print_json(tagger: "Tagger", results: "Iterable[Tagged]", failed: "list[Failed]", top: int) -> int:
    calibration, unknown = _calibration(tagger)
    rows = [_json_row(result, calibration, top) for result in results]
    record = tagger.run.record
    content = {
        "run": str(tagger.run.root),
        "model": tagger.run.config.model,
        "trained_on": {key: record[key] for key in ("dataset", "split", "data")},
        "window_s": tagger.window / tagger.sr,
        "calibration": calibration.to_dict() if calibration else None,
        "calibration_unknown": unknown,
        "files": rows,
        "failed": [{"path": str(f.path), "reason": f.reason} for f in failed],
    }
    print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
    return len(rows)


def _json_row(result: "Tagged", calibration: "Calibration | None", top: int) -> dict:
    shares = calibration.shares(result.scores) if calibration else [float("nan")] * len(result.tags)
    shown = [
        {
            "tag": result.tags[k],
            "score": float(result.scores[k]),
            "share_right": float(shares[k]) if shares[k] == shares[k] else None,  # NaN: too few had such a score
        }
        for k in result.order(top)
    ]
    scores = dict(zip(result.tags, map(float, result.scores), strict=True))
    return {"path": str(result.path), "duration_s": result.duration_s, "top": shown, "scores": scores}


def _calibration(tagger: "Tagger") -> "tuple[Calibration | None, str | None]":
    """The run's calibration, or why it is unknown."""
    from tagkit.data.records import RecordsError
    from tagkit.evaluation import calibrate
    from tagkit.training.runs import TrainingError

    try:
        return calibrate.of_run(tagger.run), None
    except (RecordsError, TrainingError) as error:
        return None, f"How far these scores can be trusted is unknown: {error}"


def _drawn(results: "Iterable[Tagged]", folder: Path, top: int) -> "Iterator[Tagged]":
    """Draw each result's taggram before passing it on; files of the same name get a number."""
    from matplotlib.figure import Figure

    from tagkit import plots
    from tagkit.system import files

    plots.use_style()
    taken: set[str] = set()
    for result in results:
        order = result.order(top)
        fig = Figure(figsize=(10, 1.4 + 0.32 * len(order)), layout="constrained")  # without pyplot: no window system
        plots.taggram(
            result.window_scores[:, order],
            result.starts_s,
            result.window_s,
            [f"{result.tags[k]} {result.scores[k]:.2f}".replace(" 0.", " .") for k in order],
            duration_s=result.duration_s,
            title=result.path.name,
            ax=fig.subplots(),
        )
        with files.atomic(folder / f"{_free(result.path.name, taken)}.png") as temporary:
            fig.savefig(temporary, dpi=120, format="png")
        yield result


def _free(name: str, taken: set[str]) -> str:
    """`name`, with a number behind it if it is taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    taken.add(free)
    return free


def _clock(seconds: float) -> str:
    """For example 0:00.1, 3:25 or 1:02:03."""
    if seconds < 10:
        return f"0:0{seconds:.1f}"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
