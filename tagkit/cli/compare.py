"""Compare runs on held-out clips: scores with intervals, paired differences, cost, speed and every tag.

Seeds of one network are averaged. The reference is the best network by validation score unless you name another.
"""

import argparse

from tagkit.cli.evaluate import add_conditions
from tagkit.system.arguments import folder, local

NEEDS_TENSORFLOW = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit compare`."""
    parser.add_argument("run_folders", type=folder, nargs="+", metavar="RUN", help="folders of trainings")
    add_conditions(parser)
    parser.add_argument("--reference", metavar="NAME", help="the network to compare the others with")
    parser.add_argument("--json", type=local, metavar="FILE", help="write all scores to this file")
    parser.add_argument("--figures", type=local, metavar="DIR", help="draw the ranking and the tags in this folder")


def run(args: argparse.Namespace) -> int:
    """Score every run, print the tables and write the files asked for."""
    from tagkit.data.records import Records
    from tagkit.evaluation import compare, evaluate
    from tagkit.system import files
    from tagkit.training.runs import Run

    records = Records.open(args.records) if args.records else None
    runs = [Run.open(folder) for folder in args.run_folders]
    results = [evaluate.evaluate(run, records, args.part, args.min_positives, args.cluster_by) for run in runs]
    results = compare.told_apart(results, [str(folder) for folder in args.run_folders])
    groups = compare.group(results)
    frame = compare.table(groups, args.reference)
    print(compare.as_text(frame).to_string(), end="\n\n")
    print(compare.tag_table(groups).round(3).to_string(), end="\n\n")
    print(compare.conditions(groups))
    if args.json:
        files.write_json(args.json, [result.to_json() for result in results])
    if args.figures:
        from tagkit.analysis import figures

        for path in figures.draw_comparison(groups, args.figures):
            print(f"Figure {path}")
    return 0
