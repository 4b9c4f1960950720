"""Extras of pyproject.toml: packages that only some of tagkit needs."""


def install(name: str) -> str:
    """How to install an extra, for the end of an error's sentence.

    From the folder of tagkit and by no name: PyPI's `tagkit` is another project, which edits the EXIF data of photos.
    """
    return f"run in tagkit's folder: pip install -e '.[{name}]'"
