"""Audio files to mono waveforms and back, at any sampling rate, with what is wrong with a file said in a sentence."""

from tagkit.audio.decode import AudioError, duration, load, load_int16, save, stream, to_float, to_int16

__all__ = ["AudioError", "duration", "load", "load_int16", "save", "stream", "to_float", "to_int16"]
