"""MPEG audio counted frame by frame: the length of an MP3 file, which no decoder tells before it has decoded it."""

import re
from dataclasses import dataclass

# What may lie between frames and after them; there is no sound in it.
TAG = re.compile(rb"ID3|TAG|APETAGEX|LYRICSBEGIN")
RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
# kbit/s by (MPEG 1 or later, layer), from index 1.
BITRATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@dataclass(frozen=True)
class Frames:
    """What the frames of an MP3 file add up to.

    Attributes
    ----------
    sr : int
        Of the first frame, in Hz.
    frame : int
        Samples in the first frame.
    seconds : float
        Of sound, without the silence that the encoder says it put before and after.
    declared_s : float or None
        What the first frame's Xing or Info header declares; None where there is none.
    stray : int
        Bytes that are neither frames nor tags, nor zeros before the first frame.
    stray_s : float
        How much sound so many bytes of frames hold.
    """

    sr: int
    frame: int
    seconds: float
    declared_s: float | None
    stray: int
    stray_s: float


def _layout(second: int, third: int) -> tuple[int, int, int] | None:
    """Bytes, samples and rate of a frame from the second and third byte of its header; None if it is no header."""
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    rate, bitrate = third >> 2 & 3, third >> 4
    if second < 0xE0 or version == 1 or layer == 4 or rate == 3 or bitrate in (0, 15):
        return None
    sr = RATES_HZ[version][rate]
    bits = 1000 * BITRATES[version == 3, layer][bitrate - 1]
    padding = third >> 1 & 1
    if layer == 1:
        return 4 * (12 * bits // sr + padding), 384, sr
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * bits // sr + padding, samples, sr


LAYOUTS = [_layout(key >> 8, key & 255) for key in range(1 << 16)]


def count(data: bytes) -> Frames | None:
    """Count the frames in a file's bytes; None where more of them are neither frames nor tags.

    Tags and other bytes between frames are passed over, as decoders do.
    """
    at, end, inside, seconds, first = _next_frame(data, 0), len(data), 0, 0.0, None
    stray = len(data[: _until_tag(data, 0, at)].lstrip(b"\0"))
    while at + 4 <= end:
        layout = LAYOUTS[data[at + 1] << 8 | data[at + 2]] if data[at] == 255 else None
        if layout is None:
            before, at = at, _next_frame(data, at)
            stray += _until_tag(data, before, at) - before
            continue
        size, samples, sr = layout
        if at + size > end:
            break
        if first is None:
            first = at
        inside += size
        seconds += samples / sr
        at += size
    if first is None or inside < stray:
        return None
    size, samples, sr = LAYOUTS[data[first + 1] << 8 | data[first + 2]]
    head = data[first : first + size]
    declared, silence = _declared(head)
    stray_s = stray * seconds / inside
    if declared is None and head[36:40] != b"VBRI":
        return Frames(sr, samples, seconds, None, stray, stray_s)
    seconds -= (samples + silence) / sr  # the header is a frame without sound
    return Frames(
        sr, samples, seconds, None if declared is None else (declared * samples - silence) / sr, stray, stray_s
    )


def _until_tag(data: bytes, start: int, end: int) -> int:
    """Where the first tag between two places begins, or `end`."""
    tag = TAG.search(data, start, end)
    return tag.start() if tag else end


def _next_frame(data: bytes, at: int) -> int:
    """Where the next frame begins, at `at` or later: behind tags, and at a header that another one follows."""
    while True:
        if data[at : at + 3] == b"ID3" and len(data) >= at + 10:
            size = 0
            for byte in data[at + 6 : at + 10]:
                size = size << 7 | byte & 127
            at += 10 + size
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            return len(data)
        layout = LAYOUTS[data[at + 1] << 8 | data[at + 2]]
        if layout is not None:
            after = at + layout[0]
            if after + 4 > len(data):
                return at
            follower = LAYOUTS[data[after + 1] << 8 | data[after + 2]] if data[after] == 255 else None
            if follower is not None and follower[2] == layout[2]:
                return at
        tag = data.find(b"ID3", at + 1, at + 2)
        at = tag if tag >= 0 else at + 1


def _declared(head: bytes) -> tuple[int | None, int]:
    """Frames that a Xing or Info header declares, and samples of silence that its encoder put around the sound."""
    tag = max(head.find(b"Xing", 0, 64), head.find(b"Info", 0, 64))
    if tag < 0 or len(head) < tag + 12 or not head[tag + 7] & 1:
        return None, 0
    silence = 0
    flags = head[tag + 7]
    lame = tag + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1) + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    if head[lame : lame + 4] in (b"LAME", b"Lavf", b"Lavc"):
        delays = int.from_bytes(head[lame + 21 : lame + 24], "big")
        silence = (delays >> 12) + (delays & 0xFFF)
    return int.from_bytes(head[tag + 8 : tag + 12], "big"), silence
