"""Files as libsndfile reads them: WAV, AIFF, CAF, FLAC, Ogg, Opus, MP3 and more."""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from tagkit.audio.formats import DoubtfulError
from tagkit.audio.source import BLOCK_VALUES, Source

# The subtype that libsndfile hands over as int16 without loss, scale or wrap-around. MP3 would be another, but it is
# decoded to floats, which numpy rounds to the same integers in a fifth of the time.
INT16_SUBTYPE = "PCM_16"
# libmpg123, within libsndfile, writes these on standard error, without the name of a file.
NOTES = re.compile(rb"^(?:\[src/libmpg123/.*\] \w+: |(?:Note|Warning|Error): )(.*\n?)", re.MULTILINE)
# Of the first frames of a file that was cut out of another: they refer to bytes that are not there.
EXPECTED = b"part2_3_length"
_standard_error = threading.Lock()


@contextmanager
def opened(handle: BinaryIO) -> Iterator[soundfile.SoundFile | None]:
    """The file as libsndfile opens it, or None where it does not know the format.

    libsndfile gets a descriptor, not the name: under some names (.au, .vox, .gsm) it takes any bytes for sound.
    """
    try:
        with tempfile.TemporaryFile() as notes, _notes_caught(notes, []):
            sound = soundfile.SoundFile(handle.fileno(), closefd=False)
    except soundfile.LibsndfileError:
        yield None
        return
    with sound:
        yield sound


def source(sound: soundfile.SoundFile, path: Path, sr: int) -> Source:
    """The samples of an open file: int16 where they are wanted as they are.

    Raises
    ------
    DoubtfulError
        While blocks are read: libsndfile stumbled.
    """
    exact = sound.channels == 1 and sound.samplerate == sr and sound.subtype == INT16_SUBTYPE
    lossy = sound.subtype not in ("FLOAT", "DOUBLE")
    said: list[str] = []
    return Source(sound.samplerate, sound.channels, _blocks(sound, path, exact, said), lossy, said)


def _blocks(sound: soundfile.SoundFile, path: Path, exact: bool, said: list[str]) -> Iterator[np.ndarray]:
    frames, dtype = max(1, BLOCK_VALUES // sound.channels), "int16" if exact else "float32"
    with tempfile.TemporaryFile() as notes:
        while True:
            if sound.tell() > sound.frames:  # soundfile would ask numpy for an array of a negative length
                raise DoubtfulError(
                    f"{path} is damaged (it holds more than it declares); fetch it again or leave it out."
                )
            try:
                with _notes_caught(notes, said) if sound.format == "MP3" else nullcontext():
                    block = sound.read(frames, dtype=dtype, always_2d=not exact)
            except soundfile.LibsndfileError as error:
                reason = error.error_string.removeprefix("Error : ").rstrip(".")
                raise DoubtfulError(f"{path} is damaged ({reason}); fetch it again or leave it out.") from error
            if not len(block):
                return
            yield block


@contextmanager
def _notes_caught(notes: BinaryIO, said: list[str]) -> Iterator[None]:
    """Collect what libmpg123 writes on standard error meanwhile; whatever else is written there goes on to it.

    One thread at a time, so that every note belongs to its file.
    """
    with _standard_error:
        if sys.stderr is not None and not sys.stderr.closed:
            sys.stderr.flush()
        try:
            stderr = os.dup(2)
        except OSError:  # closed: nobody reads it
            yield
            return
        os.dup2(notes.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            if notes.seek(0, os.SEEK_END):
                notes.seek(0)
                text = notes.read()
                notes.seek(0)
                notes.truncate()
                lines = [line for line in NOTES.findall(text) if not line.startswith(EXPECTED)]
                said += ["libmpg123: " + line.decode(errors="replace").strip() for line in lines]
                if others := NOTES.sub(b"", text):
                    os.write(stderr, others)
            os.close(stderr)
