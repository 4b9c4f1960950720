"""Writing files so that a final name never holds half a file."""

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

PATIENCE_S = 3.0  # for a lock
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes the final name only when the block ends without an error.

    The file is flushed to disk before it is renamed, so neither an interruption nor a power cut leaves a
    half-written file under the final name. The temporary file is removed on any error. Where the disk is full, the
    OSError names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in _FULL and error.filename != str(path):
            reason = f"{os.strerror(error.errno)}, so this could not be written; make room and run the command again"
            raise OSError(error.errno, reason, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: str | Path, name: str = "") -> None:
    """Remove what `atomic` left in a folder when its process was killed, or only what it left of the file `name`.

    Call it only where nobody else writes.
    """
    for path in Path(folder).iterdir():
        if (left := re.fullmatch(r"\.\d+\.(.*)", path.name, re.DOTALL)) and name in ("", left[1]):
            path.unlink()


@contextmanager
def exclusive(lock: str | Path, error: Exception) -> Iterator[None]:
    """Hold a lock file during the block; `error` is raised if another process holds it for more than some seconds.

    A process that only looks whether the work is done lets go of it sooner.
    """
    try:
        with filelock.FileLock(lock, timeout=PATIENCE_S):
            yield
    except filelock.Timeout as held:
        raise error from held


def write_json(path: str | Path, content: object) -> None:
    """Write `content` as indented JSON, atomically; NaN is refused because JSON has no such number."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path) -> object:
    """Read a JSON file; ValueError names the file when it is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); remove it and run the command again.") from error
