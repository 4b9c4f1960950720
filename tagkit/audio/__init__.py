"""Audio files to mono waveforms and back, at any sampling rate; an error says what is wrong with a file."""

from tagkit.audio.decode import DECODING, Decoded, duration, from_array, load, load_int16, read
from tagkit.audio.encode import save
from tagkit.audio.formats import SUFFIXES, AudioError, TooLongError, to_float, to_int16
from tagkit.audio.samples import filled, is_silent, level_db, remove_offset

__all__ = [
    "DECODING",
    "SUFFIXES",
    "AudioError",
    "Decoded",
    "TooLongError",
    "duration",
    "filled",
    "from_array",
    "is_silent",
    "level_db",
    "load",
    "load_int16",
    "read",
    "remove_offset",
    "save",
    "to_float",
    "to_int16",
]
