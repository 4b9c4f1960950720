"""Where data, records, runs and figures live. One environment variable, TAGKIT_HOME, moves them all."""

import os
from pathlib import Path


def home() -> Path:
    """The folder that data/, runs/ and figures/ lie in.

    TAGKIT_HOME where it is set; else the repository that holds the working directory (a notebook runs in
    notebooks/, one level below); else the working directory itself.
    """
    if moved := os.environ.get("TAGKIT_HOME"):
        return Path(moved).expanduser().resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "tagkit" / "__init__.py").is_file():
            return folder
    return here


def data_dir() -> Path:
    """Datasets as downloaded or rendered, and the records made from them."""
    return home() / "data"


def runs_dir() -> Path:
    """One folder for each training run."""
    return home() / "runs"


def figures_dir() -> Path:
    """Pictures that the README and docs show, each written by a notebook."""
    return home() / "figures"


def results_dir() -> Path:
    """Results of studies, one file for each; the repository keeps them."""
    return home() / "docs" / "results"


def printable(text: str) -> str:
    """A text with escapes in the place of control characters and of bytes that are no text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
