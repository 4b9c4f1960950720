"""The voices of a rendered clip, apart: the same clip with one voice muted, alone, or played by another instrument.

A voice is what one instrument (or the drums) plays. The synthesiser adds its voices up, so a clip without a voice is
the clip minus that voice, sample for sample the same otherwise, with the gain of the full mix.
"""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import joblib
import numpy as np

from tagkit.data.catalog import CatalogError
from tagkit.data.demo import build, synthesis
from tagkit.data.demo.arrange import DRUM_CHANNEL, INSTRUMENTS, PROGRAMS, Arrangement
from tagkit.data.demo.build import DemoClip
from tagkit.system import files, processes
from tagkit.system.progress import progress_bar

DRUMS = "drums"


@dataclass(frozen=True)
class Voices:
    """One rendered clip and what each instrument plays in it.

    Attributes
    ----------
    arrangement : Arrangement
    mix : ndarray (samples,)
        All voices, before the gain.
    stems : dict of str -> ndarray (samples,)
        Each instrument's voice by its name, before the gain; they add up to `mix`.
    gain : float
        Of the full mix.
    """

    arrangement: Arrangement
    mix: np.ndarray = field(repr=False)
    stems: dict[str, np.ndarray] = field(repr=False)
    gain: float

    @property
    def full(self) -> np.ndarray:
        """The clip as the dataset holds it, int16."""
        return synthesis.to_int16(self.mix, self.gain)

    def only(self, voice: str) -> np.ndarray:
        """One voice alone, int16."""
        return synthesis.to_int16(self._stem(voice), self.gain)

    def without(self, voice: str) -> np.ndarray:
        """The clip with one voice muted, int16; it differs from `full` by that voice, to within a step."""
        return synthesis.to_int16(self.mix - self._stem(voice), self.gain)

    def swapped(self, voice: str, instrument: str) -> np.ndarray:
        """The clip with one voice played by another instrument, int16: the same notes at the same RMS.

        The whole clip is made softer where it would clip.

        Raises
        ------
        CatalogError
            The clip has no such voice, there is no such instrument, or the voice is the drums, whose notes are strokes.
        """
        if instrument not in INSTRUMENTS:
            raise CatalogError(f"There is no instrument {instrument!r}; choose one of {', '.join(INSTRUMENTS)}.")
        old = self._stem(voice)
        if voice == DRUMS:
            raise CatalogError(f"The drums' notes cannot be played by {instrument}; swap another voice.")
        channel = channels(self.arrangement)[voice]
        solo = _solo(self.arrangement, channel)
        programs = solo.programs | {channel: INSTRUMENTS[instrument].programs[0]}
        new = synthesis.render(replace(solo, programs=programs))
        y = self.mix - old + new * (rms(old) / rms(new))
        return synthesis.to_int16(y, min(self.gain, synthesis.PEAK / np.abs(y).max()))

    def _stem(self, voice: str) -> np.ndarray:
        if voice not in self.stems:
            raise CatalogError(f"This clip has no voice {voice!r}; its voices are {', '.join(self.stems)}.")
        return self.stems[voice]


def apart(clip: DemoClip | Arrangement) -> Voices:
    """Render a clip and its voices."""
    arrangement = clip.arrange() if isinstance(clip, DemoClip) else clip
    mix = synthesis.render(arrangement)
    stems = {name: synthesis.render(_solo(arrangement, channel)) for name, channel in channels(arrangement).items()}
    return Voices(arrangement, mix, stems, synthesis.gain(mix, arrangement.level_db))


def channels(arrangement: Arrangement) -> dict[str, int]:
    """The MIDI channel of each voice that has notes, by the voice's name."""
    used = np.unique(arrangement.notes[:, 0]).astype(int).tolist()
    return {DRUMS if c == DRUM_CHANNEL else PROGRAMS[arrangement.programs[c]]: c for c in used}


def write_stems(root: str | Path, jobs: int | None = None, progress: bool = True) -> None:
    """Write the voices of every rendered clip below `root` to stems/CLIP_ID/VOICE.flac; existing files are kept."""
    root = Path(root)
    sizes, seed = build.read(root).split_sizes(), files.read_json(root / build.SETTINGS)["seed"]
    clips = list(build.first_clips(*build.load_scores(root, progress=progress), sizes, seed))
    parallel = joblib.Parallel(n_jobs=jobs or joblib.cpu_count(), batch_size=1, return_as="generator_unordered")
    work = parallel(joblib.delayed(_write_stems)(root / "stems", clip, os.getpid()) for clip in clips)
    for _ in progress_bar(work, desc="stems", total=len(clips), unit="clip", disable=not progress):
        pass


def _write_stems(folder: Path, clip: DemoClip, parent: int) -> None:
    processes.follow(parent)
    paths = {voice: folder / clip.clip_id / f"{voice}.flac" for voice in channels(clip.arrange())}
    if all(path.is_file() for path in paths.values()):
        return
    found = apart(clip)
    (folder / clip.clip_id).mkdir(parents=True, exist_ok=True)
    for voice, path in paths.items():
        with files.atomic(path) as temporary:
            synthesis.write(temporary, found.only(voice))


def rms(y: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(y))))


def _solo(arrangement: Arrangement, channel: int) -> Arrangement:
    """The arrangement with all voices but one turned down: they still take up the synthesiser's polyphony and time."""
    return replace(arrangement, volumes={c: v * (c == channel) for c, v in arrangement.volumes.items()})
