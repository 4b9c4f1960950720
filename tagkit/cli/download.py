"""Fetch a dataset, check it, and unpack it; an interrupted download goes on where it stopped."""

import argparse

from tagkit.system import paths
from tagkit.system.arguments import local

NEEDS_TENSORFLOW = False
NAMES = ("magnatagatune", "fma_small", "fma_medium", "fma_large", "fma_full", "fma_metadata", "msd_lastfm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit download`."""
    parser.add_argument("dataset", choices=NAMES)
    parser.add_argument(
        "--root", type=local, metavar="DIR", help="default: data/raw/, and there magnatagatune, fma or msd"
    )
    parser.add_argument("--base-url", metavar="URL", help="a mirror that holds the same file names")
    parser.add_argument("--keep-archives", action="store_true", help="keep the zip files after they are unpacked")


def run(args: argparse.Namespace) -> int:
    """Download, then say where it lies and what comes next."""
    from tagkit.data import datasets, download

    family = args.dataset.partition("_")[0]
    root = args.root or paths.data_dir() / "raw" / family
    download.fetch(datasets.find(args.dataset), root, args.base_url, keep_archives=args.keep_archives)
    source = f"--db {root / 'lastfm_tags.db'} --root YOUR_AUDIO" if family == "msd" else f"--root {root}"
    print(f"{args.dataset} is in {root}. Next: tagkit prepare {family} {source} --out ...")
    return 0
