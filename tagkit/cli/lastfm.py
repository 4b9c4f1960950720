"""Collect Last.fm tags for FMA's tracks: at most 5 calls a second, kept on disk, resumed where it stopped.

The key of the API is read from the environment variable LASTFM_API_KEY and never stored.
"""

import argparse

from tagkit.system.arguments import local

NEEDS_TENSORFLOW = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit lastfm`."""
    parser.add_argument("--root", type=local, required=True, metavar="DIR", help="holds fma_metadata/")
    parser.add_argument("--subset", choices=["small", "medium", "large", "full"], default="small")
    parser.add_argument("--store", type=local, required=True, metavar="FILE", help="the answers, an SQLite file")


def run(args: argparse.Namespace) -> int:
    """Collect, then print how many tracks have tags, and whose."""
    from tagkit.data import fma, lastfm

    print(lastfm.collect(fma.read_tracks(args.root, args.subset), args.store).to_string())
    return 0
