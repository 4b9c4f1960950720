"""How far to trust a tag: files unlike the training clips, and short notes.

The demo's dm16, as `tagkit tag` applies it. Files are marked as unlike the training clips where their embedding lies
farther from the nearest of them than those of 95 % of the validation clips do. scipy measures the distances again. The
rendered clips are fresh: other clips than the demo's, one of each piece of its test part. The recordings (of the folder
in MagnaTagATune's layout that TAGKIT_REAL_DATA names, one clip of each) are not: all were at hand when the distance
was chosen. So the choice is made once more, among four distances, by every other artist, and the rate is that of the
remaining artists. 84 notes of 14 instruments are rendered at several lengths and at one level, -20 dBFS; by chance the
instrument's tag has the best score of the 14 in 7 %.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

from validation import subjects
from validation.findings import Agreement, Finding, Rate

RATE_BOUND, RECORDINGS_BOUND = 0.05, 0.3
DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "to the nearest clip": lambda train, x: cdist(x, train).min(1),
    "to the five nearest clips": lambda train, x: np.sort(cdist(x, train), 1)[:, :5].mean(1),
    "to the mean of all clips": lambda train, x: np.linalg.norm(x - train.mean(0), axis=1),
    "by angle to the nearest clip": lambda train, x: cdist(x, train, "cosine").min(1),
}
LENGTHS_S, PITCHES = (0.15, 0.3, 0.6, 1.2), 6
FILLED = {
    "silence after it": lambda y, n: np.pad(y, (0, n - len(y))),
    "repeated back and forth": lambda y, n: np.resize(np.r_[y, y[::-1]], n),
    "repeated": lambda y, n: y,  # this is what tagkit does
}


def run(quick: bool) -> list[Finding]:
    """Compare distances; count marks and instruments."""
    if quick:
        return _simulated()
    return [*_marks(), *_notes()]


def _simulated() -> list[Finding]:
    """Marks of vectors drawn as the training vectors are."""
    from tagkit.evaluation.familiar import Familiar, nearest

    rng = np.random.default_rng(0)
    marked = 0
    for _ in range(200):
        train, valid, other = (rng.normal(size=(n, 8)) for n in (60, 39, 1))
        heard = Familiar(train, np.sort(nearest(train, valid)), np.zeros(2), {})
        marked += heard.remark(heard.likeness(other[0]), 0.0) is not None
    distance = float(nearest(train, other)[0])
    independent = float(DISTANCES["to the nearest clip"](train, other)[0])
    return [
        Agreement("distance to the nearest clip", distance, independent, "scipy", 1e-6),
        Rate("marked of vectors drawn as the training vectors are", marked, 200, 0.0, RATE_BOUND),
    ]


def _marks() -> list[Finding]:
    from tagkit.evaluation import familiar
    from tagkit.evaluation.embed import Embedder
    from tagkit.evaluation.tag import Tagger

    found = subjects.trained_run()
    records, split = found.open_records(), found.record["split"]
    tagger, embedder = Tagger(found, heard=familiar.of_run(found)), Embedder(found)

    def vectors(part: str) -> np.ndarray:
        sounds = (records.read(i) for i in records.part(part, split))
        return np.stack([embedder(y, sr=subjects.SR).vector for y in sounds])

    train, valid = vectors("train"), vectors("valid")
    fresh = [tagger(y, sr=subjects.SR).unlike for y in _fresh_clips()]
    paths, artists = _recordings()
    marked = np.array([tagger(path).unlike for path in paths], bool)
    rendered = Rate("marked of fresh rendered clips", sum(fresh), len(fresh), 0.0, RATE_BOUND)
    if not paths:
        return [rendered]
    real = np.stack([embedder(path).vector for path in paths])
    marks = {
        name: far(train, real) > np.sort(far(train, valid))[-max(int(RATE_BOUND * (1 + len(valid))), 1)]
        for name, far in DISTANCES.items()
    }
    choosing = np.isin(artists, sorted(set(artists))[::2])
    chosen = max(marks, key=lambda name: marks[name][choosing].mean())
    again = marks["to the nearest clip"]
    return [
        Agreement("recordings marked", float(marked.sum()), float(again.sum()), "scipy", 1),
        rendered,
        Rate("marked of all recordings (not fresh)", int(marked.sum()), len(marked), RECORDINGS_BOUND, 1.0),
        *(
            Rate(
                f"marked of recordings of the other artists, by the distance {name}"
                + (" (chosen)" if name == chosen else ""),
                int(each[~choosing].sum()),
                int((~choosing).sum()),
                RECORDINGS_BOUND if name == chosen else 0.0,
                1.0,
            )
            for name, each in marks.items()
        ),
    ]


def _fresh_clips() -> list[np.ndarray]:
    """Rendered clips (samples,) of int16 that are not in the demo: one of each piece of its test part."""
    from tagkit.data.demo import build, synthesis
    from tagkit.system import paths

    pool, piece = build.load_scores(paths.data_dir() / "demo")
    clips: dict[str, build.DemoClip] = {}
    for clip in build.first_clips(pool, piece, {"test": 400}, seed=1):
        clips.setdefault(clip.piece, clip)
    return [synthesis.play(clip.arrange()) for clip in clips.values()]


def _recordings() -> tuple[list[Path], np.ndarray]:
    """The first clip of each recording, and its artist; none where TAGKIT_REAL_DATA is not set."""
    from tagkit.data import magnatagatune

    if "TAGKIT_REAL_DATA" not in os.environ:
        print("  TAGKIT_REAL_DATA names no folder: recordings are left out.", flush=True)
        return [], np.array([])
    catalog = magnatagatune.read(Path(os.environ["TAGKIT_REAL_DATA"]) / "mini-mtat")
    full = [(catalog.root / path).stat().st_size > 0 for path in catalog.clips["path"]]
    clips = catalog.clips[full].drop_duplicates("song")
    return [catalog.root / path for path in clips["path"]], clips["artist"].to_numpy()


def _notes() -> list[Rate]:
    """How often the instrument is found, and how often a tag of tempo or loudness comes up, by what fills a window."""
    from tagkit.data.demo.arrange import INSTRUMENTS
    from tagkit.evaluation.tag import Tagger

    tagger, names = Tagger(subjects.trained_run()), list(INSTRUMENTS)
    tags = list(tagger.tags)
    columns = [tags.index(name) for name in names]
    rates, found = [], {}
    for length_s in LENGTHS_S:
        notes = [(k, y) for k, name in enumerate(names) for y in _played(INSTRUMENTS[name], length_s)]
        right = np.array([k for k, _ in notes])
        for how, fill in FILLED.items():
            scores = np.stack([tagger(fill(y, tagger.window), sr=subjects.SR).scores for _, y in notes])
            hits = int((scores[:, columns].argmax(1) == right).sum())
            found[how] = Rate(f"instrument of a note of {length_s:g} s, {how}", hits, len(notes), 0.0, 1.0)
            if length_s == LENGTHS_S[0]:
                rates += [_called(tag, how, scores[:, tags.index(tag)], length_s) for tag in ("quiet", "fast")]
        worse = found["silence after it"].value
        rates += [*(found[how] for how in list(FILLED)[:-1]), _above(found["repeated"], worse)]
    return rates


def _called(tag: str, how: str, scores: np.ndarray, length_s: float) -> Rate:
    name = f'note of {length_s:g} s called "{tag}" (.5 or more), {how}'
    return Rate(name, int((scores >= 0.5).sum()), len(scores), 0.0, 1.0)


def _above(rate: Rate, low: float) -> Rate:
    return Rate(rate.name, rate.hits, rate.trials, low, 1.0)


def _played(instrument, length_s: float) -> Sequence[np.ndarray]:
    """Notes (samples,) of int16 over the instrument's range, cut to a length, at -20 dBFS or as near as peaks allow."""
    from tagkit.data.demo import synthesis
    from tagkit.data.demo.arrange import Arrangement, midi

    samples, sounds = round(length_s * subjects.SR), []
    for pitch in np.linspace(instrument.low + 2, instrument.high - 2, PITCHES).round():
        row = np.array([[0, 0.0, 0.8 * length_s, pitch, 90]])
        y = synthesis.synthesize(midi(Arrangement(row, {0: instrument.programs[0]}, {0: 100}, -20.0)))[:samples]
        y = np.pad(y, (0, samples - len(y)))
        sounds.append(synthesis.to_int16(y, synthesis.gain(y, -20.0)))
    return sounds
