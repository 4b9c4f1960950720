"""Types of command-line arguments that name files and folders, here or in object storage."""

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path

_URL = re.compile(r"[a-z][a-z0-9+.-]*://")


@dataclass(frozen=True)
class RemoteFolder:
    """A folder in object storage.

    Attributes
    ----------
    url : str
        Such as ``gs://bucket/runs/dm16``, without a slash at its end.
    """

    url: str


def folder(text: str) -> Path | RemoteFolder:
    """A folder: a path, or the URL of one in object storage."""
    return RemoteFolder(text.rstrip("/")) if _URL.match(text) else _path(text)


def _path(text: str) -> Path:
    """A path; an empty name, which would stand for the working directory, is refused."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty; the working directory is called .")
    return Path(text)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def finite(text: str) -> float:
    """A number; neither NaN nor infinity."""
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is no finite number")
    return value


def ranges(text: str) -> list[int]:
    """Whole numbers as in 0-4 or 0,7,10-12."""
    numbers = []
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise argparse.ArgumentTypeError(f"{piece!r} is no number and no range such as 0-4")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def local(text: str) -> Path:
    """A file or folder on this machine; a URL is refused instead of taken for a path."""
    if _URL.match(text):
        raise argparse.ArgumentTypeError(f"{text} is a URL; only a file or folder on this machine will do here.")
    return _path(text)
