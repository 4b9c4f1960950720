"""Write a trained network as a package that loads without tagkit: Keras, SavedModel, ONNX or LiteRT.

The package holds the network, its tags in order, a model card with its scores, and a script of ten lines that uses it.
"""

import argparse
import shlex
import sys

from tagkit.system.arguments import folder, local

NEEDS_TENSORFLOW = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `tagkit export`."""
    parser.add_argument("run_folder", type=folder, metavar="RUN", help="folder of a training, such as runs/demo/dm16")
    parser.add_argument(
        "--format", choices=["keras", "savedmodel", "onnx", "litert"], required=True, help="what the package runs on"
    )
    parser.add_argument("--records", type=folder, metavar="DIR", help="to score it on (default: the run's own)")
    parser.add_argument("--out", type=local, metavar="DIR", help="default: RUN/export/FORMAT")


def run(args: argparse.Namespace) -> int:
    """Export, and say how closely the package gives the network's scores."""
    from tagkit.data.records import Records
    from tagkit.deploy.export import export
    from tagkit.training.runs import Run

    records = Records.open(args.records) if args.records else None
    package = export(Run.open(args.run_folder), args.format, args.out, records)
    checked = package.content["checked"]
    python = shlex.join([sys.executable])  # any that has the card's packages will do; this one has them
    print(
        f"{package.root} holds the network as {args.format}. On {checked['windows']} {checked['of']}, its scores are "
        f"within {checked['largest_difference']:.1g} of Keras'. Next: cd {package.root} && {python} tag.py SONG"
    )
    return 0
