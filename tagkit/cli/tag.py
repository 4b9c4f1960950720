"""Tag music files, in any format and of any length, with a trained network.

Exit codes: 0 all files were tagged, 3 some could not be (each is named on standard error), 2 wrong use, 1 nothing
could be tagged.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tagkit.calibration import Calibration
    from tagkit.tagging import Failed, Tagged, Tagger

NEEDS_TENSORFLOW = True
NONE_TAGGED, SOME_FAILED = 1, 3
WIDEST = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit tag`."""
    parser.add_argument("sources", type=Path, nargs="+", metavar="FILE_OR_FOLDER", help="folders are searched through")
    parser.add_argument("--run", type=Path, dest="run_folder", metavar="RUN", help="default: runs/demo/dm16")
    parser.add_argument("--top", type=_positive, default=5, metavar="N", help="tags shown of each file (default: 5)")
    parser.add_argument(
        "--format",
        choices=["table", "json", "csv"],
        default="table",
        help="json and csv have the scores of all tags (default: table)",
    )
    parser.add_argument("--taggram", type=Path, metavar="DIR", help="draw each file's tags over time there")
    parser.add_argument("--jobs", type=_positive, metavar="N", help="files decoded at a time (default: cores)")


def run(args: argparse.Namespace) -> int:
    """Tag everything; results go to standard output, progress and failures to standard error."""
    from tagkit import tagging

    for output in (sys.stdout, sys.stderr):
        output.reconfigure(errors="backslashreplace")  # a file's name may be in no known encoding
    tagger = tagging.Tagger.open(args.run_folder)
    sources = list(tagging.find_files(args.sources))
    failed: list[Failed] = []
    results = _results(tagger, sources, args, failed)
    if args.format == "csv":
        tagged = _print_csv(tagger, results)
    elif args.format == "json":
        tagged = _print_json(tagger, results, failed, args.top)
    else:
        widest = max(len(str(source)) for source in sources)
        tagged = _print_table(tagger, results, args.top, min(widest, WIDEST))
    if not tagged:
        return NONE_TAGGED
    return SOME_FAILED if failed else 0


def _results(
    tagger: "Tagger", sources: "list[Path | Failed]", args: argparse.Namespace, failed: "list[Failed]"
) -> "Iterator[Tagged]":
    """Tag the sources in order; what fails is named on standard error and collected in `failed`."""
    from tqdm.auto import tqdm

    from tagkit.tagging import Failed

    pictures = _Pictures(args.taggram, args.top) if args.taggram else None
    for result in tqdm(tagger.each(sources, args.jobs), "tag", len(sources), unit="file"):
        if isinstance(result, Failed):
            failed.append(result)
            tqdm.write("tagkit tag: " + result.reason.replace("\n", "\\n"), sys.stderr)
        else:
            if pictures:
                pictures.draw(result)
            yield result


def _print_table(tagger: "Tagger", results: "Iterable[Tagged]", top: int, width: int) -> int:
    from tqdm.auto import tqdm  # its `write` keeps a terminal's progress bar below the table

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
            "share_right": float(shares[k]) if shares[k] == shares[k] else None,  # NaN: too few were scored so
        }
        for k in result.order(top)
    ]
    scores = dict(zip(result.tags, map(float, result.scores), strict=True))
    return {"path": str(result.path), "duration_s": result.duration_s, "top": shown, "scores": scores}


def _calibration(tagger: "Tagger") -> "tuple[Calibration | None, str | None]":
    """The run's calibration, or why it is not known."""
    from tagkit import calibration
    from tagkit.records import RecordsError
    from tagkit.training import TrainingError

    try:
        return calibration.of_run(tagger.run), None
    except (RecordsError, TrainingError) as error:
        return None, f"How far these scores can be trusted is not known: {error}"


class _Pictures:
    """Draws taggrams into a folder; files of the same name in different folders get a number."""

    def __init__(self, folder: Path, top: int):
        self.folder, self.top, self.taken = folder, top, set()

    def draw(self, result: "Tagged") -> None:
        from matplotlib.figure import Figure

        from tagkit import files, plots

        plots.use_style()
        order = result.order(self.top)
        labels = [f"{result.tags[k]} {result.scores[k]:.2f}".replace(" 0.", " .") for k in order]
        fig = Figure(figsize=(10, 1.4 + 0.32 * len(order)), layout="constrained")  # without pyplot: no window system
        plots.taggram(
            result.window_scores[:, order],
            result.starts_s,
            result.window_s,
            labels,
            duration_s=result.duration_s,
            title=result.path.name,
            ax=fig.subplots(),
        )
        with files.atomic(self._place(result.path.name)) as temporary:
            fig.savefig(temporary, dpi=120, format="png")

    def _place(self, name: str) -> Path:
        number, free = 1, name
        while free in self.taken:
            number += 1
            free = f"{name} ({number})"
        self.taken.add(free)
        return self.folder / f"{free}.png"


def _clock(seconds: float) -> str:
    """For example 0:00.1, 3:25 or 1:02:03."""
    if seconds < 10:
        return f"0:0{seconds:.1f}"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value
