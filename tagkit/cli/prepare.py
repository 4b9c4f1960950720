"""Decode a dataset into records that training reads."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tagkit.records import Records

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
    print(describe(records.prepare(read(args.root), args.out, args.sr, jobs=args.jobs)))
    return 0


def describe(records: "Records") -> str:
    """What some records hold: counts, the quarantine, the split, the fingerprint."""
    manifest, catalog = records.manifest, records.catalog
    sizes = ", ".join(f"{part} {count}" for part, count in catalog.split_sizes().items())
    lines = [f"{manifest['clips']} clips prepared ({manifest['hours']:.2f} h), {manifest['quarantined']} quarantined"]
    lines += [f"  quarantined {row.clip_id}: {row.reason}" for row in records.quarantine.itertuples()]
    lines += [f"Records in {records.root}, fingerprint {records.fingerprint}; split {catalog.default_split}: {sizes}"]
    return "\n".join(lines)
