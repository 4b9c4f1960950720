"""Arrangements: a passage of a score given to instruments, with a tempo, a loudness, perhaps drums, and exact tags.

An arrangement is drawn in two steps. `plan` deals instruments, tempo and loudness to the clips like cards, so that
every tag is about equally frequent in train, valid and test; `arrange` turns one plan and its score into notes in
seconds. The tags are read off the notes, not off the plan.
"""

import io
from dataclasses import dataclass

import numpy as np

from tagkit.data.demo import scores
from tagkit.data.demo.scores import Score

SECONDS = 465_984 / 16_000  # a MagnaTagATune clip
RENDERED_S = SECONDS + 0.4  # notes go on beyond the end, so that no clip dies away early


@dataclass(frozen=True)
class Instrument:
    """What plays a line.

    Attributes
    ----------
    programs : tuple of int
        General MIDI programs (from 0), one of which is drawn.
    low, high : int
        MIDI pitches that its notes are folded into by octaves.
    chords : bool
        Alone, it plays all the parts of the score; otherwise one line.
    ensemble : bool
        Several players by nature, hence never "solo".
    gain_db : float
        Makes the instruments about equally loud in this soundfont (measured above the lowest octaves).
    """

    programs: tuple[int, ...]
    low: int
    high: int
    chords: bool = False
    ensemble: bool = False
    gain_db: float = 0.0


INSTRUMENTS = {
    "guitar": Instrument((24, 25), 43, 76, chords=True, gain_db=2),
    "piano": Instrument((0,), 36, 88, chords=True, gain_db=5),
    "harpsichord": Instrument((6,), 38, 84, chords=True, gain_db=2),
    "violin": Instrument((40,), 57, 88, gain_db=-5),
    "cello": Instrument((42,), 36, 62, gain_db=-2),
    "flute": Instrument((73,), 62, 90, gain_db=-4),
    "sitar": Instrument((104,), 48, 74, gain_db=-3),
    "organ": Instrument((19,), 36, 84, chords=True, gain_db=0),
    "harp": Instrument((46,), 40, 88, chords=True, gain_db=-2),
    "choir": Instrument((52,), 48, 77, ensemble=True, gain_db=2),
    "trumpet": Instrument((56,), 55, 80, gain_db=0),
    "clarinet": Instrument((71,), 50, 82, gain_db=0),
    "synth": Instrument((80, 81), 48, 84, ensemble=True, gain_db=-2),
    "strings": Instrument((48,), 43, 84, ensemble=True, gain_db=2),
}
PROGRAMS = {program: name for name, instrument in INSTRUMENTS.items() for program in instrument.programs}
IMPLIED = {"violin": "strings", "cello": "strings"}  # bowed strings are strings, as listeners tag them
DRUM_CHANNEL = 9

# Exact meanings, in the order of the table's columns.
TAGS = (*INSTRUMENTS, "drums", "fast", "slow", "loud", "quiet", "solo")
FAST_RATE = 5.0  # "fast": at least so many note onsets a second (all instruments; within 50 ms they count as one)
SLOW_RATE = 2.0  # "slow": at most so many
LOUD_DB = -21.0  # "loud": at least this RMS, in dB relative to full scale
QUIET_DB = -30.0  # "quiet": at most this
TOGETHER_S = 0.05

# So that every instrument is heard in almost any window of a few seconds.
MAX_REST_QUARTERS = 1.0
MAX_REST_S = 1.0

# What is drawn keeps clear of the thresholds.
_RATES = {"slow": (0.9, 1.7), "": (2.7, 3.8), "fast": (5.7, 8.0)}
_LEVELS = {"quiet": (-37.0, -32.0), "": (-27.0, -24.0), "loud": (-18.5, -16.5)}
_VELOCITIES = {"quiet": 52, "": 78, "loud": 108}

_KICK, _SNARE, _STICK, _HAT, _OPEN_HAT, _RIDE = 36, 38, 37, 42, 46, 51
# Eight pulses each: what is struck on each of them.
_DRUM_PATTERNS = (
    ((_KICK, _HAT), (_HAT,), (_SNARE, _HAT), (_HAT,), (_KICK, _HAT), (_KICK, _HAT), (_SNARE, _HAT), (_OPEN_HAT,)),
    ((_KICK, _RIDE), (_RIDE,), (_STICK, _RIDE), (_RIDE,), (_KICK, _RIDE), (_RIDE,), (_STICK, _RIDE), (_KICK,)),
    ((_KICK,), (_SNARE,), (_KICK,), (_SNARE,), (_KICK, _HAT), (_SNARE,), (_KICK,), (_SNARE, _HAT)),
    ((_KICK, _HAT), (_KICK, _OPEN_HAT), (_SNARE, _HAT), (_HAT,), (_HAT,), (_KICK, _HAT), (_SNARE, _HAT), (_KICK,)),
)


@dataclass(frozen=True)
class Plan:
    """What was drawn for one clip, before the notes of its score are looked at.

    Attributes
    ----------
    seed : tuple of int
        Draws everything else (start, key, details of the performance).
    score : int
        Position in the pool of scores.
    instruments : tuple of str
    drums : bool
    tempo : {"slow", "", "fast"}
    dynamics : {"quiet", "", "loud"}
    """

    seed: tuple[int, ...]
    score: int
    instruments: tuple[str, ...]
    drums: bool
    tempo: str
    dynamics: str


@dataclass(frozen=True)
class Arrangement:
    """What one clip sounds like.

    Attributes
    ----------
    notes : ndarray (notes, 5)
        MIDI channel, onset and duration in seconds, MIDI pitch, velocity; sorted by onset.
    programs : dict of int -> int
        General MIDI program of each channel (without the drums' channel 9).
    volumes : dict of int -> int
        MIDI volume (controller 7) of each channel.
    level_db : float
        RMS of the whole clip in dB relative to full scale.
    """

    notes: np.ndarray
    programs: dict[int, int]
    volumes: dict[int, int]
    level_db: float

    @property
    def onset_rate(self) -> float:
        """Note onsets a second within the clip; onsets within 50 ms count as one."""
        onsets = np.sort(self.notes[:, 1])
        count, last = 0, -np.inf
        for onset in onsets[onsets < SECONDS]:
            if onset - last > TOGETHER_S:
                count, last = count + 1, onset
        return count / SECONDS

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that are true of these notes, in the order of `TAGS`."""
        channels = {int(channel) for channel in np.unique(self.notes[:, 0])}
        playing = {PROGRAMS[self.programs[channel]] for channel in channels - {DRUM_CHANNEL}}
        true = playing | {IMPLIED[name] for name in playing if name in IMPLIED}
        true |= {"drums"} if DRUM_CHANNEL in channels else set()
        if len(channels) == 1 and playing and not INSTRUMENTS[next(iter(playing))].ensemble:
            true.add("solo")
        true |= {"fast"} if self.onset_rate >= FAST_RATE else set()
        true |= {"slow"} if self.onset_rate <= SLOW_RATE else set()
        true |= loudness(self.level_db)
        return tuple(tag for tag in TAGS if tag in true)


def loudness(level_db: float) -> set[str]:
    """The tags, "loud" or "quiet", that are true at this RMS in dB relative to full scale."""
    return ({"loud"} if level_db >= LOUD_DB else set()) | ({"quiet"} if level_db <= QUIET_DB else set())


def arrange(plan: Plan, score: Score) -> Arrangement:
    """Turn a plan and its score into notes; the same plan and score always give the same notes."""
    rng = np.random.default_rng(plan.seed)
    lines, total = _close_rests(_distribute(plan, score, rng))
    together = scores.line(np.concatenate(lines))
    onsets = together[:, 1]
    start = _passage_start(lines, rng)
    target = rng.uniform(*_RATES[plan.tempo])
    transposition = int(rng.integers(-5, 7))
    pulses = _pulse_length(onsets, total) if plan.drums else None
    quarter_s = _quarter_length(onsets, total, start, target, pulses)

    rows = []
    for channel, (name, line) in enumerate(zip(plan.instruments, lines, strict=True)):
        played = _passage(line, total, start, quarter_s)
        played = _join(played, _passage(together, total, start, quarter_s), MAX_REST_S, RENDERED_S)
        rows.append(_perform(played, channel, INSTRUMENTS[name], transposition, plan, rng))
    if plan.drums:
        rows.append(_drum_notes(pulses * quarter_s, plan, rng))
    notes = _untangle(np.concatenate(rows))
    programs = {channel: int(rng.choice(INSTRUMENTS[name].programs)) for channel, name in enumerate(plan.instruments)}
    gains = {channel: INSTRUMENTS[name].gain_db for channel, name in enumerate(plan.instruments)}
    if plan.drums:
        gains[DRUM_CHANNEL] = -3.0
    # A synthesizer's amplitude goes with the square of the MIDI volume: 40 dB for a factor of ten.
    volumes = {channel: round(80 * 10 ** ((gain + rng.uniform(-2.5, 2.5)) / 40)) for channel, gain in gains.items()}
    return Arrangement(notes, programs, volumes, level_db=rng.uniform(*_LEVELS[plan.dynamics]))


def midi(arrangement: Arrangement) -> bytes:
    """The arrangement as a standard MIDI file (format 1, 1 ms ticks)."""
    import mido

    tempo = mido.MetaMessage("set_tempo", tempo=1_000_000)
    file = mido.MidiFile(ticks_per_beat=1000)
    for channel, volume in arrangement.volumes.items():
        track = mido.MidiTrack([tempo] if not file.tracks else [])
        if channel in arrangement.programs:
            track.append(mido.Message("program_change", channel=channel, program=arrangement.programs[channel]))
        for control, value in ((7, volume), (10, 64), (91, 40), (93, 0)):  # volume, middle, reverb, no chorus
            track.append(mido.Message("control_change", channel=channel, control=control, value=value))
        track.extend(_messages(arrangement.notes[arrangement.notes[:, 0] == channel], channel))
        file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _messages(notes: np.ndarray, channel: int) -> list:
    import mido

    on = np.round(notes[:, 1] * 1000).astype(int)
    off = np.maximum(np.round((notes[:, 1] + notes[:, 2]) * 1000).astype(int), on + 1)
    events = [(tick, 1, int(note[3]), int(note[4])) for tick, note in zip(on, notes, strict=True)]
    events += [(tick, 0, int(note[3]), 0) for tick, note in zip(off, notes, strict=True)]
    messages, now = [], 0
    for tick, starts, pitch, velocity in sorted(events):  # of two at one time, the end comes first
        kind = "note_on" if starts else "note_off"
        messages.append(mido.Message(kind, channel=channel, note=pitch, velocity=velocity, time=int(tick - now)))
        now = tick
    return messages


def _distribute(plan: Plan, score: Score, rng: np.random.Generator) -> list[np.ndarray]:
    """The notes that each instrument plays, in quarter notes: the whole score, or one line each."""
    first = INSTRUMENTS[plan.instruments[0]]
    if len(plan.instruments) == 1 and first.chords:
        return [score.notes]
    # Lines of parts that are silent most of the time would leave their instrument unheard.
    lines = [scores.line(part) for part in scores.parts(score.notes)]
    longest = max(line[:, 2].sum() for line in lines)
    lines = [line for line in lines if line[:, 2].sum() > 0.5 * longest]
    if len(lines) == 1:
        lines.append(scores.line(score.notes, lowest=True))
    lines.sort(key=lambda line: -line[:, 3].mean())
    n = len(plan.instruments)
    if n == 1:
        return [_join(lines[0], scores.line(score.notes), MAX_REST_QUARTERS, score.quarters)]
    while len(lines) < n:
        lines.insert(1, lines[0])  # two instruments in unison or octaves
    inner = sorted(rng.choice(np.arange(1, len(lines) - 1), n - 2, replace=False)) if n > 2 else []
    chosen = [lines[0], *(lines[i] for i in inner), lines[-1]]
    centre = [(INSTRUMENTS[name].low + INSTRUMENTS[name].high) / 2 + rng.normal(0, 5) for name in plan.instruments]
    place = np.argsort(np.argsort(-np.array(centre)))  # the highest instrument gets the highest line
    return [chosen[i] for i in place]


def _close_rests(lines: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """The lines without what is longer than a quarter of each rest of all of them; and their length in quarters."""
    notes = np.concatenate(lines)
    notes = notes[np.argsort(notes[:, 1], kind="stable")]
    ends = np.maximum.accumulate(notes[:, 1] + notes[:, 2])
    excess = np.maximum(notes[:, 1] - np.r_[0.0, ends[:-1]] - MAX_REST_QUARTERS, 0)
    removed = np.cumsum(excess)
    closed = []
    for line in lines:
        before = np.searchsorted(notes[:, 1], line[:, 1], side="right") - 1
        closed.append(np.column_stack([line[:, 0], line[:, 1] - removed[before], line[:, 2:]]))
    return closed, float(np.ceil(ends[-1] - removed[-1] - 1e-3))


def _passage_start(lines: list[np.ndarray], rng: np.random.Generator) -> float:
    """A time in quarters at which as many notes begin as at most other times, so that nothing starts with a rest."""
    onsets, counts = np.unique(np.concatenate(lines)[:, 1], return_counts=True)
    return float(rng.choice(onsets[counts >= np.median(counts)]))


def _passage(notes: np.ndarray, total: float, start: float, quarter_s: float) -> np.ndarray:
    """The notes from `start` on, in seconds; a score that ends early begins again."""
    turns = int(np.ceil((RENDERED_S / quarter_s + start) / total)) + 1
    repeated = np.tile(notes, (turns, 1)).astype(float)
    repeated[:, 1] += np.repeat(np.arange(turns) * total, len(notes)) - start
    repeated[:, 1:3] *= quarter_s
    inside = (repeated[:, 1] > -1e-3) & (repeated[:, 1] < RENDERED_S)
    return repeated[inside][np.argsort(repeated[inside][:, 1], kind="stable")]


def _pulse_length(onsets: np.ndarray, total: float) -> float:
    """Length of a drum pulse in quarters: the one nearest to the mean time between onsets."""
    mean = total / len(np.unique(np.round(onsets, 2)))
    choices = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
    return float(choices[np.argmin(np.abs(np.log(choices / mean)))])


def _quarter_length(onsets: np.ndarray, total: float, start: float, target: float, pulse: float | None) -> float:
    """Seconds a quarter note so that the clip has `target` onsets a second (the busier the music, the slower)."""
    unique = np.unique(np.round(onsets % total, 3))
    if pulse is not None:
        unique = np.unique(np.round(np.concatenate([unique, (start + np.arange(0, total, pulse)) % total]), 3))
    from_start = np.sort((unique - start) % total)
    needed = max(round(target * SECONDS), 2)
    turns, rest = divmod(needed, len(from_start))
    return SECONDS / (turns * total + from_start[rest])


def _join(line: np.ndarray, others: np.ndarray, rest: float, until: float) -> np.ndarray:
    """Where the line rests for longer than `rest` (in the unit of its onsets), its player joins the others."""
    ends = np.maximum.accumulate(np.r_[0.0, line[:, 1] + line[:, 2]])
    begins = np.r_[line[:, 1], until]
    joined = [line]
    for end, begin in zip(ends, begins, strict=True):
        if begin - end > rest:
            joined.append(others[(others[:, 1] >= end - 1e-3) & (others[:, 1] < begin - 0.05)])
    notes = np.concatenate(joined)
    return notes[np.argsort(notes[:, 1], kind="stable")]


def _perform(
    notes: np.ndarray, channel: int, player: Instrument, transposition: int, plan: Plan, rng: np.random.Generator
) -> np.ndarray:
    """Rows of `Arrangement.notes`: the line in the player's range, played by a person rather than by a clock."""
    pitch = notes[:, 3] + transposition
    octaves = np.round(((player.low + player.high) / 2 - np.median(pitch)) / 12)
    pitch = _fold(pitch + 12 * octaves, player.low, player.high)
    onset = np.maximum(notes[:, 1] + np.clip(rng.normal(0, 0.006, len(notes)), -0.012, 0.012), 0)
    duration = notes[:, 2] * rng.uniform(0.85, 1.0)
    velocity = np.clip(_VELOCITIES[plan.dynamics] + rng.normal(0, 6, len(notes)), 25, 127).round()
    return np.column_stack([np.full(len(notes), channel), onset, duration, pitch, velocity])


def _untangle(notes: np.ndarray) -> np.ndarray:
    """Notes sorted by onset, none of them still sounding when its channel strikes the same pitch again."""
    notes = notes[np.lexsort((notes[:, 1], notes[:, 3], notes[:, 0]))]
    again = (np.diff(notes[:, 0]) == 0) & (np.diff(notes[:, 3]) == 0)
    gap = np.where(again, np.diff(notes[:, 1]), np.inf)
    notes[:-1, 2] = np.minimum(notes[:-1, 2], gap - 0.002)
    notes = notes[np.r_[gap > 0.03, True]]  # of two at once the second stays
    return notes[np.argsort(notes[:, 1], kind="stable")]


def _fold(pitch: np.ndarray, low: int, high: int) -> np.ndarray:
    """Pitches moved by octaves into [low, high], which is wider than an octave."""
    pitch = np.where(pitch < low, pitch + 12 * np.ceil((low - pitch) / 12), pitch)
    return np.where(pitch > high, pitch - 12 * np.ceil((pitch - high) / 12), pitch)


def _drum_notes(pulse_s: float, plan: Plan, rng: np.random.Generator) -> np.ndarray:
    pattern = _DRUM_PATTERNS[rng.integers(len(_DRUM_PATTERNS))]
    struck = [
        (DRUM_CHANNEL, turn * pulse_s, 0.1, drum)
        for turn in range(int(np.ceil(RENDERED_S / pulse_s)))
        for drum in pattern[turn % len(pattern)]
    ]
    velocity = np.clip(_VELOCITIES[plan.dynamics] + rng.normal(0, 8, len(struck)), 25, 127).round()
    return np.column_stack([np.array(struck, float), velocity])
