"""Decode a dataset into records that training reads."""

import argparse
from pathlib import Path

NEEDS_TENSORFLOW = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit prepare`."""
    parser.add_argument("dataset", choices=["demo", "magnatagatune"])
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="where the dataset lies")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the records folder to write")
    parser.add_argument("--sr", type=int, default=16_000, help="sampling rate in Hz (default: 16000)")
    parser.add_argument("--jobs", type=int, default=-1, help="processes (default: one for each core)")


def run(args: argparse.Namespace) -> int:
    """Prepare, then say what was prepared and what was left out."""
    from tagkit import records
    from tagkit.datasets import demo, magnatagatune

    read = {"demo": demo.read, "magnatagatune": magnatagatune.read}[args.dataset]
    made = records.prepare(read(args.root), args.out, args.sr, jobs=args.jobs)
    report(made)
    return 0


def report(made) -> None:
    """Print counts, the quarantine and the fingerprint of some records."""
    manifest = made.manifest
    print(f"{manifest['clips']} clips prepared ({manifest['hours']:.2f} h), {manifest['quarantined']} quarantined.")
    for row in made.quarantine.itertuples():
        print(f"  quarantined {row.clip_id}: {row.reason}")
    sizes = made.catalog.split_sizes()
    print(
        f"Records in {made.root}, fingerprint {made.fingerprint}; split {made.catalog.default_split}: "
        + ", ".join(f"{part} {count}" for part, count in sizes.items())
    )
