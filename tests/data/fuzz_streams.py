"""Streams whose length no header says, or says wrongly, and arrays of every type: nothing is lost in silence.

What is accepted is compared with ffmpeg's decoding of the same bytes: it may be shorter by 0.1 s at most, or says so.
"""

import struct
import subprocess
import tempfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from tagkit import audio
from tagkit.audio import formats
from tests.data.mutations import SR, FoundError, load_in_time, mutate_audio

LOST_S = 0.1
LEAST_FRAMES = 5  # of an MP3 header: fewer than the encoder's own delay is no MP3 file to libsndfile
VBR = ("-q:a", "4", "-write_xing", "0", "-id3v2_version", "0")
KINDS = ("as it is", "flip", "cut", "append", "blank", "swap", "twice")
RATES = (44_100, 16_000, 11_025)


def music(seconds, sr, rng):
    """A tone with bursts of noise, which makes encoders vary their bit rate."""
    t = np.arange(round(seconds * sr)) / sr
    noise = rng.standard_normal(len(t)) * (t % rng.uniform(0.5, 2) < rng.uniform(0.1, 0.4))
    return 0.2 * np.sin(2 * np.pi * rng.uniform(100, 2000) * t) + 0.1 * noise


def ffmpeg(*arguments):
    command = [formats.find_ffmpeg(), "-nostdin", "-y", "-v", "quiet", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).stdout


def ffmpegs_seconds(path):
    return len(ffmpeg("-i", f"file:{path}", "-map", "0:a:0", "-ac", "1", "-ar", SR, "-f", "s16le", "-")) / 2 / SR


def vbr(path, rng):
    return _encoded(path / "a.mp3", rng, *VBR)


def joined(path, rng):
    return vbr(path, rng) + _encoded(path / "b.mp3", rng, "-q:a", "6")


def chained(path, rng):
    sr = int(rng.choice(RATES))
    return _encoded(path / "a.ogg", rng, sr=sr) + _encoded(path / "b.ogg", rng, sr=sr)


def endless_ogg(path, rng):
    """The last page says nowhere that it is the last one; its checksum is right."""
    data = _encoded(path / "a.ogg", rng)
    last = data.rfind(b"OggS")
    page = bytearray(data[last:])
    page[5] &= ~4
    page[22:26] = bytes(4)
    page[22:26] = struct.pack("<I", _ogg_sum(page))
    return data[:last] + bytes(page)


def unknown_flac(path, rng):
    data = bytearray(_encoded(path / "a.flac", rng))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    return bytes(data)


def unfilled_wav(path, rng):
    data = bytearray(_saved(path / "a.wav", rng))
    sizes = ((0, 0), (36, 0), (0xFFFF_FFFF, 0), (0, len(data) - 44), (0xFFFF_FFFF, 0xFFFF_FFFF))
    data[4:8], data[40:44] = (struct.pack("<I", size) for size in sizes[int(rng.integers(len(sizes)))])
    return bytes(data)


def wrong_count(path, rng):
    """An MP3 whose header states too few frames."""
    data = bytearray(_encoded(path / "a.mp3", rng, "-q:a", "4"))
    at = max(data.find(b"Info"), data.find(b"Xing")) + 8
    data[at : at + 4] = struct.pack(">I", int(rng.integers(LEAST_FRAMES, struct.unpack(">I", data[at : at + 4])[0])))
    return bytes(data)


def bare_aac(path, rng):
    return _encoded(path / "a.aac", rng)


STREAMS = {
    "vbr.mp3": vbr,
    "joined.mp3": joined,
    "wrong count.mp3": wrong_count,
    "chained.ogg": chained,
    "endless.ogg": endless_ogg,
    "unknown.flac": unknown_flac,
    "unfilled.wav": unfilled_wav,
    "bare.aac": bare_aac,
}
# Two of these in one file are refused in words: no decoder reads on to a second WAV file, or to an Ogg stream whose
# number an earlier one but the last had.
SINGLE = ("unfilled.wav", "chained.ogg")


def _saved(path, rng, sr=None):
    sr = sr or int(rng.choice(RATES))
    audio.save(path, music(rng.uniform(1, 6), sr, rng), sr)
    return path.read_bytes()


def _encoded(path, rng, *options, sr=None):
    _saved(path.with_suffix(".source.wav"), rng, sr)
    ffmpeg("-i", path.with_suffix(".source.wav"), *options, path)
    return path.read_bytes()


def _ogg_sum(page):
    """CRC-32 with Ogg's conventions, by zlib's: the bits of each byte the other way round, without inversions."""
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in page)
    value = zlib.crc32(mirrored, 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{value:032b}"[::-1], 2)


def fuzz_streams(count, seed=0):
    """Counts of (stream, refused or accepted); a FoundError names the file's number, stream and mutation."""
    rng = np.random.default_rng(seed)
    outcomes = Counter()
    with tempfile.TemporaryDirectory() as folder_name:
        work = Path(folder_name)
        for number in range(count):
            if number % 40 == 0:  # encoding takes longer than reading
                originals = {name: make(work, rng) for name, make in STREAMS.items()}
            name, kind = str(rng.choice(list(STREAMS))), str(rng.choice(KINDS))
            data = originals[name]
            mutated = 2 * data if kind == "twice" else mutate_audio(kind, data, rng)
            path = work / f"mutated.{name.rpartition('.')[2]}"
            path.write_bytes(mutated)
            what = f"stream {number} (seed {seed}): {kind} of {name}"
            try:
                outcomes[f"{kind}, {name}", _read(path, what, healthy(name, kind))] += 1
            except Exception as error:
                said = error if isinstance(error, FoundError) else f"{what}: {error!r}"
                raise FoundError(f"{said}; the file is kept as {_kept(path, number)}") from error
    return outcomes


def healthy(name, kind):
    """Whether a file of this kind has to be read."""
    return kind == "as it is" or (kind == "twice" and name not in SINGLE)


def _read(path, what, healthy):
    try:
        found = load_in_time(path, what)
    except audio.AudioError as error:
        if healthy or "\n" in str(error) or str(path) not in str(error):
            raise FoundError(f"{what}: {error}") from error
        return "refused"
    there = ffmpegs_seconds(path)
    lost = there - len(found.y) / SR
    if lost > LOST_S and (healthy or not found.remarks):
        raise FoundError(f"{what}: {len(found.y) / SR:.2f} s were read where ffmpeg reads {there:.2f} s")
    return "accepted, with a remark" if found.remarks else "accepted"


def _kept(path, number):
    kept = Path(tempfile.gettempdir()) / f"found-{number}{path.suffix}"
    kept.write_bytes(path.read_bytes())
    return kept


# Arrays

TYPES = ("<i2", ">i2", "<f4", ">f4", "<f8", ">f8", "<f2", "<i4", ">i4", "u1", "i1", "<u2", "<i8", "?", "<c8", "O", "U4")
FAULTS = ("none", "NaN", "infinity", "scale of int16", "two channels", "no samples", "no rate", "rate 0", "rate -1")


def fuzz_arrays(count, seed=0):
    """Counts of (type, refused or accepted): right samples of known types are read as from a file, all else refused."""
    rng = np.random.default_rng(seed)
    outcomes = Counter()
    for number in range(count):
        kind, fault, sr = str(rng.choice(TYPES)), str(rng.choice(FAULTS)), int(rng.choice(RATES))
        y = music(rng.uniform(0.1, 1), sr, rng)
        given = y * 32_768 if kind[-2:] == "i2" else y
        array, rate = _spoilt(given.astype(kind), fault, sr)
        if rng.random() < 0.2:
            array = array.tolist()
        what = f"array {number} (seed {seed}): {kind}, {fault}, {type(array).__name__}"
        before = np.array(array, copy=True)
        try:
            found = audio.from_array(array, rate, SR)
        except audio.AudioError as error:
            if (fault == "none" and _is_known(array)) or "\n" in str(error):
                raise FoundError(f"{what}: {error}") from error
            outcomes[kind, "refused"] += 1
            continue
        if not _is_known(array) or not _may_pass(kind, fault):
            raise FoundError(f"{what} was accepted")
        floats = np.asarray(array, np.float64) / (32_768 if kind[-2:] == "i2" else 1)
        expected = audio.from_array(floats, sr, SR).y
        if len(found.y) != len(expected) or np.abs(found.y.astype(int) - expected).max() > 1:
            raise FoundError(f"{what} gave other samples than float64")
        if not np.array_equal(before, np.asarray(array)):
            raise FoundError(f"{what} was changed")
        outcomes[kind, "accepted"] += 1
    return outcomes


def _spoilt(array, fault, sr):
    rates = {"no rate": None, "rate 0": 0, "rate -1": -1}
    if fault in rates:
        return array, rates[fault]
    if fault in ("NaN", "infinity") and array.dtype.kind == "f":
        array[len(array) // 2] = np.nan if fault == "NaN" else np.inf
    elif fault == "scale of int16" and array.dtype.kind == "f":
        array = (array * np.array(32_768, array.dtype)).astype(array.dtype)
    elif fault == "two channels":
        array = np.stack([array, array])
    elif fault == "no samples":
        array = array[:0]
    return array, sr


def _is_known(array):
    dtype = np.asarray(array).dtype
    return dtype.kind == "f" or (dtype.kind == "i" and dtype.itemsize == 2)


def _may_pass(kind, fault):
    """Whether the values are right: what only floats can hold is put into no other type."""
    return fault == "none" or (fault in ("NaN", "infinity", "scale of int16") and np.dtype(kind).kind != "f")
