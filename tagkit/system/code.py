"""Python files of users: run only when their user names them, and told apart by the hash of their source."""

import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

_REFERENCE = re.compile(r"(.+\.py):([A-Za-z_]\w*)", re.DOTALL)


class CodeError(ValueError):
    """A user's file or what it should hold cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Named:
    """Something that a user's file defines.

    Attributes
    ----------
    value : object
    reference : str
        Such as ``my_losses.py:smooth``.
    sha256 : str
        Of the file, 64 hex digits.
    """

    value: object
    reference: str
    sha256: str


def is_reference(text: str) -> bool:
    """Whether a text has the form ``FILE.py:NAME``."""
    return _REFERENCE.fullmatch(text) is not None


def load(reference: str) -> Named:
    """Run a file and take what it defines under a name.

    Parameters
    ----------
    reference
        ``FILE.py:NAME``. The file is run once in this process, as long as it stays the same.

    Raises
    ------
    CodeError
        There is no such file or name, or the file fails when it is run.
    """
    path, name = _REFERENCE.fullmatch(reference).groups()
    module, sha256 = run(path)
    if not hasattr(module, name):
        there = ", ".join(n for n in vars(module) if not n.startswith("_"))
        raise CodeError(f"{path} defines no {name!r}; it defines {there or 'nothing'}.")
    return Named(getattr(module, name), reference, sha256)


def callable_of(value: object) -> Callable:
    """The function itself, or an object of the class; CodeError if that cannot be called."""
    made = value() if isinstance(value, type) else value
    if not callable(made):
        raise CodeError(f"{value!r} is no function and no class of functions.")
    return made


def run(path: str | Path) -> tuple[ModuleType, str]:
    """Run a file, once for each content: its module and the sha256 of its source; CodeError if that fails."""
    path = Path(path)
    if not path.is_file():
        raise CodeError(f"{path} is not a file; name a Python file that is there.")
    return _run(path.resolve(), hashlib.sha256(path.read_bytes()).hexdigest())


@lru_cache
def _run(path: Path, sha256: str) -> tuple[ModuleType, str]:
    # A name of its own: two users' files may have the same name, and no module that is installed is replaced.
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}_{sha256[:8]}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look here
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise CodeError(f"{path} cannot be run ({type(error).__name__}: {error}); correct it.") from error
    return module, sha256
