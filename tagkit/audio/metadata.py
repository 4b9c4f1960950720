"""Tags written into music files' own metadata, by mutagen; the sound and all other fields stay as they are."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tagkit.audio.formats import AudioError
from tagkit.system import files

if TYPE_CHECKING:
    from mutagen import FileType

FIELDS = ("genre", "comment")
MARK = "tagkit: "  # what a comment of ours begins with: others stay, and ours is replaced the next time
_MP4 = {"genre": "\xa9gen", "comment": "\xa9cmt"}


@dataclass(frozen=True)
class Change:
    """What a field held and what it holds now, each a tuple of str."""

    path: Path
    field: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def write(path: str | Path, tags: Sequence[str], field: str = "genre", dry_run: bool = False) -> Change:
    """Put tags into the genre or the comment of a file: MP3, FLAC, Ogg, Opus, M4A, WAV, AIFF.

    The genre is replaced. Of comments only the one that begins with "tagkit: " is. The file is replaced as a whole,
    once the new one is complete.

    Parameters
    ----------
    path : path
    tags : sequence of str
        Without any, the file stays as it is.
    field : {"genre", "comment"}
    dry_run : bool
        Only say what would change.

    Raises
    ------
    AudioError
        The file's format has no such metadata, or the file is damaged or cannot be written.
    ValueError
        There is no such field.
    """
    path = Path(path)
    if field not in FIELDS:
        raise ValueError(f"Tags cannot be written into {field!r}; choose one of {', '.join(FIELDS)}.")
    opened = _open(path)
    before = _read(opened, field)
    after = _merged(before, tags, field) if tags else before
    if after != before and not dry_run:
        try:
            with files.atomic(path) as temporary:
                shutil.copy2(path, temporary)
                copy = _open(temporary)
                _set(copy, field, after)
                copy.save(temporary)
        except PermissionError as error:
            raise AudioError(f"{path} cannot be written ({error.strerror}); check its folder's permissions.") from error
    return Change(path, field, before, after)


def _open(path: Path) -> "FileType":
    import mutagen

    try:
        opened = mutagen.File(path)
    except (mutagen.MutagenError, OSError) as error:
        raise AudioError(f"{path} has no metadata that can be read ({error}); nothing was written.") from error
    if opened is None or not hasattr(opened, "add_tags"):
        raise AudioError(f"{path} is of a format without metadata that tagkit can write; nothing was written.")
    if opened.tags is None:
        opened.add_tags()
    return opened


def _kind(tags: object) -> str:
    from mutagen import id3, mp4

    if isinstance(tags, id3.ID3):
        return "id3"
    if isinstance(tags, mp4.MP4Tags):
        return "mp4"
    return "vorbis" if hasattr(tags, "as_dict") else "other"


def _read(opened: object, field: str) -> tuple[str, ...]:
    tags, kind = opened.tags, _kind(opened.tags)
    if kind == "id3":
        frames = tags.getall("TCON" if field == "genre" else "COMM")
        return tuple(text for frame in frames for text in (frame.genres if field == "genre" else frame.text))
    if kind == "mp4":
        return tuple(tags.get(_MP4[field], ()))
    if kind == "vorbis":
        return tuple(tags.get(field, ()))
    raise AudioError(f"{opened.filename} is of a format without metadata that tagkit can write; nothing was written.")


def _merged(before: tuple[str, ...], tags: Sequence[str], field: str) -> tuple[str, ...]:
    if field == "genre":
        return tuple(tags)
    return (*(text for text in before if not text.startswith(MARK)), MARK + ", ".join(tags))


def _set(opened: object, field: str, values: tuple[str, ...]) -> None:
    from mutagen import id3

    tags, kind = opened.tags, _kind(opened.tags)
    if kind == "mp4":
        tags[_MP4[field]] = list(values)
    elif kind == "vorbis":
        tags[field] = list(values)
    elif field == "genre":
        tags.setall("TCON", [id3.TCON(encoding=id3.Encoding.UTF8, text=list(values))])
    else:  # a frame of its own: those of others keep their language and description
        tags.delall("COMM:tagkit:eng")
        tags.add(id3.COMM(encoding=id3.Encoding.UTF8, lang="eng", desc="tagkit", text=[values[-1]]))
