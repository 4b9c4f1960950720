"""Decode a dataset into records that training reads."""

import argparse
from typing import TYPE_CHECKING

from tagkit.cli.batch import positive
from tagkit.system.arguments import folder, local

if TYPE_CHECKING:
    from tagkit.data.catalog import Catalog
    from tagkit.data.records import Records

NEEDS_TENSORFLOW = False
_SUMMARIES = {
    "demo": "the rendered dataset of `tagkit demo`",
    "magnatagatune": "MagnaTagATune: annotations_final.csv, clip_info_final.csv and mp3/",
    "fma": "FMA: fma_metadata/ and fma_small/ (or larger)",
    "msd": "Million Song: lastfm_tags.db, and audio that you have",
    "folder": "your own music: a folder and a CSV file, or one folder for each tag",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit prepare`: those of every dataset, and its own."""
    datasets = parser.add_subparsers(dest="dataset", required=True, metavar="DATASET")
    for name, summary in _SUMMARIES.items():
        command = datasets.add_parser(name, help=summary, description=summary)
        command.add_argument("--root", type=folder, required=True, metavar="DIR", help="where the dataset lies")
        command.add_argument("--out", type=folder, required=True, metavar="DIR", help="the records folder to write")
        command.add_argument("--sr", type=int, default=16_000, help="sampling rate in Hz (default: 16000)")
        command.add_argument("--jobs", type=positive, metavar="N", help="processes (default: one for each core)")
        command.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that does the work instead")
        _OPTIONS.get(name, lambda parser: None)(command)


def run(args: argparse.Namespace) -> int:
    """Prepare, then say what was prepared and what was left out."""
    from tagkit.data import prepare
    from tagkit.system import processes

    catalog = _READERS[args.dataset](args)
    with processes.on_cluster(args.scheduler):
        print(describe(prepare.prepare(catalog, args.out, args.sr, jobs=args.jobs or -1)))
    return 0


def describe(records: "Records") -> str:
    """What some records hold: counts, the quarantine, the split, the fingerprint."""
    manifest, catalog = records.manifest, records.catalog
    sizes = ", ".join(f"{part} {count}" for part, count in catalog.split_sizes().items())
    lines = [f"{manifest['clips']} clips prepared ({manifest['hours']:.2f} h), {manifest['quarantined']} quarantined"]
    lines += [f"  quarantined {row.clip_id}: {row.reason}" for row in records.quarantine.itertuples()]
    lines += [f"Records in {records.root}, fingerprint {records.fingerprint}; split {catalog.default_split}: {sizes}"]
    return "\n".join(lines)


def _magnatagatune_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--merge-synonyms", action="store_true", help="one tag for each group of synonyms")
    _seed_option(parser, "predecessor and artist")


def _fma_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--subset", choices=["small", "medium", "large", "full"], default="small")
    parser.add_argument("--tags", choices=["top_genres", "all_genres", "lastfm"], default="top_genres")
    parser.add_argument("--lastfm", type=local, metavar="FILE", help="answers collected by `tagkit lastfm`")


def _msd_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", type=local, required=True, metavar="FILE", help="lastfm_tags.db")
    parser.add_argument("--paths", type=local, metavar="FILE", help="table of track_id and path of your audio")
    parser.add_argument("--split", type=local, metavar="PATH", help="a published split: a folder or a table")
    parser.add_argument("--metadata", type=local, metavar="FILE", help="track_metadata.db: artists, titles and songs")


def _folder_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--csv", type=local, metavar="FILE", help="table of paths and tags")
    _seed_option(parser, "artist and random")


def _seed_option(parser: argparse.ArgumentParser, splits: str) -> None:
    parser.add_argument("--seed", type=int, default=0, help=f"of the splits {splits} (default: 0)")


def _read_demo(args: argparse.Namespace) -> "Catalog":
    from tagkit.data import demo

    return demo.read(args.root)


def _read_magnatagatune(args: argparse.Namespace) -> "Catalog":
    from tagkit.data import magnatagatune

    return magnatagatune.read(args.root, args.merge_synonyms, args.seed)


def _read_fma(args: argparse.Namespace) -> "Catalog":
    from tagkit.data import fma, lastfm

    if args.tags == "lastfm" and not args.lastfm:
        raise ValueError("--tags lastfm needs --lastfm FILE, the answers that `tagkit lastfm` collected.")
    labels = lastfm.labels(fma.read_tracks(args.root, args.subset), args.lastfm) if args.lastfm else None
    return fma.read(args.root, args.subset, args.tags, labels)


def _read_msd(args: argparse.Namespace) -> "Catalog":
    from tagkit.data import msd

    splits = {args.split.stem: msd.read_split(args.split)} if args.split else None
    return msd.read(args.db, args.root, args.paths, splits, metadata=args.metadata)


def _read_folder(args: argparse.Namespace) -> "Catalog":
    from tagkit.data import folder

    return folder.read(args.root, args.csv, args.seed)


_OPTIONS = {
    "magnatagatune": _magnatagatune_options,
    "fma": _fma_options,
    "msd": _msd_options,
    "folder": _folder_options,
}
_READERS = {
    "demo": _read_demo,
    "magnatagatune": _read_magnatagatune,
    "fma": _read_fma,
    "msd": _read_msd,
    "folder": _read_folder,
}
