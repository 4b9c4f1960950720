"""Pieces in which one instrument at a time is muted or swapped: the music of an experiment on networks."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import joblib
import numpy as np

from tagkit.data.demo import build, voices
from tagkit.data.demo.arrange import IMPLIED, INSTRUMENTS
from tagkit.data.demo.build import DemoClip
from tagkit.system import paths, processes

LEVEL_DB = 6.0  # the instrument that one is compared with is at most so much louder or softer
AT_ONCE = 16  # clips that are rendered ahead, which bounds the memory


@dataclass(frozen=True)
class Variants:
    """One clip as it is, with each voice muted, and with one voice swapped; int16 samples at 16 kHz.

    Attributes
    ----------
    piece : str
    full : ndarray (samples,)
    muted : dict of str -> ndarray (samples,)
        By the voice that is missing.
    pairs : list of (str, str)
        Voices and, for each, the other one whose muting it is compared with: the one of the nearest level. A voice
        without another within `LEVEL_DB` is left out.
    swap : (str, str)
        The voice whose notes another instrument plays, and that instrument, both drawn at random.
    swapped : ndarray (samples,)
    """

    piece: str
    full: np.ndarray = field(repr=False)
    muted: dict[str, np.ndarray] = field(repr=False)
    pairs: list[tuple[str, str]]
    swap: tuple[str, str]
    swapped: np.ndarray = field(repr=False)

    def makes_untrue(self, voice: str) -> bool:
        """Whether muting a voice makes its tag untrue; "strings" stays true while a violin plays."""
        return not any(IMPLIED.get(other) == voice for other in self.muted if other != voice)


def test_clips(n: int) -> list[DemoClip]:
    """The first `n` clips with two or more voices of pieces that rendered music keeps for testing."""
    root = paths.data_dir() / "demo"
    pool, piece = build.load_scores(root if (root / build.SCORES).is_file() else None, joblib.cpu_count())
    found: list[DemoClip] = []
    for clip in build.demo_clips(pool, piece):
        if len(found) == n:
            break
        if clip.part == "test" and len(clip.plan.instruments) + clip.plan.drums > 1:
            found.append(clip)
    return found


def render(clips: Sequence[DemoClip], jobs: int) -> Iterator[Variants]:
    """The variants of each clip in turn, rendered in so many processes."""
    parallel = joblib.Parallel(n_jobs=jobs, batch_size=1)
    for start in range(0, len(clips), AT_ONCE):
        yield from parallel(joblib.delayed(_render)(clip, os.getpid()) for clip in clips[start : start + AT_ONCE])


def _render(clip: DemoClip, parent: int) -> Variants:
    processes.follow(parent)
    apart = voices.apart(clip)
    names = list(apart.stems)
    level = {name: 20 * np.log10(max(voices.rms(stem), 1e-9)) for name, stem in apart.stems.items()}
    pairs = []
    for name in names:
        other = min((each for each in names if each != name), key=lambda each: abs(level[each] - level[name]))
        if abs(level[other] - level[name]) <= LEVEL_DB:
            pairs.append((name, other))
    rng = np.random.default_rng([1, int(clip.clip_id)])
    old = str(rng.choice([name for name in names if name != voices.DRUMS]))
    new = str(rng.choice([name for name in INSTRUMENTS if name not in names]))
    muted = {name: apart.without(name) for name in names}
    return Variants(clip.piece, apart.full, muted, pairs, (old, new), apart.swapped(old, new))
