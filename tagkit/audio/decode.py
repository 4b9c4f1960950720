"""Audio files to mono waveforms: decode, mix down, resample."""

import re
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from tagkit.audio.formats import FFMPEG_READS, AudioError, TooLongError, find_ffmpeg, to_float, to_int16
from tagkit.audio.integrity import check_integrity
from tagkit.audio.samples import remove_offset
from tagkit.system import extras

RATES_HZ = (1_000, 768_000)
LONGEST_S = 12 * 3600
# Half a megabyte of floats stays in a core's cache from decoding to rounding, and malloc gives it again for the next
# block; an hour of audio is never in memory at its source rate.
BLOCK_VALUES = 1 << 17
MOST_SAMPLES_HELD = 30 * 60 * 16_000
# MP3 headers are not exact (MagnaTagATune's own declare 0.17 s too much); more than this is a truncated file.
TOLERATED_LOSS_S = 0.5
# Float files beyond full scale are common (hot masters); a hundred times full scale is another unit.
LOUDEST_FLOAT = 100.0
# The subtype that libsndfile hands over as int16 without loss, scale or wrap-around. MP3 would be another, but it is
# decoded to floats, which numpy rounds to the same integers in a fifth of the time.
INT16_SUBTYPE = "PCM_16"
# ffmpeg needs a second for a block; if none comes for this long, it hangs.
STALL_S = 120.0
# Raised whenever a file decodes to other samples than before; records and runs keep it. Version 1 rounded resampled
# sound differently, version 2 left constant offsets in.
DECODING = 3
AU_FLOAT_HEADER = struct.Struct(">4s5I")


@dataclass(frozen=True)
class _Source:
    """An open file: its rate, its blocks (frames, channels) and the length it declares (None where unknown)."""

    sr: int
    channels: int
    frames: int | None
    blocks: Iterator[np.ndarray]


def load(path: str | Path, sr: int) -> np.ndarray:
    """Load a file as a mono waveform: the values that records hold and models are trained on.

    Parameters
    ----------
    sr : int
        Sampling rate of the result, in Hz. Files at another rate are resampled (soxr, HQ).

    Returns
    -------
    y : array (samples,) of float32
        In [-1, 1), on the grid of 16-bit integers: ``to_float(load_int16(path, sr))``.

    Raises
    ------
    AudioError
        See `load_int16`.

    Examples
    --------
    >>> import numpy as np
    >>> from tagkit import audio
    >>> audio.save("a4.flac", 0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100), sr=44_100)
    >>> y = audio.load("a4.flac", sr=16_000)
    >>> len(y), y.dtype
    (16000, dtype('float32'))
    """
    return to_float(load_int16(path, sr))


def load_int16(path: str | Path, sr: int, longest_s: float = LONGEST_S) -> np.ndarray:
    """Load a file as a mono waveform of 16-bit integers.

    libsndfile reads the file where it can (WAV, AIFF, FLAC, Ogg, Opus, MP3, ...), else ffmpeg does (M4A, WMA, AC-3,
    the sound of a video, ...). Channels are averaged, and an offset of more than a thousandth of full scale is taken
    out (`remove_offset`). The file is read in blocks; a result of more than half an hour at 16 kHz lies in a nameless
    temporary file (below TMPDIR) that is mapped into memory.

    Parameters
    ----------
    longest_s : float
        Longer files are refused, as soon as they turn out to be longer.

    Returns
    -------
    y : array (samples,) of int16

    Raises
    ------
    TooLongError
        See `longest_s`.
    AudioError
        The file is missing, unreadable, empty, truncated, no audio, holds NaN or infinity, or has a sampling rate
        outside 1 kHz to 768 kHz.
    """
    path = Path(path)
    with _open(path) as handle, _sound_file(handle, path) as sound:
        if sound is not None:
            return _gather(_decode(path, _soundfile_source(sound, path, sr), sr, longest_s))
    with _ffmpeg_source(path) as source:
        return _gather(_decode(path, source, sr, longest_s))


def duration(path: str | Path) -> float:
    """Length of a file in seconds: from its header where libsndfile opens it, else by decoding it.

    Raises
    ------
    AudioError
        See `load_int16`.
    """
    path = Path(path)
    with _open(path) as handle, _sound_file(handle, path) as sound:
        if sound is not None:
            return sound.frames / sound.samplerate
    with _ffmpeg_source(path) as source:
        return sum(len(block) for block in source.blocks) / source.sr


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """An open binary file that holds at least one byte."""
    try:
        if not path.is_file():
            reason = "is not a file" if path.exists() else "does not exist"
            raise AudioError(f"{path} {reason}; check the path.")
        if path.stat().st_size == 0:
            raise AudioError(f"{path} is empty (0 bytes); fetch it again or leave it out.")
        handle = path.open("rb")
    except OSError as error:
        raise AudioError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    with handle:
        yield handle


@contextmanager
def _sound_file(handle: BinaryIO, path: Path) -> Iterator[soundfile.SoundFile | None]:
    """The file as libsndfile opens it, or None where it does not know the format.

    libsndfile gets a descriptor, not the name: under some names (.au, .vox, .gsm) it takes any bytes for sound.
    """
    try:
        sound = soundfile.SoundFile(handle.fileno(), closefd=False)
    except soundfile.LibsndfileError:
        yield None
        return
    with sound:
        try:
            yield sound
        except soundfile.LibsndfileError as error:
            reason = error.error_string.removeprefix("Error : ").rstrip(".")
            raise AudioError(f"{path} is damaged ({reason}); fetch it again or leave it out.") from error


def _soundfile_source(sound: soundfile.SoundFile, path: Path, sr: int) -> _Source:
    check_integrity(sound, path)
    exact = sound.channels == 1 and sound.samplerate == sr and sound.subtype == INT16_SUBTYPE
    return _Source(sound.samplerate, sound.channels, sound.frames, _soundfile_blocks(sound, exact))


def _soundfile_blocks(sound: soundfile.SoundFile, exact: bool) -> Iterator[np.ndarray]:
    dtype = "int16" if exact else "float32"
    frames = max(1, BLOCK_VALUES // sound.channels)
    while len(block := sound.read(frames, dtype=dtype, always_2d=not exact)):
        yield block


def _gather(pieces: Iterator[np.ndarray]) -> np.ndarray:
    """Join pieces, on disk if they are many, and take their offset out."""
    held, samples = [], 0
    with tempfile.TemporaryFile() as spool:
        for piece in pieces:
            held.append(piece)
            samples += len(piece)
            if samples > MOST_SAMPLES_HELD:
                spool.writelines(each.data for each in held)
                held.clear()
        if samples > MOST_SAMPLES_HELD:
            spool.flush()
            return remove_offset(np.memmap(spool, np.int16, "r+"))
    return remove_offset(held[0] if len(held) == 1 else np.concatenate(held))


def _decode(path: Path, source: _Source, sr: int, longest_s: float) -> Iterator[np.ndarray]:
    """Pieces of a source as mono int16 at `sr`, or an AudioError that says why not."""
    low, high = RATES_HZ
    if not low <= source.sr <= high:
        raise AudioError(f"{path} declares a sampling rate of {source.sr} Hz; only {low} to {high} Hz are audio.")
    resample = None if source.sr == sr else soxr.ResampleStream(source.sr, sr, 1, dtype="float32", quality="HQ")
    frames = samples = 0
    for block in source.blocks:
        frames += len(block)
        if frames > longest_s * source.sr:
            raise TooLongError(f"{path} is longer than {longest_s / 60:g} minutes; cut it into pieces.")
        piece = block if block.dtype == np.int16 else _mono_int16(path, block, resample)
        samples += len(piece)
        if len(piece):
            yield piece
    if resample is not None:
        piece = to_int16(resample.resample_chunk(np.zeros(0, np.float32), last=True))
        samples += len(piece)
        if len(piece):
            yield piece
    lost_s = ((source.frames or 0) - frames) / source.sr
    if lost_s > TOLERATED_LOSS_S:
        raise AudioError(
            f"{path} is truncated: its header declares {source.frames / source.sr:.2f} s and "
            f"{frames / source.sr:.2f} s can be decoded; fetch it again or leave it out."
        )
    if not samples:
        raise AudioError(f"{path} holds no audio ({frames} samples at {source.sr} Hz); leave it out.")


def _mono_int16(path: Path, block: np.ndarray, resample: soxr.ResampleStream | None) -> np.ndarray:
    """One block (frames, channels) of float32, averaged, resampled and rounded to int16."""
    peak = max(block.max(initial=0), -block.min(initial=0))
    if not np.isfinite(peak):
        raise AudioError(f"{path} holds NaN or infinity among its samples; export it again or leave it out.")
    if peak > LOUDEST_FLOAT:
        raise AudioError(f"{path} holds float samples up to {peak:.4g} where full scale is 1; scale it to [-1, 1].")
    # A mean over an axis as short as the channels takes numpy thirty times as long as adding them up.
    mono = block[:, 0] if block.shape[1] == 1 else sum(block.T) / block.shape[1]
    if resample is not None:
        mono = resample.resample_chunk(np.ascontiguousarray(mono))
    return to_int16(mono)


@contextmanager
def _ffmpeg_source(path: Path) -> Iterator[_Source]:
    """The first audio stream of a file as ffmpeg decodes it, block by block, at its own rate and channels.

    Not through pydub: it holds the whole of a file in memory several times over, and needs ffprobe, which
    imageio-ffmpeg's wheel lacks. Any complaint of ffmpeg counts as damage, since ffmpeg skips what it cannot
    decode and carries on.
    """
    ffmpeg = find_ffmpeg()
    if ffmpeg is None:
        raise AudioError(
            f"{path} is in no format that libsndfile opens, and ffmpeg, which opens others, is not installed; "
            f"install it or {extras.install('formats')}."
        )
    command = [ffmpeg, "-nostdin", "-v", "error", "-xerror", "-protocol_whitelist", "file,pipe"]
    command += ["-format_whitelist", FFMPEG_READS, "-i", f"file:{path}"]
    command += ["-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "pipe:1"]
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints) as process,
    ):
        try:
            head = _read_or_kill(process, AU_FLOAT_HEADER.size)
            if len(head) < AU_FLOAT_HEADER.size:
                process.wait()
                raise AudioError(f"{path} is no audio file that can be decoded{_complaint(complaints, path)}.")
            _, offset, _, _, sr, channels = AU_FLOAT_HEADER.unpack(head)
            _read_or_kill(process, offset - len(head))
            yield _Source(sr, channels, None, _ffmpeg_blocks(path, process, channels, complaints))
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


def _ffmpeg_blocks(path: Path, process: subprocess.Popen, channels: int, complaints: BinaryIO) -> Iterator[np.ndarray]:
    frame_bytes = 4 * channels
    while data := _read_or_kill(process, max(1, BLOCK_VALUES // channels) * frame_bytes):
        whole = len(data) - len(data) % frame_bytes
        yield np.frombuffer(data[:whole], dtype=">f4").astype(np.float32).reshape(-1, channels)
    said = _complaint(complaints, path)
    if process.wait() or said:
        raise AudioError(f"{path} is damaged{said}; fetch it again or leave it out.")


def _complaint(complaints: BinaryIO, path: Path) -> str:
    """The last thing that ffmpeg said, in brackets; "" when it said nothing."""
    complaints.seek(0)
    lines = [line.strip() for line in complaints.read().decode(errors="replace").splitlines() if line.strip()]
    if not lines:
        return ""
    return f" (ffmpeg: {re.sub(' @ 0x[0-9a-f]+', '', lines[-1]).replace(f'file:{path}: ', '')})"
