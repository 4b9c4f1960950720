"""Folders in object storage (gs://, s3://, whatever fsspec opens), used through copies on the local disk.

A command reads and writes the copy, at the speed of a disk. `following` fetches what is newer in the store before the
command starts, and sends what the command has written while it works and when it ends, however it ends. Nothing is
ever removed from the store.
"""

import hashlib
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import filelock

from tagkit.system import extras, files, paths

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

EVERY_S = 30.0
# The time of the last change, in the listings of the different stores; others are asked file by file.
_MODIFIED = ("mtime", "LastModified", "last_modified", "updated")


class StorageError(OSError):
    """A folder in object storage cannot be opened, read or written."""


class _Stamp(NamedTuple):
    """What tells two versions of a file apart: bytes, and the time of the last change in ns."""

    size: int
    modified: int

    @classmethod
    def of(cls, status: os.stat_result) -> "_Stamp":
        return cls(status.st_size, status.st_mtime_ns)

    def replaces(self, here: "_Stamp") -> bool:
        """Whether this version in the store is another one than that here, and not older."""
        return self != here and self.modified >= here.modified


class Mirror:
    """A folder in object storage and its copy on the local disk.

    A file here and its original have the same time of change while they are the same, so that the next command knows
    that without fetching or reading either.

    Attributes
    ----------
    url : str
        Such as ``gs://bucket/runs/dm16``.
    copy : path
        The copy, in data/remote; it has the folder's name, by which datasets and runs are called.
    """

    def __init__(self, url: str):
        self.url = url
        name, digest = re.sub(r"\W+", "-", url).strip("-"), hashlib.sha256(url.encode()).hexdigest()
        self.copy = paths.data_dir() / "remote" / f"{name}-{digest[:8]}" / "copy" / PurePosixPath(url).name
        self._same: dict[str, _Stamp] = {}  # files here that the store has, too

    def fetch(self, progress: bool = True) -> None:
        """Fetch the files that the copy lacks or has in an older version.

        Raises
        ------
        StorageError
            The folder cannot be opened or read.
        """
        from tagkit.system.progress import progress_bar

        with self._open() as (system, root):
            here, there = self._here(), self._there(system, root)
            wanted = [name for name, stamp in there.items() if name not in here or stamp.replaces(here[name])]
            for name in progress_bar(wanted, f"fetch {self.url}", unit="file", disable=not (progress and wanted)):
                with files.atomic(self.copy / name) as temporary:
                    system.get_file(f"{root}/{name}", str(temporary))
                    os.utime(temporary, ns=(there[name].modified,) * 2)
            self._same = {name: stamp for name, stamp in self._here().items() if stamp == there.get(name)}

    def send(self) -> None:
        """Send the files that were written here, in the order in which they were.

        Raises
        ------
        StorageError
            The folder cannot be opened or written.
        """
        here = {name: stamp for name, stamp in self._here().items() if stamp != self._same.get(name)}
        if not here:
            return
        with self._open() as (system, root):
            # A network's weights are written before the checkpoint that counts on them.
            for name in sorted(here, key=lambda name: here[name].modified):
                system.put_file(str(self.copy / name), f"{root}/{name}")
                self._same[name] = here[name]
            there = self._there(system, root)
            for name, stamp in here.items():
                if name in there and there[name].size == stamp.size:
                    self._date(name, stamp, there[name])

    def _date(self, name: str, sent: _Stamp, there: _Stamp) -> None:
        """Give a file that was sent the date of its original, unless it has been written again since."""
        with suppress(FileNotFoundError), (self.copy / name).open("rb") as file:
            if _Stamp.of(os.fstat(file.fileno())) == sent:  # through the open file, which no new one can take over
                os.utime(file.fileno(), ns=(there.modified,) * 2)
                self._same[name] = there

    def _here(self) -> dict[str, _Stamp]:
        found = {}
        for path in self.copy.rglob("*"):
            with suppress(FileNotFoundError):  # removed meanwhile
                if _is_finished(name := path.relative_to(self.copy).as_posix()) and path.is_file():
                    found[name] = _Stamp.of(path.stat())
        return found

    def _there(self, system: "AbstractFileSystem", root: str) -> dict[str, _Stamp]:
        system.invalidate_cache()
        found = {}
        for path, info in system.find(root, detail=True).items():
            name = path.removeprefix(root).strip("/")
            if ".." in PurePosixPath(name).parts or "\\" in name:
                raise StorageError(f"{self.url} holds a file named {name}, which would lie outside its folder.")
            if name and _is_finished(name):
                found[name] = _Stamp(info["size"], _modified_ns(system, path, info))
        return found

    @contextmanager
    def _open(self) -> Iterator[tuple["AbstractFileSystem", str]]:
        """The store and the folder's path in it; one process at a time, with the stores' errors as sentences."""
        try:
            import fsspec

            options = {"auto_mkdir": True} if self.url.startswith("file://") else {}
            system, root = fsspec.core.url_to_fs(self.url, **options)
        except (ImportError, ValueError) as error:
            raise StorageError(f"{self.url} cannot be opened ({error}); {extras.install('storage')}.") from error
        self.copy.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(self.copy.parent.parent / "lock"):
                yield system, root.rstrip("/")
        except (OSError, ValueError):
            raise
        except Exception as error:  # each store has classes of its own, which only it can name
            reason = f"{type(error).__name__}: {error}"
            raise StorageError(f"{self.url} could not be read or written ({reason}).") from error


def _is_finished(name: str) -> bool:
    """Names that start with a dot are locks, and files that are being written."""
    return not re.search(r"(^|/)\.", name)


def _modified_ns(system: "AbstractFileSystem", path: str, info: dict) -> int:
    """When an object was last changed, to the microsecond; from the listing where it says that."""
    when = next((info[key] for key in _MODIFIED if key in info), None) or system.modified(path)
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    seconds = when.timestamp() if isinstance(when, datetime) else when
    return round(seconds * 1e6) * 1000


@contextmanager
def following(mirrors: Iterable[Mirror]) -> Iterator[None]:
    """Bring copies up to date, and send what is written into them during the block, and when it ends in whatever way.

    Sending is tried every `EVERY_S` seconds; if it fails, a line on standard error says so. The last attempt raises.
    """
    mirrors = list(mirrors)
    if not mirrors:
        yield
        return
    for mirror in mirrors:
        mirror.fetch()
    stop = threading.Event()
    thread = threading.Thread(target=_send_now_and_then, args=(mirrors, stop), daemon=True)
    thread.start()
    with ExitStack() as ending:
        for mirror in mirrors:
            ending.callback(mirror.send)  # each, even if another one fails
        ending.callback(thread.join)
        ending.callback(stop.set)
        yield


def _send_now_and_then(mirrors: list[Mirror], stop: threading.Event) -> None:
    while not stop.wait(EVERY_S):
        for mirror in mirrors:
            try:
                mirror.send()
            except (OSError, ValueError) as error:
                print(f"tagkit: {mirror.url} could not be written ({error}); trying again.", file=sys.stderr)
