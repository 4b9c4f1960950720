"""What a subcommand of `tagkit` is."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes
    ----------
    name : str
    add_arguments : callable (parser)
    run : callable (arguments) -> exit code
        Its docstring is the help of the command, unless `about` is given; the first line is the summary.
    needs_tensorflow : bool
        TensorFlow is imported, without its notes, before `run` is called.
    about : str
    """

    name: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    needs_tensorflow: bool = False
    about: str = ""

    @classmethod
    def of(cls, module: ModuleType) -> "Command":
        """The command of a module that holds no other; the module's docstring is the help."""
        name = module.__name__.rpartition(".")[2]
        return cls(name, module.add_arguments, module.run, module.NEEDS_TENSORFLOW, module.__doc__)
