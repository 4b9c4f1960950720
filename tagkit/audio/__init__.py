"""Audio files to mono waveforms and back, at any sampling rate; an error says what is wrong with a file."""

from tagkit.audio.decode import DECODING, duration, load, load_int16, stream
from tagkit.audio.encode import save
from tagkit.audio.formats import SUFFIXES, AudioError, to_float, to_int16

__all__ = [
    "DECODING",
    "SUFFIXES",
    "AudioError",
    "duration",
    "load",
    "load_int16",
    "save",
    "stream",
    "to_float",
    "to_int16",
]
