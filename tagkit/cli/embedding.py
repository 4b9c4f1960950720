"""Commands on embeddings: embed, similar, neighbours."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tagkit.cli.command import Command
from tagkit.cli.scoring import check_sources, exit_code, file_arguments, succeeded
from tagkit.system.arguments import folder, local, positive

if TYPE_CHECKING:
    from tagkit.evaluation.embed import Embeddings


def _embed_arguments(parser: argparse.ArgumentParser) -> None:
    file_arguments(parser)
    parser.add_argument("--out", type=local, required=True, metavar="FILE", help="the .npz file to write")
    parser.add_argument(
        "--map",
        type=local,
        metavar="HTML",
        help="a page to write as well: a map of the files that plays them on a click",
    )


def embed(args: argparse.Namespace) -> int:
    """Write the embeddings of music files, from a trained network's last hidden layer, into one .npz file.

    Exit codes: 0 all files were embedded, 3 some could not be (standard error names each), 2 wrong use, 1 nothing could
    be embedded.
    """
    from tagkit.evaluation.embed import Embedder, Embeddings
    from tagkit.evaluation.sweep import Failed, find_files

    embedder = Embedder.open(args.run_folder)
    sources = list(find_files(args.sources))
    failed: list[Failed] = []
    done = list(succeeded(embedder.each(sources, args.jobs), len(sources), "embed", failed))
    if done:
        found = Embeddings.collect(done, embedder.about())
        found.save(args.out)
        print(
            f"{args.out} holds vectors {found.vectors.shape}, one for each file (the mean of its windows), and "
            f"window_vectors {found.window_vectors.shape}."
        )
        if args.map:
            _write_map(found, args.map)
    return exit_code(len(done), len(failed))


def _write_map(found: "Embeddings", path: Path) -> None:
    from tagkit.listening import embedding_map
    from tagkit.system import files

    page = embedding_map.map_page(found, path.parent, f"{len(found.paths)} files as {found.about['model']} hears them")
    with files.atomic(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(f"{path} shows them on a map; open it in a browser.")


def _similar_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", type=local, nargs="+", metavar="FILE_OR_FOLDER", help="folders are searched")
    parser.add_argument(
        "--in", dest="collection", type=local, required=True, metavar="FILE", help="from `tagkit embed`"
    )
    parser.add_argument("--run", type=folder, dest="run_folder", metavar="RUN", help="default: the collection's")
    parser.add_argument("--top", type=positive, default=5, metavar="N", help="files shown (default: 5)")
    parser.add_argument("--jobs", type=positive, metavar="N", help="files decoded at a time (default: one per core)")


def similar(args: argparse.Namespace) -> int:
    """Find the files of a collection that sound most like a file, by the embeddings of `tagkit embed`.

    Similarity is the cosine of the angle between embeddings, from -1 to 1, seen from the collection's mean. Exit codes
    are those of `tagkit embed`.
    """
    from tagkit.evaluation.embed import Embedder, Embeddings
    from tagkit.evaluation.sweep import Failed, find_files

    collection = Embeddings.load(args.collection)
    embedder = Embedder.open(args.run_folder or collection.about["run"])
    collection.check(embedder)
    sources = list(find_files(args.sources))
    failed: list[Failed] = []
    done = 0
    for found in succeeded(embedder.each(sources, args.jobs), len(sources), "similar", failed):
        done += 1
        here = Path(found.path).resolve()
        near = collection.nearest(found.vector, args.top + 1)
        near = near[[Path(path).resolve() != here for path in near["path"]]].head(args.top)
        print(f"{found.path}\n" + "\n".join(f"  {s:+.3f}  {path}" for path, s in near.itertuples(index=False)))
    return exit_code(done, len(failed))


def _neighbours_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_folder", type=folder, metavar="RUN", help="a run folder, such as runs/demo/dm16, or a published network"
    )
    parser.add_argument("--records", type=folder, metavar="DIR", help="default: those used in training")
    parser.add_argument("--part", choices=["test", "valid", "train"], default="test", help="default: test")
    parser.add_argument("--neighbours", type=positive, default=5, metavar="N", help="of each clip (default: 5)")


def neighbours(args: argparse.Namespace) -> None:
    """Measure how often the nearest clips by other artists share a tag, against shuffled labels."""
    from tagkit.data.records import Records
    from tagkit.evaluation import neighbours
    from tagkit.training import imported

    records = Records.open(args.records) if args.records else None
    found = neighbours.of_run(imported.open_run(args.run_folder), records, args.part, args.neighbours)
    print(found.tags.round(3).to_string(), end="\n\n")
    print(
        f"Of the {found.neighbours} nearest clips by others to a clip with a tag, {found.precision} have it, too "
        f"(mean over {len(found.tags)} tags, {found.clips} clips); {found.chance:.3f} by chance, p = {found.p:.3f}."
    )


COMMANDS = (
    Command("embed", _embed_arguments, embed, needs_tensorflow=True, check=check_sources),
    Command("similar", _similar_arguments, similar, needs_tensorflow=True, check=check_sources),
    Command("neighbours", _neighbours_arguments, neighbours, needs_tensorflow=True),
)
