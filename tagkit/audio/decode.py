"""Audio files to mono waveforms: decode, mix down, resample."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soxr

from tagkit.audio import ffmpeg, libsndfile
from tagkit.audio.formats import AudioError, DoubtfulError, TooLongError, to_float, to_int16
from tagkit.audio.integrity import Promise, check_integrity, refuse_joined
from tagkit.audio.samples import Mixdown, is_silent, remove_offset
from tagkit.audio.source import BLOCK_VALUES, Source

RATES_HZ = (1_000, 768_000)
LONGEST_S = 12 * 3600
MOST_SAMPLES_HELD = 30 * 60 * 16_000
# Float files beyond full scale are common (hot masters); a hundred times full scale is another unit.
LOUDEST_FLOAT = 100.0
# Raised whenever a file decodes to other samples than before; records and runs keep it. Version 1 rounded resampled
# sound differently, version 2 left constant offsets in and averaged surround sound.
DECODING = 3


@dataclass(frozen=True)
class Decoded:
    """A file as `read` gives it.

    Attributes
    ----------
    y : ndarray (samples,) of int16
    remarks : tuple of str
        What a listener should know of the file, each to be read after its name: "is silent: ...".
    """

    y: np.ndarray = field(repr=False)
    remarks: tuple[str, ...]


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
    return read(path, sr, longest_s).y


def read(path: str | Path, sr: int, longest_s: float = LONGEST_S) -> Decoded:
    """Load a file as `load_int16` does, with remarks on what is unusual about it.

    Raises
    ------
    AudioError
        See `load_int16`.
    """
    path = Path(path)
    found = _read(path, sr, longest_s)
    lost = found[1].lost
    if lost is None:
        return _described(*found)
    loudest, before, after = lost
    alone = _described(*_read(path, sr, longest_s, alone=loudest))
    remark = (
        f"has channels that cancel each other when they are mixed down (to {after:.0f} dBFS): channel {loudest + 1} "
        f"alone is used ({before:.0f} dBFS)"
    )
    return Decoded(alone.y, (remark, *alone.remarks))


def _described(y: np.ndarray, _: Mixdown, complaints: list[str]) -> Decoded:
    remarks = []
    if complaints:
        remarks.append(f"was decoded with {len(complaints)} complaints, such as {complaints[0]!r}")
    if is_silent(y):
        remarks.append("is silent: no sample rises above -80 dBFS")
    return Decoded(y, tuple(remarks))


def from_array(y: np.ndarray, sr: int | None, wanted_sr: int) -> Decoded:
    """Samples in memory as `read` would give them if they came from a file.

    Parameters
    ----------
    y : array (samples,) of int16, or of float in [-1, 1)
        Is not changed.
    sr : int
        Of `y`, in Hz. It has to be said: no array knows it.
    wanted_sr : int
        Of the result.

    Raises
    ------
    AudioError
        There is no rate, no sample, another type or more than one dimension; or as for a file.
    """
    y = np.asarray(y)
    y = y.astype(y.dtype.newbyteorder("="), copy=False)
    if sr is None:
        raise AudioError(f"An array does not know its sampling rate; say it (for {wanted_sr} Hz: sr={wanted_sr}).")
    if y.ndim != 1 or not len(y):
        raise AudioError(f"A sound is an array (samples,) of at least one, not one of shape {y.shape}; mix it down.")
    if y.dtype != np.int16 and y.dtype.kind != "f":
        raise AudioError(f"Samples of type {y.dtype} have no full scale that is known; give float in [-1, 1) or int16.")
    if y.dtype == np.int16 and sr == wanted_sr:
        blocks = iter([y.astype(np.int16)])
    else:
        floats = to_float(y) if y.dtype == np.int16 else y
        cuts = range(0, len(y), BLOCK_VALUES)
        blocks = (floats[k : k + BLOCK_VALUES, None].astype(np.float32) for k in cuts)
    return _described(*_decode("The array", Source(sr, 1, blocks), Promise(), wanted_sr, LONGEST_S, None))


def duration(path: str | Path) -> float:
    """Length of a file in seconds, found by decoding it: what headers say is too often wrong.

    Raises
    ------
    AudioError
        See `load_int16`.
    """
    rate = 48_000
    return len(load_int16(path, rate)) / rate


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


def _read(path: Path, sr: int, longest_s: float, alone: int | None = None) -> tuple[np.ndarray, Mixdown, list[str]]:
    """Samples, levels and complaints of the decoder: libsndfile, or ffmpeg where that stumbles."""
    stumbled = None
    with _open(path) as handle, libsndfile.opened(handle) as sound:
        promise = Promise() if sound is None else check_integrity(sound, path)
        refuse_joined(path)
        if sound is not None and promise.whole:
            try:
                return _decode(path, libsndfile.source(sound, path, sr), promise, sr, longest_s, alone)
            except DoubtfulError as error:
                stumbled = error
        patient = sound is not None and sound.format == "MP3"
    try:
        with ffmpeg.source(path, patient) as source:
            return _decode(path, source, promise, sr, longest_s, alone)
    except TooLongError:
        raise
    except AudioError as error:
        if promise.joined:
            raise AudioError(f"{path} is several streams in one file that cannot be read as one; split it.") from error
        raise stumbled or error from None


def _decode(
    path: Path | str, source: Source, promise: Promise, sr: int, longest_s: float, alone: int | None
) -> tuple[np.ndarray, Mixdown, list[str]]:
    mixdown = Mixdown(source.channels, alone)
    y = _gather(_pieces(path, source, promise, sr, longest_s, mixdown))
    return y, mixdown, [*promise.complaints, *source.complaints]


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


def _pieces(
    path: Path | str, source: Source, promise: Promise, sr: int, longest_s: float, mixdown: Mixdown
) -> Iterator[np.ndarray]:
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
        piece = block
        if block.dtype != np.int16:
            _check_values(path, block, source)
            mono = mixdown(block)
            piece = to_int16(mono if resample is None else resample.resample_chunk(np.ascontiguousarray(mono)))
        samples += len(piece)
        if len(piece):
            yield piece
    if resample is not None:
        piece = to_int16(resample.resample_chunk(np.zeros(0, np.float32), last=True))
        samples += len(piece)
        if len(piece):
            yield piece
    rate = promise.sr or source.sr
    if (promise.frames or 0) - frames * rate / source.sr > promise.tolerated:
        raise DoubtfulError(
            f"{path} is truncated: it declares {promise.frames / rate:.2f} s and {frames / source.sr:.2f} s can "
            "be decoded; fetch it again or leave it out."
        )
    if not samples:
        raise AudioError(f"{path} holds no audio ({frames} samples at {source.sr} Hz); leave it out.")


def _check_values(path: Path | str, block: np.ndarray, source: Source) -> None:
    """Refuse a block (frames, channels) with samples that are no sound."""
    peak = max(block.max(initial=0), -block.min(initial=0))
    if source.lossy and not peak <= LOUDEST_FLOAT:
        said = f" ({source.complaints[-1]})" if source.complaints else ""
        raise AudioError(
            f"{path} is damaged: it decodes to {peak:.4g} times full scale{said}; fetch it again or leave it out."
        )
    if not np.isfinite(peak):
        raise AudioError(f"{path} holds NaN or infinity among its samples; export it again or leave it out.")
    if peak > LOUDEST_FLOAT:
        raise AudioError(f"{path} holds float samples up to {peak:.4g} where full scale is 1; scale it to [-1, 1].")
