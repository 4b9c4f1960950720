"""What audio files say of themselves: artist, album and title in ID3, Vorbis comments, MP4 atoms and the like."""

from collections.abc import Iterable
from pathlib import Path

import mutagen
import pandas as pd

from tagkit.system.progress import progress_bar

FIELDS = ("artist", "album", "title")


def read_all(root: Path, paths: Iterable[str]) -> pd.DataFrame:
    """The artist, album and title of many files.

    Parameters
    ----------
    root : Path
        What `paths` start from.
    paths : iterable of str

    Returns
    -------
    DataFrame (files,) of str
        In the order of `paths`; "" where a file is missing, cannot be read, or does not say.
    """
    shown = progress_bar(list(paths), "read the files' own tags", unit="file", delay=2)
    return pd.DataFrame([read(root / path) for path in shown], columns=FIELDS, dtype="str")


def read(path: Path) -> tuple[str, str, str]:
    """Artist (or album artist), album and title of one file, each "" where it does not say."""
    try:
        found = mutagen.File(path, easy=True) if path.is_file() else None
    except (mutagen.MutagenError, ValueError, KeyError, IndexError):  # damaged tags are no reason not to hear a file
        return ("", "", "")
    said = {} if found is None or found.tags is None else found.tags

    def first(*names: str) -> str:
        for name in names:
            value = next((said[key] for key in (name, *_OTHER_NAMES[name]) if key in said), "")
            value = getattr(value, "text", value)  # a frame of ID3
            text = " ".join(str(value[0] if isinstance(value, list) and value else value or "").split())
            if text:
                return text
        return ""

    return first("artist", "albumartist"), first("album"), first("title")


# Of WMA and of WAV and AIFF, for which mutagen has no easy names.
_OTHER_NAMES = {
    "artist": ("Author", "TPE1"),
    "albumartist": ("WM/AlbumArtist", "TPE2"),
    "album": ("WM/AlbumTitle", "TALB"),
    "title": ("Title", "TIT2"),
}
