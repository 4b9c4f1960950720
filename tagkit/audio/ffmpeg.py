"""Files as ffmpeg reads them: M4A, WMA, AC-3, the sound of a video, and what libsndfile cannot read to its end."""

import re
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tagkit.audio.formats import FFMPEG_READS, AudioError, find_ffmpeg
from tagkit.audio.source import BLOCK_VALUES, Source
from tagkit.system import extras

# ffmpeg needs a second for a block; if none comes for this long, it hangs.
STALL_S = 120.0
AU_FLOAT_HEADER = struct.Struct(">4s5I")
# Complaints about what is not sound: covers, chapters, and the time stamps of a stream that is joined to another.
HARMLESS = re.compile(
    r"^\[[^]]*(?:mjpeg|png|bmp|gif|tiff|webp)|chapter|attached pic|APIC|cover|^\[au\b|last message repeated",
    re.IGNORECASE,
)


@contextmanager
def source(path: Path, patient: bool = False) -> Iterator[Source]:
    """The first audio stream of a file as ffmpeg decodes it, block by block, at its own rate and channels.

    Not through pydub: it holds the whole of a file in memory several times over, and needs ffprobe, which
    imageio-ffmpeg's wheel lacks.

    Parameters
    ----------
    patient : bool
        Whether complaints about single frames are passed on rather than taken for damage: for streams whose length is
        known by other means. ffmpeg skips what it cannot decode and carries on.

    Raises
    ------
    AudioError
        ffmpeg is not installed, does not know the format, or complains.
    """
    ffmpeg = find_ffmpeg()
    if ffmpeg is None:
        raise AudioError(
            f"{path} is in no format that libsndfile opens, and ffmpeg, which opens others, is not installed; "
            f"install it or {extras.install('formats')}."
        )
    command = [ffmpeg, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe"]
    command += ["-format_whitelist", FFMPEG_READS]
    command += ["-err_detect", "crccheck", "-i", f"file:{path}"]  # without it, damaged FLAC frames come out as noise
    command += ["-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    with (
        tempfile.TemporaryFile() as notes,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=notes) as process,
    ):
        try:
            head = _read_or_kill(process, AU_FLOAT_HEADER.size)
            if len(head) < AU_FLOAT_HEADER.size:
                process.wait()
                said = _bracketed(_lines(notes, path))
                raise AudioError(f"{path} is no audio file that can be decoded{said}.")
            _, offset, _, _, sr, channels = AU_FLOAT_HEADER.unpack(head)
            _read_or_kill(process, offset - len(head))
            complaints: list[str] = []
            blocks = _blocks(path, process, channels, notes, complaints, patient)
            yield Source(sr, channels, blocks, lossy=patient, complaints=complaints)
        finally:
            process.kill()


def _read_or_kill(process: subprocess.Popen, size: int) -> bytes:
    """Read `size` bytes of what ffmpeg writes; kill ffmpeg if it stalls."""
    watchdog = threading.Timer(STALL_S, process.kill)
    watchdog.start()
    try:
        return process.stdout.read(size)
    finally:
        watchdog.cancel()


def _blocks(
    path: Path, process: subprocess.Popen, channels: int, notes: BinaryIO, complaints: list[str], patient: bool
) -> Iterator[np.ndarray]:
    frame_bytes = 4 * channels
    while data := _read_or_kill(process, max(1, BLOCK_VALUES // channels) * frame_bytes):
        whole = len(data) - len(data) % frame_bytes
        yield np.frombuffer(data[:whole], dtype=">f4").astype(np.float32).reshape(-1, channels)
    failed = process.wait()
    complaints += [line for line in _lines(notes, path) if not HARMLESS.search(line)]
    if failed or (complaints and not patient):
        raise AudioError(f"{path} is damaged{_bracketed(complaints)}; fetch it again or leave it out.")


def _lines(notes: BinaryIO, path: Path) -> list[str]:
    """What ffmpeg said, without addresses and the file's name."""
    notes.seek(0)
    lines = [line.strip() for line in notes.read().decode(errors="replace").splitlines()]
    return [re.sub(" @ 0x[0-9a-f]+", "", line).replace(f"file:{path}: ", "") for line in lines if line]


def _bracketed(lines: list[str]) -> str:
    return f" (ffmpeg: {lines[-1]})" if lines else ""
