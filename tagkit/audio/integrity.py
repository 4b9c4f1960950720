"""How much sound an audio file holds by its own bytes; libsndfile reads what it expects and says nothing."""

import mmap
import re
from dataclasses import dataclass
from pathlib import Path

import soundfile

from tagkit.audio import mpeg
from tagkit.audio.formats import AudioError

# A length that writers to a pipe put where they cannot know it.
UNKNOWN_BYTES = 0x7FFF_0000
UNKNOWN_FRAMES = 1 << 60
# Tags that editors append to a file, outside its chunks, are shorter.
APPENDED_BYTES = 4096
TOLERATED_LOSS_S = 0.1
STREAMINFO = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22.{13}(.{5})", re.DOTALL)
UNKNOWN_FLAC = (1 << 36) - 1
MPEG_HEADER = re.compile(rb"\xff[\xe2-\xff].{11,34}?(?:Xing|Info)", re.DOTALL)


@dataclass(frozen=True)
class Promise:
    """What a file's own bytes say of its sound.

    Attributes
    ----------
    frames : int or None
        How many samples of each channel must come out; None where its bytes do not say.
    tolerated : int
        How many of them may be missing.
    sr : int or None
        The rate at which they are counted, in Hz; None for that of the decoder. Of joined streams with several rates
        a decoder takes one.
    whole : bool
        Whether libsndfile would read all of it. Where it would not, ffmpeg does.
    joined : bool
        Whether several streams were joined into one file.
    complaints : tuple of str
        What is wrong with it although it can be read.
    """

    frames: int | None = None
    tolerated: int = 0
    sr: int | None = None
    whole: bool = True
    joined: bool = False
    complaints: tuple[str, ...] = ()


def check_integrity(sound: soundfile.SoundFile, path: Path) -> Promise:
    """Compare what the header of an open file promises with what the file holds.

    Found are a WAV or AIFF file with less audio than its header declares, or with audio after the declared end; an
    Ogg file whose last page is cut; an MP3 file with fewer frames than it declares. A cut MP3 file without a frame
    count never shows.

    Raises
    ------
    AudioError
        The two differ.
    """
    tolerated = round(TOLERATED_LOSS_S * sound.samplerate)
    if sound.format == "MP3":
        return _mp3(sound, path, tolerated)
    if sound.format == "OGG":
        return _ogg(sound, path, tolerated)
    if sound.format == "FLAC":
        lengths = [int.from_bytes(end[1], "big") & UNKNOWN_FLAC for end in STREAMINFO.finditer(_bytes(path))]
        joined, known = len(lengths) > 1, all(lengths)
        return Promise(sum(lengths) if known else None, tolerated, whole=known and not joined, joined=joined)
    if sound.frames > UNKNOWN_FRAMES:
        return Promise(whole=False)
    if wrong := _chunks(sound, path):
        raise _unusable(path, wrong)
    return Promise(sound.frames or None, tolerated, whole=sound.frames > 0)


def _unusable(path: Path, wrong: str) -> AudioError:
    return AudioError(f"{path} {wrong}; fetch it again or leave it out.")


def _bytes(path: Path) -> mmap.mmap:
    """All bytes of a file, read as they are looked at."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _chunks(sound: soundfile.SoundFile, path: Path) -> str | None:
    """libsndfile's log notes chunks that are longer than the file, and where it gave up."""
    for declared, held in re.findall(r"(?:data|SSND|FORM) : (\d+) \(should be (\d+)\)", sound.extra_info):
        if int(held) + 8 < int(declared) < UNKNOWN_BYTES:
            return f"is truncated: its header declares {declared} bytes of audio and {held} are there"
    end = re.search(r"Unknown chunk marker .* at position (\d+)\. Exiting parser", sound.extra_info)
    if sound.frames and end and path.stat().st_size - int(end[1]) > APPENDED_BYTES:
        return f"is damaged: its audio ends at byte {end[1]} by its header and unknown bytes follow"
    return None


def refuse_joined(path: Path) -> None:
    """AudioError if a WAV, AIFF or MP4 file has another one behind its declared end: every decoder passes over it."""
    data, at = _bytes(path), 0
    if data[:4] in (b"RIFF", b"FORM"):
        at = 8 + int.from_bytes(data[4:8], "little" if data[:4] == b"RIFF" else "big")
        at += at % 2
    elif data[4:8] == b"ftyp":
        while size := _box(data, at):
            at += size
            if data[at + 4 : at + 8] == b"ftyp":
                break
    if at and data[at : at + 4] == data[:4]:
        raise AudioError(f"{path} holds a second file from byte {at} on, which no decoder reads; split it there.")


def _box(data: mmap.mmap, at: int) -> int:
    """Bytes of the MP4 box at a place; 0 where it is the last one, or none."""
    size = int.from_bytes(data[at : at + 4], "big")
    if size == 1:
        size = int.from_bytes(data[at + 8 : at + 16], "big")
    return size if 8 <= size < len(data) - at else 0


def _ogg(sound: soundfile.SoundFile, path: Path, tolerated: int) -> Promise:
    """Walk the pages: the last one must be complete, and a second beginning means that streams were joined."""
    data, at, sounding, joined = _bytes(path), 0, False, False
    while (at := data.find(b"OggS", at)) >= 0:
        head = data[at : at + 27]
        size = 27 + head[26] + sum(data[at + 27 : at + 27 + head[26]]) if len(head) == 27 else 27
        if at + size > len(data):
            raise _unusable(path, "is truncated: its last page is cut")
        joined |= bool(head[5] & 2) and sounding  # a first page
        sounding |= int.from_bytes(head[6:14], "little", signed=True) > 0
        adjoined = at + size == len(data) or data[at + size : at + size + 4] == b"OggS"
        at += size if adjoined else 4  # of a damaged page the size may be wrong, and hide a beginning
    if joined:
        return Promise(whole=False, joined=True)
    return Promise(sound.frames or None, tolerated, whole=0 < sound.frames < UNKNOWN_FRAMES)


def _mp3(sound: soundfile.SoundFile, path: Path, tolerated: int) -> Promise:
    """Count the frames: the number at which libsndfile stops is declared by the file, or guessed from its size."""
    data = _bytes(path)
    frames = mpeg.count(data)
    if frames is None:
        said = "most of it is neither MP3 frames that can be counted nor tags: sound may be missing"
        return Promise(sound.frames or None, tolerated, complaints=(said,))
    joints = 0
    if frames.seconds - sound.frames / sound.samplerate > TOLERATED_LOSS_S:  # the only use of a search that takes long
        joints = max(len(MPEG_HEADER.findall(data)) - 1, 0)
    if frames.declared_s is not None and not joints and frames.declared_s - frames.seconds > TOLERATED_LOSS_S:
        wrong = f"its header declares {frames.declared_s:.2f} s and {frames.seconds:.2f} s of MP3 frames are there"
        raise _unusable(path, f"is truncated: {wrong}")
    promised, tolerated = round(frames.seconds * frames.sr), round(TOLERATED_LOSS_S * frames.sr)
    whole = sound.frames / sound.samplerate >= (promised - frames.frame) / frames.sr
    complaints = ()
    if frames.stray_s > TOLERATED_LOSS_S:
        said = f"{frames.stray:,} bytes are neither MP3 frames nor tags: about {frames.stray_s:.1f} s may be missing"
        complaints = (said,)
    return Promise(promised, tolerated * (1 + joints), frames.sr, whole, joints > 0, complaints)
