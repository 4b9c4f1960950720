"""From an arrangement to a waveform: the General MIDI soundfont that pretty_midi ships, played by midirenderer."""

import functools
import hashlib
import importlib.util
import io
from importlib.metadata import version
from pathlib import Path

import numpy as np
import soundfile
import soxr

from tagkit.data.catalog import CatalogError
from tagkit.data.demo.arrange import Arrangement, loudness, midi
from tagkit.system import extras

SR = 16_000
SAMPLES = 465_984
PEAK = 0.99


@functools.cache
def soundfont() -> bytes:
    """The soundfont of pretty_midi (TimGM6mb, 6 MB), found without importing pretty_midi.

    Raises
    ------
    CatalogError
        It is not installed, or midirenderer is not.
    """
    spec = importlib.util.find_spec("pretty_midi")
    path = Path(spec.origin).with_name("TimGM6mb.sf2") if spec else None
    if path is None or not path.is_file() or importlib.util.find_spec("midirenderer") is None:
        raise CatalogError(f"The demo needs pretty_midi's soundfont and midirenderer; {extras.install('demo')}.")
    return path.read_bytes()


def versions() -> dict[str, str]:
    """What the waveforms depend on beside the seed."""
    return {
        "music21": version("music21"),
        "midirenderer": version("midirenderer"),
        "soxr": version("soxr"),
        "soundfont": hashlib.sha256(soundfont()).hexdigest()[:16],
    }


def play(arrangement: Arrangement) -> np.ndarray:
    """Waveform (465984,) of int16 at 16 kHz, at the RMS that the arrangement states.

    Where a peak would reach full scale, the whole clip is made softer; nothing is clipped.

    Raises
    ------
    CatalogError
        The clip was made so much softer that its tags, "loud" say, are no longer true of it.
    """
    y = render(arrangement)
    played = to_int16(y, gain(y, arrangement.level_db))
    reached_db = 10 * np.log10(np.mean((played / 32768) ** 2))
    if loudness(reached_db) != loudness(arrangement.level_db):
        raise CatalogError(
            f"a clip of {arrangement.level_db:.2f} dB RMS reaches {reached_db:.2f} dB without clipping, so its "
            "loudness tags would be untrue; render with another seed."
        )
    return played


def render(arrangement: Arrangement) -> np.ndarray:
    """Waveform (465984,) of float64 before the gain: as loud as the synthesiser makes it."""
    y = synthesize(midi(arrangement))[:SAMPLES]
    return np.pad(y, (0, SAMPLES - len(y)))


def gain(y: np.ndarray, level_db: float) -> float:
    """What to multiply a rendered waveform with to bring it to an RMS in dBFS, or less where a peak would clip."""
    return float(min(10 ** (level_db / 20) / np.sqrt(np.mean(y**2)), PEAK / np.abs(y).max()))


def to_int16(y: np.ndarray, gain: float) -> np.ndarray:
    """A rendered waveform at its gain, rounded to 16 bits."""
    return np.round(y * gain * 32768).astype(np.int16)


def write(path: Path, y: np.ndarray) -> None:
    """Write int16 samples as FLAC."""
    soundfile.write(path, y, SR, format="FLAC", subtype="PCM_16")


def synthesize(midi_bytes: bytes) -> np.ndarray:
    """A MIDI file played from its first tick to the end of its last sound: (samples,) of float64 at 16 kHz, mono."""
    import midirenderer

    wave = midirenderer.render_wave_from(soundfont(), midi_bytes)
    y, sr = soundfile.read(io.BytesIO(wave), always_2d=True)
    return soxr.resample(y.mean(axis=1), sr, SR, quality="HQ")
