"""Folders in object storage (gs://, s3://, whatever fsspec can open), worked on through copies on the local disk.

A command reads and writes the copy, at the speed of a disk. `following` brings it up to date first, passes on what the
command has finished while it works, and the rest when it ends, however it ends. Another machine goes on from there.
"""

import argparse
import hashlib
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import filelock

from tagkit.system import extras, files, paths

EVERY_S = 30.0
# What tells one content of an object from another, in the words of the different stores.
_MARKS = ("generation", "etag", "ETag", "md5Hash", "mtime", "created", "LastModified")


class RemoteError(OSError):
    """A remote folder cannot be opened, or it and its copy were both changed."""


@dataclass(frozen=True)
class Remote:
    """A folder that `url` names.

    Attributes
    ----------
    url : str
        Such as gs://bucket/runs/dm16.
    """

    url: str

    @property
    def copy(self) -> Path:
        """The local copy, in data/remote."""
        return self._home / "folder" / PurePosixPath(self.url).name  # datasets and runs are called by their folders

    @property
    def _home(self) -> Path:
        name = re.sub(r"\W+", "-", self.url).strip("-")
        return paths.data_dir() / "remote" / f"{name}-{hashlib.sha256(self.url.encode()).hexdigest()[:8]}"

    def pull(self, progress: bool = True) -> None:
        """Make the folder and its copy alike: whatever changed on one side since they last were goes to the other.

        Raises
        ------
        RemoteError
            A file was changed on both sides, or the folder cannot be opened.
        """
        self._sync(("there", "here"), progress)

    def push(self) -> None:
        """Pass on what changed in the copy, in the order in which it was written; see `pull`."""
        self._sync(("here",), progress=False)

    def _sync(self, sides: tuple[str, ...], progress: bool) -> None:
        from tqdm.auto import tqdm  # here, so that `tagkit --help` does without it

        self.copy.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self._home / "lock"), _told(self.url):
            store = _Store(self.url)
            state = self._home / "state.json"
            agreed = files.read_json(state) if state.is_file() else {}
            here, there = self._here(), store.marks()
            if "there" in sides:  # what is missing here before a command begins is fetched again, not removed there
                agreed = {name: marks for name, marks in agreed.items() if name in here}
            changed = self._changes(here, there, agreed, store)
            todo = [(side, name) for side in sides for name in changed[side]]
            try:
                for side, name in tqdm(todo, f"copy {self.url}", unit="file", disable=not (progress and todo)):
                    local = self.copy / name
                    if side == "there":
                        store.fetch(name, local) if name in there else local.unlink()
                        agreed[name] = [_stamp(local), there.get(name)]
                    elif name in here:
                        content = _digest(local)
                        store.put(local, name)
                        agreed[name] = [here[name], content]  # its mark there is known later, or never: a cut line
                    else:
                        store.remove(name)
                if any(side == "here" for side, _ in todo):
                    there = store.marks()
                    agreed |= {name: [here.get(name), there.get(name)] for side, name in todo if side == "here"}
            finally:  # what was copied is remembered, even if the next file could not be
                files.write_json(state, {name: marks for name, marks in agreed.items() if marks != [None, None]})

    def _changes(self, here: dict, there: dict, agreed: dict, store: "_Store") -> dict[str, list[str]]:
        """Names of what changed on each side since both agreed; what changed in the same way is agreed on."""
        changed = {"here": [], "there": []}
        for name in here.keys() | there.keys() | agreed.keys():
            ours, theirs = now = [here.get(name), there.get(name)]
            was_ours, was_theirs = agreed.get(name, [None, None])
            if isinstance(was_theirs, str) and theirs and store.digest(name) == was_theirs:
                was_theirs = theirs  # what was pushed last
            if now in ([None, None], [was_ours, was_theirs]):
                agreed[name] = now
            elif ours == was_ours:
                changed["there"].append(name)
            elif theirs == was_theirs or theirs is None:  # of a file that one side removed, the other side's stays
                changed["here"].append(name)
            elif ours is None:
                changed["there"].append(name)
            elif store.digest(name) == _digest(self.copy / name):
                agreed[name] = now
            else:
                raise RemoteError(
                    f"{self.url}/{name} was changed there and in its copy {self.copy / name}; remove one of them."
                )
        # A network's weights are written before the checkpoint that counts on them; what was removed goes last.
        changed["here"].sort(key=lambda name: here[name][1] if name in here else float("inf"))
        return changed

    def _here(self) -> dict[str, list[int]]:
        found = {path.relative_to(self.copy).as_posix(): path for path in self.copy.rglob("*") if path.is_file()}
        stamps = {name: _stamp(path) for name, path in found.items() if _is_finished(name)}
        return {name: stamp for name, stamp in stamps.items() if stamp}  # not what was removed meanwhile


class _Store:
    """What fsspec opens for a URL, in the few words that are needed here; names are relative to the folder."""

    def __init__(self, url: str):
        try:
            import fsspec

            options = {"auto_mkdir": True} if url.startswith("file://") else {}
            self.system, self.root = fsspec.core.url_to_fs(url, **options)
        except (ImportError, ValueError) as error:
            raise RemoteError(f"{url} cannot be opened ({error}); {extras.install('storage')}.") from error
        self.url = url

    def marks(self) -> dict[str, list]:
        self.system.invalidate_cache()
        found = self.system.find(self.root, detail=True)
        objects = {path.removeprefix(self.root).strip("/"): info for path, info in found.items()}
        for name in objects:
            if ".." in PurePosixPath(name).parts or "\\" in name:
                raise RemoteError(f"{self.url} holds a file named {name}, which would lie outside its folder.")
        return {name: _mark(info) for name, info in objects.items() if name and _is_finished(name)}

    def fetch(self, name: str, local: Path) -> None:
        with files.atomic(local) as temporary:
            self.system.get_file(self._path(name), str(temporary))

    def put(self, local: Path, name: str) -> None:
        self.system.put_file(str(local), self._path(name))

    def remove(self, name: str) -> None:
        self.system.rm_file(self._path(name))

    def digest(self, name: str) -> str:
        with self.system.open(self._path(name), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Errors of the stores' own classes as a RemoteError that names the folder."""
    try:
        yield
    except (OSError, ValueError):
        raise
    except Exception as error:  # each store has classes of its own, which only it can name
        raise RemoteError(f"{url} could not be read or written ({type(error).__name__}: {error}).") from error


def _is_finished(name: str) -> bool:
    """Names that start with a dot are locks, and files that are being written."""
    return not re.search(r"(^|/)\.", name)


def _mark(info: dict) -> list:
    return [info["size"], *(str(info[key]) for key in _MARKS if key in info)]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> "list[int] | None":
    if not path.is_file():
        return None
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def folder(text: str) -> "Path | Remote":
    """A folder that a command is given: a path, or the URL of one in object storage."""
    return Remote(text.rstrip("/")) if _URL.match(text) else Path(text)


def local(text: str) -> Path:
    """A file or folder of this machine that a command is given; a URL is refused instead of taken for a path."""
    if _URL.match(text):
        raise argparse.ArgumentTypeError(f"{text} is a URL; only a file or folder of this machine will do here.")
    return Path(text)


_URL = re.compile(r"[a-z][a-z0-9+.-]*://")


@contextmanager
def following(remotes: Iterable[Remote]) -> Iterator[None]:
    """Bring the copies up to date; pass on what changes in them during the block, and when it ends in whatever way.

    A push that fails is tried again, with a line on standard error; the last one raises.
    """
    remotes = list(remotes)
    if not remotes:
        yield
        return
    for remote in remotes:
        remote.pull()
    stop = threading.Event()
    thread = threading.Thread(target=_push_now_and_then, args=(remotes, stop), daemon=True)
    thread.start()
    with ExitStack() as ending:
        for remote in remotes:
            ending.callback(remote.push)  # each, even if another one fails
        ending.callback(thread.join)
        ending.callback(stop.set)
        yield


def _push_now_and_then(remotes: list[Remote], stop: threading.Event) -> None:
    while not stop.wait(EVERY_S):
        for remote in remotes:
            try:
                remote.push()
            except (OSError, ValueError) as error:
                print(f"tagkit: {remote.url} could not be written ({error}); trying again.", file=sys.stderr)
