"""The command that applies a network to music files: tag."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tagkit.cli import taggrams
from tagkit.cli.command import Command
from tagkit.cli.scoring import check_sources, exit_code, file_arguments, succeeded
from tagkit.system.arguments import local, positive
from tagkit.system.paths import printable

if TYPE_CHECKING:
    from tagkit.evaluation.calibrate import Calibration
    from tagkit.evaluation.familiar import Familiar
    from tagkit.evaluation.sweep import Failed
    from tagkit.evaluation.tag import Tagged, Tagger
    from tagkit.training.runs import Run

WIDEST = 60


def _tag_arguments(parser: argparse.ArgumentParser) -> None:
    file_arguments(parser)
    parser.add_argument("--top", type=positive, metavar="N", help="tags shown (default: 5, or 1 of exclusive classes)")
    parser.add_argument(
        "--format",
        choices=["table", "json", "csv"],
        default="table",
        help="json and csv hold the scores of all tags (default: table)",
    )
    parser.add_argument("--taggram", type=local, metavar="DIR", help="draw each file's tags over time in this folder")
    parser.add_argument(
        "--merge",
        action="store_true",
        help="show words for one thing (female, woman) as one tag, with their best score",
    )
    parser.add_argument(
        "--write", choices=["genre", "comment"], help="write tags into this field of the files' own metadata"
    )
    parser.add_argument(
        "--at-least", type=float, default=0.3, metavar="SCORE", help="write tags of this score or more (default: 0.3)"
    )
    parser.add_argument("--dry-run", action="store_true", help="with --write: only say what would be written")


def tag(args: argparse.Namespace) -> int:
    """Tag music files of any format and length with a trained network.

    Exit codes: 0 all files were tagged, 3 some could not be (standard error names each), 2 wrong use, 1 nothing could
    be tagged.
    """
    if args.dry_run and not args.write:
        raise ValueError("--dry-run does nothing without --write.")
    from tagkit.evaluation.sweep import Failed, caution, find_files, find_run
    from tagkit.evaluation.tag import Tagger, synonyms

    run = find_run(args.run_folder)
    known, unknown = heard(run)
    tagger = Tagger(run, heard=known)
    if warning := caution(tagger.run):
        print(f"tagkit tag: {warning}", file=sys.stderr)
    top = args.top or (1 if tagger.run.exclusive else 5)
    sources = list(find_files(args.sources))
    failed: list[Failed] = []
    results = succeeded(tagger.each(sources, args.jobs), len(sources), "tag", failed)
    if args.merge:
        results = (result.merged() for result in results)
    if args.taggram:
        results = taggrams.drawn(results, args.taggram, top, failed)
    if args.write:
        results = _written(results, args.write, args.at_least, args.dry_run, failed)
    if args.format == "csv":
        tagged = _print_csv(list(synonyms(tagger.tags)) if args.merge else tagger.tags, results)
    elif args.format == "json":
        tagged = _print_json(tagger, results, failed, top, unknown)
    else:
        widest = max(len(str(source)) for source in sources)
        tagged = _print_table(tagger, results, top, min(widest, WIDEST), unknown)
    return exit_code(tagged, len(failed))


def heard(run: "Run") -> "tuple[Familiar | None, str | None]":
    """What a run was trained on, measured on first use, or why it is unknown."""
    from tagkit.data.records import RecordsError
    from tagkit.evaluation import familiar
    from tagkit.training.runs import TrainingError

    try:
        return familiar.of_run(run), None
    except (RecordsError, TrainingError) as error:
        return None, f"Whether a file is unlike what the network was trained on is unknown: {error}"


def _trained_on(run: "Run") -> str:
    """What a network was trained on, in words."""
    if run.imported:
        return run.imported["trained_on"]
    record = run.record
    rendered = ", rendered music" if record["dataset"] == "demo" else ""
    clips = f"{record['split_sizes']['train']} clips of " if record.get("split_sizes") else ""
    return f"{clips}{record['dataset']}{rendered} (split {record['split']})"


def _print_table(tagger: "Tagger", results: "Iterable[Tagged]", top: int, width: int, unknown: str | None) -> int:
    from tqdm.auto import tqdm  # its `write` keeps the progress bar below the table

    count = strange = 0
    for count, result in enumerate(results, start=1):
        if count == 1:
            tqdm.write(f"{'file':<{width}}  {'length':>8}  tags, by score")
        scores = "  ".join(f"{tag} {score:.2f}".replace(" 0.", " .") for tag, score in result.top(top).items())
        name = printable(str(result.path))
        name = name if len(name) <= width else "…" + name[1 - width :]
        mark = "  (unlike)" if result.unlike else ""
        strange += result.unlike
        tqdm.write(f"{name:<{width}}  {_clock(result.duration_s):>8}  {scores or '(silence)'}{mark}")
    if count:
        print(_below_the_table(tagger, count, strange, unknown))
    return count


def _below_the_table(tagger: "Tagger", count: int, strange: int, unknown: str | None) -> str:
    """Whose scores these are, what it was trained on, and how far they can be trusted."""
    kind = "Probabilities of the classes" if tagger.run.exclusive else "Scores"
    lines = [
        f"\n{kind} by {tagger.run.root}: 0 to 1, the mean over windows of {tagger.window / tagger.sr:.1f} s.",
        f"Trained on {_trained_on(tagger.run)}.",
    ]
    if tagger.heard is None:
        lines.append(unknown or "")
    elif strange:
        lines.append(
            f"{strange} of {count} files, marked (unlike), are not like that music ({tagger.heard.false_alarms:.0%} of "
            "music like it would be marked): nobody knows how often their tags are right."
        )
    if strange < count:
        calibration, reason = _calibration(tagger)
        lines.append(calibration.sentences() if calibration else str(reason))
    return "\n".join(lines)


def _print_csv(tags: Sequence[str], results: "Iterable[Tagged]") -> int:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "duration_s", *tags, "remarks"])
    count = 0
    for result in results:
        scores = [""] * len(result.tags) if result.silent else [f"{score:.6f}" for score in result.scores]
        writer.writerow([result.path, f"{result.duration_s:.3f}", *scores, "; ".join(result.remarks)])
        count += 1
    return count


def _print_json(
    tagger: "Tagger", results: "Iterable[Tagged]", failed: "list[Failed]", top: int, likeness_unknown: str | None
) -> int:
    calibration, unknown = _calibration(tagger)
    rows = [_json_row(result, calibration, top) for result in results]
    record = tagger.run.record
    content = {
        "run": str(tagger.run.root),
        "model": tagger.run.config.model,
        "trained_on": {key: record[key] for key in ("dataset", "split", "data")} | {"words": _trained_on(tagger.run)},
        "window_s": tagger.window / tagger.sr,
        "calibration": calibration.to_dict() if calibration else None,
        "calibration_unknown": unknown,
        "likeness_unknown": likeness_unknown,
        "files": rows,
        "failed": [{"path": str(f.path), "reason": f.reason} for f in failed],
    }
    readable = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    print(json.dumps(content, indent=2, ensure_ascii=not readable, allow_nan=False))
    return len(rows)


def _json_row(result: "Tagged", calibration: "Calibration | None", top: int) -> dict:
    known = calibration is not None and not result.unlike  # it holds for similar music
    shares = calibration.shares(result.scores) if known else [float("nan")] * len(result.tags)
    shown = [
        {
            "tag": result.tags[k],
            "score": float(result.scores[k]),
            "share_right": float(shares[k]) if shares[k] == shares[k] else None,  # NaN: too few had such a score
        }
        for k in (() if result.silent else result.order(top))
    ]
    scores = None if result.silent else dict(zip(result.tags, map(float, result.scores), strict=True))
    about = {"path": str(result.path), "duration_s": result.duration_s, "remarks": result.remarks}
    about |= {"likeness": result.likeness, "unlike": None if result.likeness is None else result.unlike}
    return about | {"top": shown, "scores": scores}


def _calibration(tagger: "Tagger") -> "tuple[Calibration | None, str | None]":
    """The run's calibration, or why it is unknown."""
    from tagkit.data.records import RecordsError
    from tagkit.evaluation import calibrate
    from tagkit.training.runs import TrainingError

    try:
        return calibrate.of_run(tagger.run), None
    except (RecordsError, TrainingError) as error:
        return None, f"How far these scores can be trusted is unknown: {error}"


def _written(
    results: "Iterable[Tagged]", field: str, at_least: float, dry_run: bool, failed: "list[Failed]"
) -> "Iterator[Tagged]":
    """Write each result's tags into its file before passing it on; what changes is told on standard error."""
    from tqdm.auto import tqdm

    from tagkit import audio
    from tagkit.audio import metadata
    from tagkit.evaluation.sweep import Failed

    for result in results:
        tags = [result.tags[k] for k in result.order() if result.scores[k] >= at_least]
        try:
            change = metadata.write(result.path, tags, field, dry_run)
        except audio.AudioError as error:
            failed.append(Failed(result.path, str(error)))
            tqdm.write(f"tagkit tag: {printable(str(error))}", sys.stderr)
            continue
        before, after = ("; ".join(values) or "nothing" for values in (change.before, change.after))
        verb = "would hold" if dry_run else "holds"
        tqdm.write(f"{change.path}: {field} held {before}, {verb} {after}", sys.stderr)
        yield result


def _clock(seconds: float) -> str:
    """For example 0:00.1, 3:25 or 1:02:03."""
    if seconds < 10:
        return f"0:0{seconds:.1f}"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


COMMANDS = (Command("tag", _tag_arguments, tag, needs_tensorflow=True, check=check_sources),)
