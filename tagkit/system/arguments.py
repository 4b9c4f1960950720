"""Types of command-line arguments that name files and folders, here or in object storage."""

import argparse
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
    return RemoteFolder(text.rstrip("/")) if _URL.match(text) else Path(text)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def local(text: str) -> Path:
    """A file or folder on this machine; a URL is refused instead of taken for a path."""
    if _URL.match(text):
        raise argparse.ArgumentTypeError(f"{text} is a URL; only a file or folder on this machine will do here.")
    return Path(text)
