"""Writing tf.train.Example records into TFRecord files, without TensorFlow.

A preparing process then starts in a fraction of a second instead of five, needs no 500 MB of TensorFlow, and knows
the byte offset of every waveform that it writes. Any TFRecord reader opens the result.

Formats: protocol buffers' wire format for ``tf.train.Example``, and the TFRecord framing (length, masked CRC-32C of
the length, data, masked CRC-32C of the data) of TensorFlow's ``record_writer.h``.
"""

import struct
from typing import BinaryIO

import google_crc32c
import numpy as np

_MASK_DELTA = 0xA282EAD8
_BYTES_LIST, _INT64_LIST = 1, 3  # field numbers in tf.train.Feature


def write_clip(stream: BinaryIO, clip_id: str, sr: int, waveform: bytes | np.ndarray) -> int:
    """Append one record with the features `clip_id`, `sr` and `waveform`.

    Parameters
    ----------
    stream : binary file, at its end
    sr : int
        Sampling rate in Hz.
    waveform : bytes, or read-only array of uint8
        Little-endian int16 samples, mono.

    Returns
    -------
    int
        Byte offset of the waveform's first sample in the file.
    """
    small = _feature("clip_id", _BYTES_LIST, _field(1, clip_id.encode())) + _feature(
        "sr", _INT64_LIST, _field(1, _varint(sr))
    )
    # The waveform comes last, so that it ends the record: its bytes are never copied, only prefixed.
    before = b""
    size = len(waveform)
    for prefix in (_tag(1), _tag(_BYTES_LIST), _tag(2)):  # BytesList.value, Feature.bytes_list, map entry's value
        before = prefix + _varint(size + len(before)) + before
    key = _field(1, b"waveform")
    before = _tag(1) + _varint(len(key) + len(before) + size) + key + before
    features = small + before
    head = _tag(1) + _varint(len(features) + size) + features

    length = struct.pack("<Q", len(head) + size)
    crc = google_crc32c.extend(google_crc32c.value(head), waveform)
    stream.write(length + _masked(google_crc32c.value(length)) + head)
    offset = stream.tell()
    stream.write(waveform)
    stream.write(_masked(crc))
    return offset


def _masked(crc: int) -> bytes:
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _tag(number: int) -> bytes:
    return _varint(number << 3 | 2)  # wire type 2: length-delimited


def _field(number: int, payload: bytes) -> bytes:
    return _tag(number) + _varint(len(payload)) + payload


def _feature(name: str, kind: int, values: bytes) -> bytes:
    return _field(1, _field(1, name.encode()) + _field(2, _field(kind, values)))
