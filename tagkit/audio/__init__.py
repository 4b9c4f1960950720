"""Audio files to mono waveforms and back, at any sampling rate; an error says what is wrong with a file."""

from tagkit.audio.decode import DECODING, Decoded, duration, from_array, load, load_int16, read
from tagkit.audio.encode import save
from tagkit.audio.formats import SUFFIXES, AudioError, TooLongError, to_float, to_int16
from tagkit.audio.samples import is_silent, remove_offset

__all__ = [
    "DECODING",
    "SUFFIXES",
    "AudioError",
    "Decoded",
    "TooLongError",
    "duration",
    "from_array",
    "is_silent",
    "load",
    "load_int16",
    "read",
    "remove_offset",
    "save",
    "to_float",
    "to_int16",
]
