"""Write docs/results.md and its figures from the results in docs/results/ alone."""

import argparse

NEEDS_TENSORFLOW = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`tagkit results` takes no arguments: TAGKIT_HOME says where docs/ and figures/ are."""


def run(args: argparse.Namespace) -> int:
    """Write the page and figures, and print their paths."""
    from tagkit.studies import writeup

    for path in writeup.write():
        print(path)
    return 0
