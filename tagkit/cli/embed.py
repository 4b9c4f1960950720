"""Write the embeddings of music files, from a trained network's last hidden layer, into one .npz file.

Exit codes: 0 all files were embedded, 3 some could not be (standard error names each), 2 wrong use, 1 nothing could be
embedded.
"""

import argparse

from tagkit.cli import batch
from tagkit.system.arguments import local

NEEDS_TENSORFLOW = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit embed`."""
    batch.add_arguments(parser)
    parser.add_argument("--out", type=local, required=True, metavar="FILE", help="the .npz file to write")


def run(args: argparse.Namespace) -> int:
    """Embed everything, then say what the file holds."""
    from tagkit.evaluation.embed import Embedder, Embeddings
    from tagkit.evaluation.sweep import Failed, find_files

    embedder = Embedder.open(args.run_folder)
    sources = list(find_files(args.sources))
    failed: list[Failed] = []
    done = list(batch.succeeded(embedder.each(sources, args.jobs), len(sources), "embed", failed))
    if done:
        found = Embeddings.collect(done, embedder.about())
        found.save(args.out)
        print(
            f"{args.out} holds vectors {found.vectors.shape}, one for each file (the mean of its windows), and "
            f"window_vectors {found.window_vectors.shape}."
        )
    return batch.exit_code(len(done), len(failed))
