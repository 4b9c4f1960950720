"""What audio files come as: the suffixes that are known, how each is written, and 16-bit samples."""

import shutil

import numpy as np

# What `save` writes: libsndfile's format and subtype ...
SOUNDFILE_WRITES = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".aiff": ("AIFF", "PCM_16"),
    ".aif": ("AIFF", "PCM_16"),
    ".caf": ("CAF", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
# ... or ffmpeg's container.
FFMPEG_WRITES = {".m4a": "ipod", ".mp4": "mp4", ".aac": "adts", ".wma": "asf", ".ac3": "ac3", ".mka": "matroska"}
# By these a file in a folder is taken for audio. `load` goes by a file's content, whatever its name.
# fmt: off
SUFFIXES = (
    *SOUNDFILE_WRITES, *FFMPEG_WRITES, ".oga", ".aifc", ".au", ".w64", ".rf64", ".m4b", ".amr", ".ape", ".wv", ".tta",
    ".mkv", ".webm", ".mov", ".avi", ".mp2", ".mpc", ".dsf",
)
# fmt: on
# What ffmpeg may open: only containers of audio. Playlists and scripts, which make it open other files, are not here.
FFMPEG_READS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,iff,loas,matroska,mov,mp3,mpc,mpc8,"
    "mpeg,mpegts,ogg,rm,tak,tta,voc,w64,wav,wv"
)


class AudioError(ValueError):
    """An audio file cannot be used; the message is one sentence with the file, the reason and what to do."""


class DoubtfulError(AudioError):
    """One decoder could not read a file to its end; another may."""


class TooLongError(AudioError):
    """A file holds more audio than the caller takes."""


def to_int16(y: np.ndarray) -> np.ndarray:
    """Floats in [-1, 1) to int16: scaled by 32768, rounded, clipped."""
    scaled = np.asarray(np.multiply(y, 32768.0))
    np.rint(scaled, out=scaled)
    np.clip(scaled, -32768, 32767, out=scaled)
    return scaled.astype(np.int16)


def to_float(y: np.ndarray) -> np.ndarray:
    """int16 to float32 in [-1, 1): divided by 32768, exactly."""
    return y.astype(np.float32) / np.float32(32768)


def find_ffmpeg() -> str | None:
    """The ffmpeg on PATH, else the one in imageio-ffmpeg's wheel, else None."""
    found = shutil.which("ffmpeg")
    if found is None:
        try:
            import imageio_ffmpeg

            found = imageio_ffmpeg.get_ffmpeg_exe()
        except (ImportError, RuntimeError):
            return None
    return found
