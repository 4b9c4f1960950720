"""Whether an audio file holds what its header promises; libsndfile reads what it finds and says nothing."""

import re
from pathlib import Path

import soundfile

from tagkit.audio.formats import AudioError

# A length that writers to a pipe put where they cannot know it.
UNKNOWN_BYTES = 0x7FFF_0000
# Tags that editors append to a file, outside its chunks, are shorter.
APPENDED_BYTES = 4096


def check_integrity(sound: soundfile.SoundFile, path: Path) -> None:
    """Compare what the header of an open file promises with what the file holds.

    Found are a WAV or AIFF file with less audio than its header declares, or with audio after the declared end; an
    Ogg file without a last page; an MP3 file whose number of frames does not fit its number of bytes. A cut MP3
    file with a frame count shows only when it is decoded, and one without a frame count never.

    Raises
    ------
    AudioError
        The two differ.
    """
    check = {"MP3": _mp3, "OGG": _ogg}.get(sound.format, _chunks)
    if wrong := check(sound, path):
        raise AudioError(f"{path} {wrong}; fetch it again or leave it out.")


def _chunks(sound: soundfile.SoundFile, path: Path) -> str | None:
    """libsndfile's log notes chunks that are longer than the file, and where it gave up."""
    for declared, held in re.findall(r"(?:data|SSND|FORM) : (\d+) \(should be (\d+)\)", sound.extra_info):
        if int(held) + 8 < int(declared) < UNKNOWN_BYTES:
            return f"is truncated: its header declares {declared} bytes of audio and {held} are there"
    end = re.search(r"Unknown chunk marker .* at position (\d+)\. Exiting parser", sound.extra_info)
    if end and path.stat().st_size - int(end[1]) > APPENDED_BYTES:
        return f"is damaged: its audio ends at byte {end[1]} by its header and unknown bytes follow"
    return None


def _ogg(_sound: soundfile.SoundFile, path: Path) -> str | None:
    """The last page of an Ogg stream has a flag; a page is at most 65,307 bytes."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * 65_307))
        tail = file.read()
    last = tail.rfind(b"OggS")
    page = tail[last:] if last >= 0 else b""
    complete = len(page) > 27 and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
    return None if complete and page[5] & 4 else "is truncated: its last page is missing"


def _mp3(sound: soundfile.SoundFile, path: Path) -> str | None:
    """The frame count of a constant-bitrate file ("Info"), which libsndfile stops at, against its byte count."""
    framesize = re.search(r"framesize +: (\d+)", sound.extra_info)
    with path.open("rb") as file:
        head = file.read(4096)
    tag = head.find(b"Info")
    if tag < 0 or framesize is None or len(head) < tag + 16 or head[tag + 7] & 3 != 3:
        return None
    frames, size = (int.from_bytes(head[tag + at : tag + at + 4], "big") for at in (8, 12))
    if abs(frames * int(framesize[1]) - size) > 0.02 * size + 4 * int(framesize[1]):
        return f"is damaged: its header declares {frames} frames in {size} bytes, which do not fit"
    return None
