"""The demo's arrangements: tags are true of the MIDI that is played, and frequent enough in every part."""

import io
import itertools
from collections import Counter

import mido
import numpy as np
import pretty_midi
import pytest

from tagkit.data.demo import build, synthesis
from tagkit.data.demo.arrange import DRUM_CHANNEL, INSTRUMENTS, SECONDS, TAGS, Arrangement, midi
from tagkit.data.layout import read_layout
from tagkit.data.magnatagatune import TOP50


@pytest.fixture(scope="module")
def clips(pool):
    """The 300 clips of seed 0, planned."""
    return list(itertools.islice(build.demo_clips(*pool, seed=0), 300))


@pytest.fixture(scope="module")
def arrangements(clips):
    return [clip.arrange() for clip in clips]


def test_every_tag_is_frequent_enough_in_every_part(clips, arrangements):
    counts = {part: Counter() for part in ("train", "valid", "test")}
    for clip, arrangement in zip(clips, arrangements, strict=True):
        counts[clip.part].update(arrangement.tags)
    assert Counter(clip.part for clip in clips) == {"train": 195, "valid": 30, "test": 75}
    assert len(TAGS) >= 19
    for tag in TAGS:
        assert counts["train"][tag] >= 20
        assert counts["valid"][tag] >= 3
        assert 8 <= counts["test"][tag] <= 67


def test_tags_are_those_that_were_planned(clips, arrangements):
    for clip, arrangement in zip(clips, arrangements, strict=True):
        plan = clip.plan
        planned = {*plan.instruments, plan.tempo, plan.dynamics, "drums" if plan.drums else ""} - {""}
        implied = {"strings", "solo"}
        assert set(arrangement.tags) - implied == planned - implied


def test_tags_agree_with_the_midi_that_is_played(clips, arrangements):
    """Read back with another library and tagged anew from what is there."""
    names = {program: name for name, player in INSTRUMENTS.items() for program in player.programs}
    for arrangement in arrangements[::5]:
        played = pretty_midi.PrettyMIDI(io.BytesIO(midi(arrangement)))
        pitched = [track for track in played.instruments if not track.is_drum]
        heard = {names[track.program] for track in pitched}
        onsets = sorted(note.start for track in played.instruments for note in track.notes if note.start < SECONDS)
        apart, last = 0, -1.0
        for onset in onsets:
            if onset - last > 0.05:
                apart, last = apart + 1, onset
        rate = apart / SECONDS
        expected = heard | ({"strings"} if heard & {"violin", "cello"} else set())
        expected |= {"drums"} if len(pitched) < len(played.instruments) else set()
        expected |= {"fast"} if rate >= 5 else {"slow"} if rate <= 2 else set()
        alone = len(played.instruments) == 1 and not heard & {"choir", "strings", "synth"}
        expected |= {"solo"} if alone else set()
        assert set(arrangement.tags) - {"loud", "quiet"} == expected
        assert played.get_end_time() >= SECONDS


def test_every_instrument_is_heard_nearly_all_the_time(arrangements):
    """In each window of 2.4 s every instrument sounds, but for a few windows of slow music."""
    windows = silent = 0
    for arrangement in arrangements:
        for channel in arrangement.programs:
            notes = arrangement.notes[arrangement.notes[:, 0] == channel]
            for start in np.arange(0, SECONDS - 2.4, 2.4):
                sounding = (notes[:, 1] < start + 2.4) & (notes[:, 1] + notes[:, 2] > start)
                windows, silent = windows + 1, silent + (not sounding.any())
    assert silent / windows < 0.005


def test_instruments_stay_in_their_range_and_strike_no_sounding_pitch(arrangements):
    for arrangement in arrangements:
        notes = arrangement.notes
        for channel, program in arrangement.programs.items():
            own = notes[notes[:, 0] == channel]
            player = next(player for player in INSTRUMENTS.values() if program in player.programs)
            assert own[:, 3].min() >= player.low
            assert own[:, 3].max() <= player.high
            for pitch in np.unique(own[:, 3]):
                same = own[own[:, 3] == pitch]
                assert (same[:-1, 1] + same[:-1, 2] < same[1:, 1]).all()
        assert (notes[:, 2] > 0).all()
        assert max(arrangement.volumes.values()) <= 127


def test_tags_have_the_names_of_magnatagatune():
    assert set(TAGS) <= set(TOP50) | {"organ", "trumpet", "clarinet"}


@pytest.mark.real_data
def test_all_tags_are_in_magnatagatunes_vocabulary(real_data):
    assert set(TAGS) <= set(read_layout(real_data / "mtat-metadata")[1].columns)


def test_more_clips_begin_with_the_same_ones_and_another_seed_differs(pool, clips):
    more = list(itertools.islice(build.demo_clips(*pool, seed=0), 320))
    assert [clip.plan for clip in more[:300]] == [clip.plan for clip in clips]
    assert len({clip.path for clip in more}) == 320
    other = list(itertools.islice(build.demo_clips(*pool, seed=1), 300))
    assert [clip.plan for clip in other] != [clip.plan for clip in clips]
    # The part of a piece does not depend on the seed.
    part = {clip.piece: clip.part for clip in clips}
    assert all(part.get(clip.piece, clip.part) == clip.part for clip in other)


@pytest.mark.parametrize("name", [name for name, player in INSTRUMENTS.items()])
def test_every_instrument_plays_in_tune(name):
    """A4 is 440 Hz: the partial nearest to it, and the octave, are within a fifth of a semitone."""
    for program in INSTRUMENTS[name].programs:
        notes = np.array([[0, 0.0, 2.0, 69, 90]])
        y = synthesis.synthesize(midi(Arrangement(notes, {0: program}, {0: 100}, -20.0)))[:32_000]
        spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y)), 2**20))
        hz = np.fft.rfftfreq(2**20, 1 / synthesis.SR)
        for partial in (440, 880):
            near = (hz > partial * 0.95) & (hz < partial * 1.05)
            peak = hz[near][spectrum[near].argmax()]
            assert abs(1200 * np.log2(peak / partial)) < 20  # its strings play 16 cents flat


def test_midi_is_a_standard_file(arrangements):
    arrangement = next(each for each in arrangements if "drums" in each.tags)
    file = mido.MidiFile(file=io.BytesIO(midi(arrangement)))
    assert file.length >= SECONDS
    assert {message.channel for message in file if message.type == "note_on"} == {
        *arrangement.programs,
        DRUM_CHANNEL,
    }
