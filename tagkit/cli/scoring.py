"""Commands that score networks and apply them to music: evaluate, compare, tag."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tagkit.cli.command import Command
from tagkit.system import quiet
from tagkit.system.arguments import folder, local, positive
from tagkit.system.paths import printable

if TYPE_CHECKING:
    from tagkit.evaluation.sweep import Failed

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


COMMANDS = (
    Command("evaluate", _evaluate_arguments, evaluate, needs_tensorflow=True),
    Command("compare", _compare_arguments, compare, needs_tensorflow=True, check=_check_same_data),
)
