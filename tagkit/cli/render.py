"""Render any number of tagged clips from real scores, in MagnaTagATune's layout."""

import argparse

from tagkit.cli.batch import positive
from tagkit.system.arguments import local

NEEDS_TENSORFLOW = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit render`."""
    parser.add_argument("--root", type=local, required=True, metavar="DIR", help="where the clips go")
    parser.add_argument("--clips", type=positive, default=300, metavar="N", help="how many (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed renders the same clips (default: 0)")
    parser.add_argument("--jobs", type=positive, metavar="N", help="processes (default: one for each core)")


def run(args: argparse.Namespace) -> int:
    """Render, then say what comes next."""
    from tagkit.data import demo

    catalog = demo.render(args.root, args.clips, args.seed, args.jobs)
    print(f"{len(catalog)} clips in {args.root}. Next: tagkit prepare demo --root {args.root} --out ...")
    return 0
