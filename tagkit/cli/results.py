"""Write docs/results.md and its figures from the records in docs/results/, and from nothing else."""

import argparse

NEEDS_TENSORFLOW = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`tagkit results` takes none: TAGKIT_HOME says where docs/ and figures/ lie."""


def run(args: argparse.Namespace) -> int:
    """Write, and say what was written."""
    from tagkit.studies import writeup

    for path in writeup.write():
        print(path)
    return 0
