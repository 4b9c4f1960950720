"""Unpack zip archives, whole or in parts, and tars: no member leaves the folder, and interrupted runs resume."""

import bisect
import errno
import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from tagkit.system import files
from tagkit.system.progress import progress_bar

COPY_BYTES = 1 << 20


class ArchiveError(ValueError):
    """An archive cannot be unpacked; the message names the archive and the member and says what to do."""


class JoinedFile(io.RawIOBase):
    """Several files read as one, in order, without copying them together.

    Parameters
    ----------
    paths : sequence of path
    """

    def __init__(self, paths: Sequence[Path]):
        super().__init__()
        self._files = [Path(path).open("rb") for path in paths]  # noqa: SIM115  (`close` closes them)
        sizes = [os.fstat(file.fileno()).st_size for file in self._files]
        self._ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
        self._position = 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Always true."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position counted from the start of the first file."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._ends[-1]}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, f"position {start + offset} lies before the start")  # as files do
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """The position, counted from the start of the first file."""
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill `buffer` as far as the file that holds the position goes."""
        k = bisect.bisect_right(self._ends, self._position)
        if k == len(self._files):
            return 0
        self._files[k].seek(self._position - (self._ends[k - 1] if k else 0))
        count = self._files[k].readinto(buffer)
        self._position += count
        return count

    def close(self) -> None:
        """Close all files."""
        for file in getattr(self, "_files", ()):
            file.close()
        super().close()


def unpack(parts: Sequence[str | Path], folder: str | Path, progress: bool = True) -> int:
    """Unpack a zip archive (stored, deflate, bzip2 or LZMA) into a folder.

    Every member is checked before anything is written: none may lead out of the folder or be a link. A member gets
    its name only once it is complete and its checksum is right. Members that are already there with the right size
    are skipped, so an interrupted run resumes.

    Parameters
    ----------
    parts : sequence of path
        The archive, or its parts in order.
    folder : path
        Created if missing.
    progress : bool
        Show a progress bar.

    Returns
    -------
    int
        Number of files written now.

    Raises
    ------
    ArchiveError
        The archive is damaged or unsafe, or the disk lacks room for what is still to be unpacked.
    """
    folder, name = Path(folder), str(parts[0])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with io.BufferedReader(JoinedFile(parts), COPY_BYTES) as file, zipfile.ZipFile(file) as archive:
            members = _checked_members(name, archive, folder)
            missing = [member for member in members if not _is_there(member, folder)]
            _sweep(folder, missing)
            _check_room(name, folder, sum(member.file_size for member in missing))
            for member in progress_bar(missing, f"unpack {Path(name).name}", unit="file", disable=not progress):
                _write(name, archive, member, folder)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError) and error.filename:
            raise ArchiveError(f"{name} cannot be unpacked ({error}); make room or check the permissions.") from error
        raise ArchiveError(f"{name} is damaged or no zip archive ({error}); fetch it again.") from error
    return len(missing)


def unpack_tar(path: str | Path, folder: str | Path, progress: bool = True) -> int:
    """Unpack a tar into a folder, as `unpack` does a zip archive; every member is looked at before one is written.

    Raises
    ------
    ArchiveError
        See `unpack`.
    """
    name, folder = str(path), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(path, "r:") as archive:
            members = [tarfile.data_filter(member, str(folder)) for member in archive if not member.isdir()]
            links = [member.name for member in members if not member.isreg()]
            if links:
                raise ArchiveError(f"{name} holds {links[0]!r}, which is a link or device; do not use it.")
            missing = [m for m in members if _size(folder / m.name) != m.size]
            _check_room(name, folder, sum(member.size for member in missing))
            for member in progress_bar(missing, f"unpack {Path(name).name}", unit="file", disable=not progress):
                _write_stream(name, archive.extractfile(member), member.size, folder / member.name, folder)
    except tarfile.FilterError as error:
        raise ArchiveError(
            f"{name} holds {error.tarinfo.name!r}, which leads out of its folder; do not use it."
        ) from error
    except (tarfile.TarError, EOFError) as error:
        raise ArchiveError(f"{name} is damaged or no tar ({error}); fetch it again.") from error
    except OSError as error:
        raise ArchiveError(f"{name} cannot be unpacked ({error}); make room or check the permissions.") from error
    return len(missing)


def _checked_members(name: str, archive: zipfile.ZipFile, folder: Path) -> list[zipfile.ZipInfo]:
    """The files of an archive, after refusing it if any could do harm."""
    members, seen = [], set()
    for member in archive.infolist():
        path = PurePosixPath(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        unsafe = (
            path.is_absolute() or ".." in path.parts or "\\" in member.orig_filename or "\0" in member.orig_filename
        )
        if unsafe or not path.parts or ":" in path.parts[0]:
            raise ArchiveError(f"{name} holds {member.filename!r}, which leads out of its folder; do not use it.")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveError(f"{name} holds {member.filename!r}, which is a link or device; do not use it.")
        if member.flag_bits & 1:
            raise ArchiveError(f"{name} is encrypted; unpack it by hand into {folder}.")
        if member.is_dir():
            continue
        if path in seen:
            raise ArchiveError(f"{name} holds {member.filename!r} twice; fetch it again.")
        seen.add(path)
        members.append(member)
    return members


def _sweep(folder: Path, missing: Sequence[zipfile.ZipInfo]) -> None:
    """Remove what a killed run left of these members."""
    for parent in {(folder / member.filename).parent for member in missing}:
        if parent.is_dir() and parent.resolve().is_relative_to(folder.resolve()):
            files.sweep(parent)


def _is_there(member: zipfile.ZipInfo, folder: Path) -> bool:
    return _size(folder / member.filename) == member.file_size


def _size(path: Path) -> int | None:
    """Bytes of a file; None where there is none."""
    try:
        return path.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return None


def _check_room(name: str, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ArchiveError(
            f"unpacking {name} needs {needed / 1e9:.1f} GB in {folder} and {free / 1e9:.1f} GB are free; make room."
        )


def _write(name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    try:
        _write_stream(name, archive.open(member), member.file_size, folder / member.filename, folder)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        if isinstance(error, ArchiveError):
            raise
        raise ArchiveError(f"{name}: {member.filename} is damaged ({error}); fetch the archive again.") from error


def _write_stream(name: str, stream: IO[bytes], size: int, target: Path, folder: Path) -> None:
    """Write one member of an archive, which gets its name once it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise ArchiveError(f"{name}: {target.parent} is a link that leads out of {folder}; remove the link.")
    # Not files.atomic: it waits for the disk, 25,000 times. After a power cut a file may be short, never wrong.
    temporary = target.with_name(f".{os.getpid()}.{target.name}"[:255])
    try:
        with stream as source, temporary.open("wb") as sink:
            shutil.copyfileobj(source, sink, COPY_BYTES)
        if temporary.stat().st_size != size:
            raise ArchiveError(f"{name}: {target.relative_to(folder)} ends early; fetch the archive again.")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
