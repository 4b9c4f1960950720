"""Commands that fetch, render and prepare datasets: download, render, prepare, lastfm."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from tagkit.cli.command import Command
from tagkit.system import paths
from tagkit.system.arguments import finite, folder, local, positive, ranges

if TYPE_CHECKING:
    from tagkit.data.catalog import Catalog
    from tagkit.data.records import Records

TASKS = ("multi-label", "exclusive")
DOWNLOADS = (
    "magnatagatune",
    "fma_small",
    "fma_medium",
    "fma_large",
    "fma_full",
    "fma_metadata",
    "msd_lastfm",
    "jamendo",
)
MOST_REMARKS = 10
PARTS = ("train", "valid", "test")
FMA_SUBSETS = ("small", "medium", "large", "full")


def _download_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", choices=DOWNLOADS)
    parser.add_argument(
        "--root",
        type=local,
        metavar="DIR",
        help="default: data/raw/ and the dataset's name, such as fma",
    )
    parser.add_argument("--base-url", metavar="URL", help="a mirror that holds files of the same names")
    parser.add_argument(
        "--tars", type=ranges, default=[0], metavar="N-M", help="of jamendo: 0-99, 1.6 GB each (default: 0)"
    )
    parser.add_argument("--keep-archives", action="store_true", help="keep the zip files after unpacking them")


def download(args: argparse.Namespace) -> None:
    """Fetch a dataset, check it, and unpack it; rerun the command to resume an interrupted download."""
    from tagkit.data import datasets, download, jamendo

    family = args.dataset.partition("_")[0]
    root = args.root or paths.data_dir() / "raw" / family
    download.fetch(datasets.find(args.dataset), root, args.base_url, keep_archives=args.keep_archives)
    if family == "jamendo":
        for number in args.tars:
            download.fetch(jamendo.tar(root, number), root, args.base_url, keep_archives=args.keep_archives)
    source = f"--db {root / 'lastfm_tags.db'} --root YOUR_AUDIO" if family == "msd" else f"--root {root}"
    print(f"{args.dataset} is in {root}. Next: tagkit prepare {family} {source} --out ...")


def _render_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=local, required=True, metavar="DIR", help="where to put the clips")
    parser.add_argument("--clips", type=positive, default=300, metavar="N", help="how many (default: 300)")
    for part in PARTS:
        parser.add_argument(f"--{part}", type=positive, metavar="N", help=f"so many {part} clips, in place of --clips")
    parser.add_argument(
        "--nested", type=positive, nargs="+", default=[], metavar="N", help="also splits with only N training pieces"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed renders the same clips (default: 0)")
    parser.add_argument("--stems", action="store_true", help="write each instrument alone, too, into stems/")
    parser.add_argument("--jobs", type=positive, metavar="N", help="processes (default: one per core)")


def render(args: argparse.Namespace) -> None:
    """Render any number of tagged clips from real scores, in MagnaTagATune's layout."""
    from tagkit.data import demo
    from tagkit.data.demo import voices

    sizes = {part: getattr(args, part) for part in PARTS if getattr(args, part) is not None}
    catalog = demo.render(args.root, sizes or args.clips, args.seed, args.jobs, nested=args.nested)
    if args.stems:
        voices.write_stems(args.root, args.jobs)
    print(f"{len(catalog)} clips in {args.root}. Next: tagkit prepare demo --root {args.root} --out ...")


def _prepare_arguments(parser: argparse.ArgumentParser) -> None:
    datasets = parser.add_subparsers(dest="dataset", required=True, metavar="DATASET")
    for name, (summary, add_options, read) in _DATASETS.items():
        command = datasets.add_parser(name, help=summary, description=summary)
        command.add_argument("--root", type=folder, required=True, metavar="DIR", help="where the dataset lies")
        command.add_argument("--out", type=folder, required=True, metavar="DIR", help="the records folder to write")
        command.add_argument("--sr", type=int, default=16_000, help="sampling rate in Hz (default: 16000)")
        command.add_argument("--seconds", type=finite, metavar="S", help="keep S seconds from the middle of each clip")
        command.add_argument("--jobs", type=positive, metavar="N", help="processes (default: one per core)")
        command.add_argument("--scheduler", metavar="ADDRESS", help="use the workers of this Dask cluster instead")
        command.add_argument(
            "--task",
            choices=TASKS,
            help="is a clip given any number of tags, or one of several classes? (default: exclusive if each has one)",
        )
        command.set_defaults(read=read)
        add_options(command)


def prepare(args: argparse.Namespace) -> None:
    """Decode a dataset into records that training reads."""
    from tagkit.data import prepare
    from tagkit.system import processes

    catalog = args.read(args)
    if args.task:
        catalog = replace(catalog, tasks={catalog.default_vocabulary: args.task})
    for sentence in catalog.notes:
        print(sentence)
    with processes.on_cluster(args.scheduler):
        print(describe(prepare.prepare(catalog, args.out, args.sr, jobs=args.jobs or -1, seconds=args.seconds)))


def describe(records: "Records") -> str:
    """What some records hold: counts, the quarantine, the split, the fingerprint."""
    from tagkit.data import splits

    manifest, catalog = records.manifest, records.catalog
    sizes = ", ".join(f"{part} {count}" for part, count in catalog.split_sizes().items())
    lines = [f"{manifest['clips']} clips prepared ({manifest['hours']:.2f} h), {manifest['quarantined']} quarantined"]
    lines += [f"  quarantined {row.clip_id}: {row.reason}" for row in records.quarantine.itertuples()]
    lines += splits.report(catalog)
    remarks = list(records.remarks.itertuples())
    lines += [f"  {row.clip_id} {row.remark}" for row in remarks[:MOST_REMARKS]]
    if len(remarks) > MOST_REMARKS:
        lines.append(f"  {len(remarks) - MOST_REMARKS} more remarks are in {records.root / 'remarks.csv'}")
    lines += [f"Records in {records.root}, fingerprint {records.fingerprint}; split {catalog.default_split}: {sizes}"]
    if catalog.task() == "exclusive":
        classes = f"{len(catalog.tags())} classes, {catalog.tags()[0]} to {catalog.tags()[-1]}"
        lines += [f"Every clip has one of {classes}: networks learn to choose between them, unless you give --task."]
    return "\n".join(lines)


def _demo_options(parser: argparse.ArgumentParser) -> None:
    """The demo has none of its own."""


def _read_demo(args: argparse.Namespace) -> "Catalog":
    from tagkit.data import demo

    return demo.read(args.root)


def _magnatagatune_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--merge-synonyms", action="store_true", help="merge each group of synonyms into one tag")
    parser.add_argument("--seed", type=int, default=0, help="of the splits predecessor and artist (default: 0)")


def _read_magnatagatune(args: argparse.Namespace) -> "Catalog":
    from tagkit.data import magnatagatune

    return magnatagatune.read(args.root, args.merge_synonyms, args.seed)


def _fma_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--subset", choices=FMA_SUBSETS, default="small")
    parser.add_argument("--tags", choices=["top_genres", "all_genres", "lastfm"], default="top_genres")
    parser.add_argument("--lastfm", type=local, metavar="FILE", help="answers collected by `tagkit lastfm`")


def _read_fma(args: argparse.Namespace) -> "Catalog":
    from tagkit.data import fma, lastfm

    if args.tags == "lastfm" and not args.lastfm:
        raise ValueError("--tags lastfm needs --lastfm FILE, the answers that `tagkit lastfm` collected.")
    labels = lastfm.labels(fma.read_tracks(args.root, args.subset), args.lastfm) if args.lastfm else None
    return fma.read(args.root, args.subset, args.tags, labels)


def _msd_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", type=local, required=True, metavar="FILE", help="lastfm_tags.db")
    parser.add_argument("--paths", type=local, metavar="FILE", help="table of track_id and path of your audio")
    parser.add_argument("--split", type=local, metavar="PATH", help="a published split: a folder or a table")
    parser.add_argument("--metadata", type=local, metavar="FILE", help="track_metadata.db: artists, titles and songs")


def _read_msd(args: argparse.Namespace) -> "Catalog":
    from tagkit.data import msd

    splits = {args.split.stem: msd.read_split(args.split)} if args.split else None
    return msd.read(args.db, args.root, args.paths, splits, metadata=args.metadata)


def _jamendo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tags", choices=["top50", "genre", "instrument", "moodtheme", "all"], default="top50")
    parser.add_argument("--split", type=int, choices=range(5), default=0, help="the dataset has five (default: 0)")


def _read_jamendo(args: argparse.Namespace) -> "Catalog":
    from tagkit.data import jamendo

    return jamendo.read(args.root, args.tags, args.split)


def _folder_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--csv", type=local, metavar="FILE", help="table of paths and tags")
    parser.add_argument("--seed", type=int, default=0, help="of the splits artist and random (default: 0)")


def _read_folder(args: argparse.Namespace) -> "Catalog":
    from tagkit.data import folder

    return folder.read(args.root, args.csv, args.seed)


_DATASETS = {
    "demo": ("the rendered dataset of `tagkit demo`", _demo_options, _read_demo),
    "magnatagatune": (
        "MagnaTagATune: annotations_final.csv, clip_info_final.csv and mp3/",
        _magnatagatune_options,
        _read_magnatagatune,
    ),
    "fma": ("FMA: fma_metadata/ and fma_small/ (or larger)", _fma_options, _read_fma),
    "msd": ("Million Song: lastfm_tags.db, and audio that you have", _msd_options, _read_msd),
    "jamendo": ("MTG-Jamendo: splits/ and audio-low/", _jamendo_options, _read_jamendo),
    "folder": ("your own music: a folder and a CSV file, or one folder for each tag", _folder_options, _read_folder),
}


def _lastfm_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=local, required=True, metavar="DIR", help="holds fma_metadata/")
    parser.add_argument("--subset", choices=FMA_SUBSETS, default="small")
    parser.add_argument("--store", type=local, required=True, metavar="FILE", help="the answers, an SQLite file")


def lastfm(args: argparse.Namespace) -> None:
    """Collect Last.fm tags for FMA's tracks: at most 5 calls a second, kept on disk; rerun the command to resume.

    The API key is read from the environment variable LASTFM_API_KEY and never stored.
    """
    from tagkit.data import fma, lastfm

    print(lastfm.collect(fma.read_tracks(args.root, args.subset), args.store).to_string())


COMMANDS = (
    Command("download", _download_arguments, download),
    Command("render", _render_arguments, render),
    Command("prepare", _prepare_arguments, prepare),
    Command("lastfm", _lastfm_arguments, lastfm),
)
