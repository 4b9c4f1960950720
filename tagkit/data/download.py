"""Fetching files: checked by their checksums, resumed where they were cut, unpacked, from the host or a mirror."""

import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import requests
from tqdm.auto import tqdm

from tagkit.data.archive import unpack, unpack_tar
from tagkit.system import files
from tagkit.system.progress import progress_bar

GB = 1e9
# A broken connection loses less than this: an incomplete chunk is dropped.
CHUNK_BYTES = 1 << 14
TIMEOUT_S = (15, 60)  # to connect, between bytes
ATTEMPTS = 6  # in a row without a single new byte
LONGEST_WAIT_S = 60.0
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
STATE = ".download.json"


class DownloadError(ValueError):
    """A dataset cannot be fetched; the message is one sentence with the file, the reason and what to do."""


@dataclass(frozen=True)
class Download:
    """What is fetched for a dataset, or a part of one.

    Attributes
    ----------
    base_url : str
    checksums : dict of str -> str
        The checksum ("sha256:..." or "sha1:..."; empty where nobody published one) of each file. A file's name is
        relative to the base URL, and to the folder that it is fetched into.
    archive : tuple of str
        Those of the files that are the parts of one zip archive, in order, or one tar.
    unpack_into : str
        Folder for the archive's content, relative to the dataset's.
    holds : str
        The folder that is there once the archive is unpacked.
    download_gb, unpacked_gb : float
        About how many GB (1e9 bytes) are fetched and unpacked.
    """

    base_url: str
    checksums: Mapping[str, str]
    archive: tuple[str, ...] = ()
    unpack_into: str = "."
    holds: str = "."
    download_gb: float = 0.0
    unpacked_gb: float = 0.0


def fetch(
    dataset: Download,
    root: str | Path,
    base_url: str | None = None,
    progress: bool = True,
    keep_archives: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch a dataset, check it and unpack it; rerun to resume an interrupted download.

    Files that are already there are not fetched again. One with a wrong checksum is replaced once the right one has
    arrived; one without a published checksum is kept, and a line on standard error says so.

    Parameters
    ----------
    dataset : Download
        As `datasets.find` gives it.
    root : path
        The dataset's folder; created if missing.
    base_url : str, optional
        A mirror that holds the same file names.
    progress : bool
        Show progress bars.
    keep_archives : bool
        Keep the zip files after they are unpacked.
    sleep : callable
        Called with the seconds to wait between attempts.

    Returns
    -------
    Path
        `root`.

    Raises
    ------
    DownloadError, ArchiveError
        Another process fetches into `root`, the disk is too full, a file is missing on the host, the connection is
        broken for good, a checksum is wrong twice, or the archive is unsafe or damaged.
    """
    root, base = Path(root), (base_url or dataset.base_url).rstrip("/") + "/"
    root.mkdir(parents=True, exist_ok=True)
    busy = DownloadError(f"{root} is being downloaded into by another process; wait for it.")
    with files.exclusive(root / ".lock", busy), requests.Session() as session:
        files.sweep(root)
        state = _State(root / STATE)
        unpacked = state.is_unpacked(dataset) and (root / dataset.holds).is_dir()
        wanted = [name for name in dataset.checksums if not (unpacked and name in dataset.archive)]
        if not unpacked:
            _check_room(root, dataset, wanted)
        for name in wanted:
            path, checksum = root / name, dataset.checksums[name]
            if not state.is_verified(name, path, checksum):
                fetch_file(session, base + name, path, checksum, progress, sleep)
                state.note(name, state.mark(path, checksum))
        if dataset.archive and not unpacked:
            parts, folder = [root / part for part in dataset.archive], root / dataset.unpack_into
            if parts[0].suffix == ".tar":
                unpack_tar(parts[0], folder, progress)
            else:
                unpack(parts, folder, progress)
            state.note("unpacked", [*state.unpacked, dataset.archive[0]])
        for part in () if keep_archives else dataset.archive:
            (root / part).unlink(missing_ok=True)
    return root


def fetch_file(
    session: requests.Session,
    url: str,
    path: Path,
    checksum: str = "",
    progress: bool = True,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch one file; it takes its name when it is complete and its checksum is right.

    Bytes received so far are kept in `{path}.part`, and the download resumes from there where the server allows it
    (HTTP Range). A file whose checksum is wrong is fetched once more from the start. An existing file stays until
    then; without a published checksum it is kept, and a line on standard error says so.

    Parameters
    ----------
    path : Path
        Its folder is created if missing.
    checksum : str
        As for `digest`; "" where none is published: then nothing is checked.
    progress, sleep
        As for `fetch`.

    Raises
    ------
    DownloadError
        The server refuses, the connection breaks for good, the disk is too full, or the checksum is wrong twice.
    """
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():  # by hand, or by a run that ended before it could note it
        if not checksum:
            tqdm.write(f"{path} is kept: no checksum of it is published; remove it to fetch it again.", sys.stderr)
            return
        if digest(path, checksum) == checksum:
            return
    for _ in range(2):
        _fetch_part(session, url, part, progress, sleep)
        found = digest(part, checksum)
        if not checksum or found == checksum:
            part.replace(path)
            return
        part.unlink()
    raise DownloadError(
        f"{url} has the checksum {found} and should have {checksum}, twice in a row: the host has a different file, or "
        "it is damaged on the way; try again later or another mirror (base_url)."
    )


def _fetch_part(
    session: requests.Session, url: str, part: Path, progress: bool, sleep: Callable[[float], None]
) -> None:
    """Fetch until the file is complete, resuming after every broken connection."""
    failures = 0
    while True:
        before = _size(part)
        try:
            if _fetch_once(session, url, part, progress):
                return
            reason, wait = "the connection was cut", 0.0
        except _Transient as error:
            reason, wait = str(error), error.wait
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            reason, wait = _reason(error), 0.0
        except requests.RequestException as error:
            raise DownloadError(f"{url} cannot be fetched ({_reason(error)}); check the address.") from error
        failures = 0 if _size(part) > before else failures + 1
        if failures >= ATTEMPTS:
            raise DownloadError(
                f"{url} cannot be fetched ({reason}, {ATTEMPTS} times in a row); rerun the command to resume from "
                f"{_size(part)} bytes, or name a mirror (base_url)."
            )
        sleep(min(LONGEST_WAIT_S, max(wait, 2.0**failures if failures else 0.2)))


def _fetch_once(session: requests.Session, url: str, part: Path, progress: bool) -> bool:
    """Make one request and append the answer; True once the file is complete, as far as the server says."""
    start = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        start, total = _check_answer(response, url, start, part)
        if start is None:
            return True
        if total is not None:
            _check_free(part, total - start)
        with part.open("ab" if start else "wb") as sink, _bar(url, start, total, progress) as bar:
            for chunk in response.iter_content(CHUNK_BYTES):
                try:
                    sink.write(chunk)
                except OSError as error:
                    raise DownloadError(f"{part} cannot be written ({error.strerror}); make room.") from error
                bar.update(len(chunk))
    return total is None or _size(part) == total


class _Transient(Exception):  # noqa: N818  (never leaves this file)
    def __init__(self, reason: str, wait: float = 0.0):
        super().__init__(reason)
        self.wait = wait


def _check_answer(response: requests.Response, url: str, start: int, part: Path) -> tuple[int | None, int | None]:
    """Where the answer's bytes belong and how long the whole file is; (None, total) when nothing is missing."""
    status = response.status_code
    if status == 416:  # nothing after `start`: whole, or what is there is not of this file
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
        if total.isdigit() and int(total) == start:
            return None, start
        part.unlink()
        raise _Transient("the server refused to resume, so the file is fetched from the start")
    if status in TRANSIENT:
        after = response.headers.get("Retry-After", "")
        raise _Transient(f"HTTP {status} {response.reason}", float(after) if after.isdigit() else 0.0)
    if status not in (200, 206):
        raise DownloadError(
            f"{url} cannot be fetched (HTTP {status} {response.reason}); check the address or name a mirror (base_url)."
        )
    length = response.headers.get("Content-Length", "")
    if status == 200:  # the server ignores Range, or there was nothing to resume
        return 0, int(length) if length.isdigit() else None
    first, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    if first.partition("-")[0] != str(start):
        part.unlink(missing_ok=True)
        raise _Transient("the server sent another range, so the file is fetched from the start")
    return start, int(total) if total.isdigit() else None


def _reason(error: Exception) -> str:
    """The innermost cause of a requests error, in its own words."""
    while error.args and isinstance(error.args[-1], Exception):
        error = error.args[-1]
    cause = getattr(error, "reason", None) or error
    return " ".join(str(cause).partition("object at 0x")[2].partition("> ")[2].split() or str(cause).split())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def digest(path: Path, checksum: str) -> str:
    """The checksum of a file, of the kind that `checksum` is of: "sha256:...", "sha1:...", "git:...", or none ("").

    Git names a file by the sha1 of its length and content: that is how one in a repository can be checked.
    """
    kind = checksum.partition(":")[0]
    if not kind:
        return ""
    with path.open("rb") as file:
        if kind == "git":
            header = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
            return f"git:{hashlib.file_digest(file, header.copy).hexdigest()}"
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _bar(url: str, start: int, total: int | None, progress: bool) -> tqdm:
    name = url.rpartition("/")[2]
    return progress_bar(desc=name, initial=start, total=total, unit="B", unit_scale=True, disable=not progress)


def _check_room(root: Path, dataset: Download, wanted: Iterable[str]) -> None:
    """Refuse before the first byte where the disk cannot hold what is missing.

    Only the sizes of the archive and of its content are known beforehand; `_check_free` checks each file's own.
    """
    if all((root / name).exists() for name in wanted):
        return
    there = sum(_size(root / name) + _size(root / f"{name}.part") for name in wanted)
    if dataset.archive:  # a run that was interrupted has unpacked some of it
        there += sum(path.stat().st_size for path in (root / dataset.holds).rglob("*") if path.is_file())
    needed, free = (dataset.download_gb + dataset.unpacked_gb) * GB - there, shutil.disk_usage(root).free
    if needed > free:
        raise DownloadError(
            f"{root} has {free / GB:.1f} GB free and this dataset needs about {needed / GB:.1f} GB; make room or "
            "choose another folder."
        )


def _check_free(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise DownloadError(f"{part} needs {needed / GB:.2f} GB and {free / GB:.2f} GB are free; make room.")


class _State:
    """What was checked and unpacked before, so that nobody hashes 93 GB twice."""

    def __init__(self, path: Path):
        self._path = path
        content = files.read_json(path) if path.exists() else {}
        self._content = content if isinstance(content, dict) else {}

    @property
    def unpacked(self) -> list[str]:
        """The first part of each archive that was unpacked."""
        return self._content.get("unpacked", [])

    def is_unpacked(self, dataset: Download) -> bool:
        """Whether the archive of a dataset was unpacked before."""
        return any(part in self.unpacked for part in dataset.archive[:1])

    def is_verified(self, name: str, path: Path, checksum: str) -> bool:
        """Whether this very file (size and time of change) was found right before."""
        return path.exists() and self._content.get(name) == self.mark(path, checksum)

    def note(self, name: str, value: object) -> None:
        """Keep what was found of a file."""
        self._content[name] = value
        files.write_json(self._path, self._content)

    @staticmethod
    def mark(path: Path, checksum: str) -> dict:
        """What tells this version of a file from another."""
        status = path.stat()
        return {"checksum": checksum, "bytes": status.st_size, "changed": status.st_mtime_ns}
