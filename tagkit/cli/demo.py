"""Render a tagged dataset, train two networks on it, score them, and hear what they learned.

Everything that is already there is kept: a second call ends at once, and an interrupted one goes on.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from tagkit import files, paths
from tagkit.config import DEMO_RUNS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit demo`."""
    parser.add_argument("--clips", type=int, default=300, metavar="N", help="clips to render (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the data and of both networks (default: 0)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: runs/demo")
    parser.add_argument("--data", type=Path, metavar="DIR", help="default: data/demo")
    parser.add_argument("--smoke", action="store_true", help="train for seconds: to see that everything works")


def run(args: argparse.Namespace) -> int:
    """Run every step that is not done yet, then say what came out and where it lies."""
    from tagkit import evaluation
    from tagkit.cli import analyse
    from tagkit.cli.prepare import report
    from tagkit.records import prepare
    from tagkit.training import Run, train

    out = args.out or paths.runs_dir() / "demo"
    made = prepare(_dataset(args), paths.data_dir() / "records" / "demo" if not args.data else args.data / "records")
    report(made)

    runs: dict[str, Run] = {}
    for name, config in DEMO_RUNS.items():
        config = replace(config, seed=args.seed)
        runs[name] = train(config.smoke() if args.smoke else config, made, out / name)

    metrics = out / "metrics.json"
    if not _is_newer(metrics, *(r.root / "run.json" for r in runs.values())):
        results = {name: evaluation.evaluate(r, made).to_dict() for name, r in runs.items()}
        files.write_json(metrics, results)
    page = out / "listen.html"
    if not _is_newer(page, metrics):
        analyse.analyse([runs["dm16"]], made, out)
    _conclude(out, files.read_json(metrics))
    return 0


def _dataset(args: argparse.Namespace):
    from tagkit.datasets import demo

    root = args.data or paths.data_dir() / "demo"
    demo.render(root, args.clips, args.seed)
    return demo.read(root)


def _is_newer(path: Path, *sources: Path) -> bool:
    return path.is_file() and all(path.stat().st_mtime_ns >= s.stat().st_mtime_ns for s in sources)


def _conclude(out: Path, results: dict) -> None:
    from tagkit.evaluation import tag_table, table

    print("\n" + tag_table(results["dm16"]) + "\n")
    print(table(results))
    print(f"""
Hear it: open {out / "listen.html"} in a browser (it needs no network).
Figures: {out / "figures"}
Scores:  {out / "metrics.json"}
Next:    .venv/bin/jupyter lab notebooks   # 13_hear_feature_maps is a good first one
         .venv/bin/tagkit train --model dm8 --records {paths.data_dir() / "records" / "demo"} --out runs/dm8""")
