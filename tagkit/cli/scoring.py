"""Commands that score networks and apply them to music: evaluate, compare, tag."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tagkit.cli import taggrams
from tagkit.cli.command import Command
from tagkit.system import quiet
from tagkit.system.arguments import folder, local, positive
from tagkit.system.paths import printable

if TYPE_CHECKING:
    from tagkit.evaluation.calibrate import Calibration
    from tagkit.evaluation.sweep import Failed
    from tagkit.evaluation.tag import Tagged, Tagger

ALL_FAILED, SOME_FAILED = 1, 3

FEWEST_RESAMPLES = 100  # fewer may all miss a rare tag
WIDEST = 60


def file_arguments(parser: argparse.ArgumentParser) -> None:
    """The files, the run, and how many are decoded at a time."""
    parser.add_argument("sources", type=local, nargs="+", metavar="FILE_OR_FOLDER", help="folders are searched")
    parser.add_argument(
        "--run",
        type=folder,
        dest="run_folder",
        metavar="RUN",
        help="a run folder, or a published network, which is imported on first use (default: musicnn-mtat where it was "
        "imported, else runs/demo/dm16)",
    )
    parser.add_argument("--jobs", type=positive, metavar="N", help="files decoded at a time (default: one per core)")


def succeeded(results: Iterable, total: int, verb: str, failed: "list[Failed]") -> Iterator:
    """Pass on what succeeded, with a progress bar; name failures on standard error and append them to `failed`."""
    from tqdm.auto import tqdm

    from tagkit.evaluation.sweep import Failed
    from tagkit.system.progress import progress_bar

    quiet.write_any_name()
    for result in progress_bar(results, verb, total, unit="file"):
        if isinstance(result, Failed):
            failed.append(result)
            tqdm.write(f"tagkit {verb}: {printable(result.reason)}", sys.stderr)
        else:
            for remark in result.remarks:
                tqdm.write(f"tagkit {verb}: {printable(f'{result.path} {remark}')}.", sys.stderr)
            yield result


def check_sources(args: argparse.Namespace) -> None:
    """ValueError where none of the files and folders exists; one that is missing among others fails alone."""
    if not any(source.exists() for source in args.sources):
        raise ValueError("; ".join(f"{source} does not exist" for source in args.sources) + ": check the path.")


def exit_code(done: int, failed: int) -> int:
    """0, 3 or 1."""
    if not done:
        return ALL_FAILED
    return SOME_FAILED if failed else 0


def enough_resamples(text: str) -> int:
    """A number of bootstrap resamples that an interval can be made of."""
    value = int(text)
    if value < FEWEST_RESAMPLES:
        raise argparse.ArgumentTypeError(f"{value} are too few: an interval needs at least {FEWEST_RESAMPLES}")
    return value


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_folder", type=folder, metavar="RUN", help="a run folder, or the name of a published network"
    )
    add_conditions(parser)
    parser.add_argument("--resamples", type=enough_resamples, default=1000, help="bootstrap resamples (default: 1000)")
    parser.add_argument("--json", type=local, metavar="FILE", help="write the scores to this file")
    parser.add_argument("--figures", type=local, metavar="DIR", help="draw the scores of every tag in this folder")
    parser.add_argument(
        "--predictions",
        type=local,
        metavar="FILE",
        help="write labels and scores of every clip to this .csv or .parquet file; `tagkit score` reads it",
    )


def add_conditions(parser: argparse.ArgumentParser) -> None:
    """What runs are scored on."""
    parser.add_argument("--records", type=folder, metavar="DIR", help="default: those used in training")
    parser.add_argument("--part", choices=["test", "valid", "train"], default="test", help="default: test")
    parser.add_argument("--min-positives", type=int, default=1, metavar="N", help="leave out rarer tags (default: 1)")
    parser.add_argument("--cluster-by", choices=["song", "artist"], help="default: as the records say")


def evaluate(args: argparse.Namespace) -> None:
    """Score runs on held-out clips, with confidence intervals."""
    from tagkit.data.records import Records
    from tagkit.evaluation import evaluate
    from tagkit.training import imported

    opened = imported.open_run(args.run_folder)
    result = evaluate.evaluate(
        opened,
        Records.open(args.records) if args.records else None,
        args.part,
        args.min_positives,
        args.cluster_by,
        args.resamples,
        predictions=args.predictions,
    )
    if args.json:
        result.save(args.json)
    if args.figures:
        from tagkit.analysis import figures

        for path in figures.draw_result(result, args.figures):
            print(f"Figure {path}")
    print(result.tag_table(), end="\n\n")
    if result.classes:
        print(f"Clips of each class by what they were taken for\n{result.classes.table().to_string()}", end="\n\n")
    print(evaluate.table({result.label: result}))
    if result.agreement is not None:
        name = result.training.teacher["name"]
        print(f"Agreement with its teacher {name}: its scores correlate by {result.agreement:.3f} (mean over tags).")


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_folders",
        type=folder,
        nargs="+",
        metavar="RUN",
        help="run folders, published networks, or folders of `tagkit crossval`",
    )
    add_conditions(parser)
    parser.add_argument("--reference", metavar="NAME", help="the network to compare the others with")
    parser.add_argument("--json", type=local, metavar="FILE", help="write all scores to this file")
    parser.add_argument("--figures", type=local, metavar="DIR", help="draw the ranking and the tags in this folder")


def _check_same_data(args: argparse.Namespace) -> None:
    """Refuse, before anything is scored, runs whose scores would not compare."""
    from tagkit.data.records import Records
    from tagkit.studies import crossval
    from tagkit.training import imported

    if any(map(crossval.is_crossval, args.run_folders)):
        return  # they say themselves what they were scored on
    records = Records.open(args.records) if args.records else None
    runs = [imported.open_run(folder) for folder in args.run_folders]
    for run in runs:
        run.open_records(records)
    first, *others = [run for run in runs if not run.imported] or runs[:1]
    for run in others:
        for key in ("dataset", "split", "tags"):
            here, there = first.record[key], run.record[key]
            if here != there:
                raise ValueError(
                    f"{first.root} and {run.root} differ in {key} ({here}, {there}); scores of different conditions do "
                    "not compare."
                )


def compare(args: argparse.Namespace) -> None:
    """Compare runs on held-out clips: scores with intervals, paired differences, cost, speed and every tag.

    Folders of `tagkit crossval` with the same folds are compared by what they hold.

    Seeds of one network are averaged. The reference is the best network by validation score unless you name another.
    """
    from tagkit.data.records import Records
    from tagkit.evaluation import compare, evaluate
    from tagkit.studies import crossval
    from tagkit.system import files
    from tagkit.training import imported

    if any(map(crossval.is_crossval, args.run_folders)):
        _compare_crossvals(args)
        return
    records = Records.open(args.records) if args.records else None
    runs = [imported.open_run(folder) for folder in args.run_folders]
    results = [evaluate.evaluate(run, records, args.part, args.min_positives, args.cluster_by) for run in runs]
    results = compare.told_apart(results, [str(folder) for folder in args.run_folders])
    groups = compare.group(results)
    frame = compare.table(groups, args.reference)
    print(compare.as_text(frame).to_string(), compare.COLUMNS, sep="\n", end="\n\n")
    print(compare.tag_table(groups).round(3).to_string(), end="\n\n")
    print(compare.conditions(groups))
    if args.json:
        files.write_json(args.json, [result.to_json() for result in results])
    if args.figures:
        from tagkit.analysis import figures

        for path in figures.draw_comparison(groups, args.figures):
            print(f"Figure {path}")


def _compare_crossvals(args: argparse.Namespace) -> None:
    """Compare what folders of `tagkit crossval` hold."""
    from tagkit.cli.studying import show_crossval
    from tagkit.studies.crossval import CrossValidation
    from tagkit.system import files

    if args.records or args.figures or args.cluster_by or (args.part, args.min_positives) != ("test", 1):
        raise ValueError("A cross-validation has its records, part and clusters; leave those options out.")
    results = [result for folder in args.run_folders for result in CrossValidation.open(folder).results()]
    show_crossval(results, args.reference)
    if args.json:
        files.write_json(args.json, [result.to_json() for result in results])


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
    from tagkit.evaluation.sweep import Failed, caution, find_files
    from tagkit.evaluation.tag import Tagger, synonyms

    tagger = Tagger.open(args.run_folder)
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
        tagged = _print_json(tagger, results, failed, top)
    else:
        widest = max(len(str(source)) for source in sources)
        tagged = _print_table(tagger, results, top, min(widest, WIDEST))
    return exit_code(tagged, len(failed))


def _print_table(tagger: "Tagger", results: "Iterable[Tagged]", top: int, width: int) -> int:
    from tqdm.auto import tqdm  # its `write` keeps the progress bar below the table

    count = 0
    for count, result in enumerate(results, start=1):
        if count == 1:
            tqdm.write(f"{'file':<{width}}  {'length':>8}  tags, by score")
        scores = "  ".join(f"{tag} {score:.2f}".replace(" 0.", " .") for tag, score in result.top(top).items())
        name = printable(str(result.path))
        name = name if len(name) <= width else "…" + name[1 - width :]
        tqdm.write(f"{name:<{width}}  {_clock(result.duration_s):>8}  {scores or '(silence)'}")
    if count:
        calibration, unknown = _calibration(tagger)
        kind = "Probabilities of the classes" if tagger.run.exclusive else "Scores"
        print(f"\n{kind} by {tagger.run.root}: 0 to 1, the mean over windows of {tagger.window / tagger.sr:.1f} s.")
        print(calibration.sentences() if calibration else unknown)
    return count


def _print_csv(tags: Sequence[str], results: "Iterable[Tagged]") -> int:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["path", "duration_s", *tags, "remarks"])
    count = 0
    for result in results:
        scores = [""] * len(result.tags) if result.silent else [f"{score:.6f}" for score in result.scores]
        writer.writerow([result.path, f"{result.duration_s:.3f}", *scores, "; ".join(result.remarks)])
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
    readable = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    print(json.dumps(content, indent=2, ensure_ascii=not readable, allow_nan=False))
    return len(rows)


def _json_row(result: "Tagged", calibration: "Calibration | None", top: int) -> dict:
    shares = calibration.shares(result.scores) if calibration else [float("nan")] * len(result.tags)
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


COMMANDS = (
    Command("evaluate", _evaluate_arguments, evaluate, needs_tensorflow=True),
    Command("compare", _compare_arguments, compare, needs_tensorflow=True, check=_check_same_data),
    Command("tag", _tag_arguments, tag, needs_tensorflow=True, check=check_sources),
)
