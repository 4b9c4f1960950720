"""The command that scores anybody's predictions: score."""

import argparse

from tagkit.cli.command import Command
from tagkit.cli.scoring import enough_resamples
from tagkit.system.arguments import local, positive


def _score_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "tables",
        type=local,
        nargs="+",
        metavar="FILE",
        help=".csv or .parquet with the columns clip, part, artist (or song, or cluster), label:TAG and score:TAG",
    )
    parser.add_argument(
        "--task", choices=["multi-label", "exclusive"], help="default: exclusive classes where every clip has one tag"
    )
    parser.add_argument("--part", help="score the clips of this part (default: all, if they are of one part)")
    parser.add_argument(
        "--min-positives", type=positive, default=1, metavar="N", help="leave out rarer tags (default: 1)"
    )
    parser.add_argument("--resamples", type=enough_resamples, default=1000, help="bootstrap resamples (default: 1000)")
    parser.add_argument("--json", type=local, metavar="FILE", help="write the scores to this file, by table")


def score(args: argparse.Namespace) -> None:
    """Score predictions in tables, whoever made them: every tag and the means, with confidence intervals.

    Several tables for the same clips are compared with the first: paired differences with intervals and p-values.
    `tagkit evaluate --predictions` writes such a table; docs/predictions.md shows how to write one with scikit-learn.
    """
    from tagkit.evaluation import compare
    from tagkit.evaluation.predictions import Predictions, compared
    from tagkit.system import files

    names = [str(path) for path in args.tables]
    if len(set(names)) < len(names):
        raise ValueError("The same file is named twice; name each table once.")
    predictions = {name: Predictions.read(name, args.task).of(args.part) for name in names}
    scores = {name: p.scored(args.min_positives, args.resamples) for name, p in predictions.items()}
    frame = compared(predictions, scores)
    for name, scored in scores.items():
        print(f"{name}\n{scored.tag_table()}\n")
        if scored.classes:
            print(f"Clips of each class by what they were taken for\n{scored.classes.table().to_string()}\n")
    text = compare.scores_as_text(frame)
    print((text if len(names) > 1 else text.drop(columns=["difference", "p"])).to_string())
    first = next(iter(scores.values()))
    print(f"Macro averages over {len(first.tags)} tags, {first.clips} clips; {first.interval}.")
    if args.json:
        files.write_json(args.json, {name: scored.to_json() for name, scored in scores.items()})


COMMANDS = (Command("score", _score_arguments, score),)
