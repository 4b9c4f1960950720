"""Waveforms to audio files."""

import warnings
from pathlib import Path

import numpy as np
import soundfile

from tagkit.audio.formats import FFMPEG_WRITES, SOUNDFILE_WRITES, AudioError, find_ffmpeg, to_float, to_int16
from tagkit.system import extras, files


def save(path: str | Path, y: np.ndarray, sr: int) -> None:
    """Write a waveform in the format that the suffix names, 16 bits deep where the format is lossless.

    libsndfile writes .wav, .flac, .aiff, .caf, .ogg, .opus and .mp3; pydub and ffmpeg write .m4a, .mp4, .aac, .wma,
    .ac3 and .mka.

    Parameters
    ----------
    path : path
        Gets its name only once the file is complete.
    y : array (samples,) or (samples, channels) of int16 or float
        Floats beyond [-1, 1) are clipped.
    sr : int
        Sampling rate in Hz.

    Raises
    ------
    AudioError
        `y` is empty, holds NaN or infinity, or the format does not take it.
    """
    path = Path(path)
    y = np.asarray(y)
    if y.size == 0 or y.ndim > 2:
        raise AudioError(f"{path}: cannot write an array of shape {y.shape}; give (samples,) or (samples, channels).")
    if not np.isfinite(y).all():
        raise AudioError(f"{path}: cannot write a waveform with NaN or infinity in it; replace those values.")
    pcm = y if y.dtype == np.int16 else to_int16(y)
    suffix = path.suffix.lower()
    if suffix not in SOUNDFILE_WRITES and suffix not in FFMPEG_WRITES:
        known = ", ".join((*SOUNDFILE_WRITES, *FFMPEG_WRITES))
        raise AudioError(f"{path}: cannot write {suffix or 'a file without a suffix'}; choose one of {known}.")
    with files.atomic(path) as temporary:
        if suffix in SOUNDFILE_WRITES:
            _save_soundfile(path, temporary, pcm, sr)
        else:
            _save_pydub(path, temporary, pcm, sr)


def _save_soundfile(path: Path, temporary: Path, pcm: np.ndarray, sr: int) -> None:
    channels = 1 if pcm.ndim == 1 else pcm.shape[1]
    form, subtype = SOUNDFILE_WRITES[path.suffix.lower()]
    try:
        with soundfile.SoundFile(temporary, "w", sr, channels, subtype, format=form) as sound:
            # In pieces: libsndfile's Vorbis writer overflows its stack on a long array.
            for start in range(0, len(pcm), 1 << 16):
                piece = pcm[start : start + (1 << 16)]
                # libsndfile 1.2 mixes the channels of int16 stereo on their way into an MP3; those of floats it keeps.
                sound.write(to_float(piece) if form == "MP3" else piece)
    except (soundfile.LibsndfileError, ValueError) as error:
        raise AudioError(f"{path}: {path.suffix} cannot hold {channels} channels at {sr} Hz ({error}).") from error


def _save_pydub(path: Path, temporary: Path, pcm: np.ndarray, sr: int) -> None:
    ffmpeg = find_ffmpeg()
    if ffmpeg is None:
        raise AudioError(f"{path}: writing {path.suffix} needs ffmpeg; install it, or {extras.install('formats')}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydub's own: audioop is deprecated, invalid escapes, ffmpeg not on PATH
        from pydub import AudioSegment
        from pydub.exceptions import CouldntEncodeError
    channels = 1 if pcm.ndim == 1 else pcm.shape[1]
    segment = AudioSegment(pcm.tobytes(), sample_width=2, frame_rate=sr, channels=channels)
    segment.converter = ffmpeg
    try:
        segment.export(temporary, format=FFMPEG_WRITES[path.suffix.lower()]).close()
    except CouldntEncodeError as error:
        reason = str(error).strip().splitlines()[-1].rstrip("'")
        raise AudioError(f"{path}: ffmpeg cannot write {path.suffix} here ({reason}).") from error
