"""The demo's scores and pieces: read as music21 reads them, and the same music recognised as such."""

import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tagkit.data.demo import pieces, scores
from tagkit.data.demo.scores import Score


@pytest.mark.parametrize("name", ["bach/bwv66.6.mxl", "mozart/k156/movement4.mxl", "monteverdi/madrigal.4.6.mxl"])
def test_notes_are_those_that_music21_reads(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # music21's own
        from music21 import corpus, harmony

        parsed = corpus.parse(name).toSoundingPitch().stripTies()
    expected = {
        (round(float(note.offset), 2), pitch.midi)
        for part in parsed.parts
        for note in part.flatten().notes
        if not note.duration.isGrace and not isinstance(note, harmony.ChordSymbol)
        for pitch in note.pitches
    }
    assert {(round(float(n[1]), 2), int(n[3])) for n in scores.read(name).notes} == expected


def test_ties_chords_voices_grace_notes_and_transposing_instruments():
    def note(step, duration, inside="", tie=""):
        pitch = f"<pitch><step>{step}</step><octave>4</octave></pitch>"
        return f"<note>{inside}{pitch}{f'<duration>{duration}</duration>' if duration else ''}{tie}</note>"

    start, stop = '<tie type="start"/>', '<tie type="stop"/>'
    attributes = "<attributes><divisions>2</divisions><transpose><chromatic>-2</chromatic></transpose></attributes>"
    first = attributes + note("C", 4) + note("E", 4, "<chord/>") + note("B", 0, "<grace/>") + note("G", 4, tie=start)
    voice = "<backup><duration>8</duration></backup><forward><duration>6</duration></forward>" + note("A", 2)
    second = note("G", 2, tie=stop) + note("G", 2)
    root = ET.fromstring(
        f"<score-partwise><part><measure>{first}{voice}</measure><measure>{second}</measure></part></score-partwise>"
    )
    expected = [[0, 0, 2, 62], [0, 0, 2, 58], [0, 2, 3, 65], [0, 3, 1, 67], [0, 5, 1, 65]]
    assert scores.parse(root).tolist() == expected


def test_no_score_with_reserved_rights_is_used(pool):
    names = [score.name for score in pool[0]]
    assert len(names) > 500
    assert not [name for name in names if name.startswith(("palestrina", "essenFolksong"))]
    reserved = b"<score-partwise><identification><rights>(c) 2003, a publisher</rights></identification>"
    assert not scores._free(reserved)
    assert scores._free(reserved.replace(b"a publisher", b"CC-BY"))


def test_no_passage_is_in_two_parts_of_the_split(pool):
    members, piece = pool
    part = pieces.split(members, piece)
    heard = {"train": set(), "valid": set(), "test": set()}
    for score, number in zip(members, piece, strict=True):
        heard[part[int(number)]].update(pieces.passages(score.notes).tolist())
    assert min(map(len, heard.values())) > 2_000
    assert not heard["train"] & heard["test"]
    assert not heard["train"] & heard["valid"]
    assert not heard["valid"] & heard["test"]


def test_chorales_of_one_tune_are_one_piece(pool):
    numbers = {score.name: int(number) for score, number in zip(*pool, strict=True)}
    # "O Haupt voll Blut und Wunden" and "Jesu, meine Freude", each under several numbers and in several keys.
    assert len({numbers[f"bach/bwv{n}.mxl"] for n in ("244.54", "244.62", "270", "271", "135.6", "153.5")}) == 1
    assert len({numbers[f"bach/bwv{n}.mxl"] for n in ("227.1", "227.3", "227.7", "358", "64.8", "81.7")}) == 1
    assert len({numbers[f"mozart/k156/movement{n}.mxl"] for n in (1, 2, 3, 4)}) == 1


def copy_of(score, how, rng):
    notes = score.notes.copy()
    if how == "transposed":
        notes[:, 3] += 5
    elif how == "excerpt":
        notes = notes[(notes[:, 1] >= 16) & (notes[:, 1] < 40)]
    elif how == "half the speed":
        notes[:, 1:3] *= 2
    else:  # ornamented: a passing note between the beats after a third of the notes
        turned = notes[(rng.random(len(notes)) < 1 / 3) & (notes[:, 2] <= 1)]
        turned[:, 1] += turned[:, 2] / 2
        turned[:, 3] += 2
        notes = np.concatenate([notes, turned])
        notes = notes[np.lexsort((-notes[:, 3], notes[:, 1], notes[:, 0]))]
    return Score(f"{how}.xml", "", notes)


@pytest.mark.parametrize("how", ["transposed", "excerpt", "half the speed", "ornamented"])
def test_a_disguised_copy_joins_its_piece(pool, how):
    rng = np.random.default_rng(1)
    chorales = [score for score in pool[0] if score.name.startswith("bach/bwv3") and score.quarters > 40][:12]
    copies = [copy_of(score, how, rng) for score in chorales]
    piece = pieces.find([*chorales, *copies])
    assert (piece[: len(chorales)] == piece[len(chorales) :]).all()


def test_split_is_about_65_10_25_and_fixed(pool):
    members, piece = pool
    part = list(pieces.split(members, piece).values())
    assert [part.count(name) / len(part) for name in ("train", "valid", "test")] == pytest.approx(
        [0.65, 0.10, 0.25], abs=0.03
    )
