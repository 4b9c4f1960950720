"""What a subcommand of `tagkit` is."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes
    ----------
    name : str
    add_arguments : callable (parser)
    run : callable (arguments) -> exit code
        Its docstring is the help of the command, and the first line of it the summary.
    needs_tensorflow : bool
        TensorFlow is imported, without its notes, before `run` is called.
    check : callable (arguments), optional
        Refuses with a ValueError what can be seen to be wrong without TensorFlow, before it is imported.
    """

    name: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    needs_tensorflow: bool = False
    check: Callable[[argparse.Namespace], None] = lambda args: None
