"""Voices of a rendered clip: they add up, muting one leaves the rest as it was, swapping keeps its level."""

import itertools

import numpy as np
import pytest
import soundfile

from tagkit.data import demo
from tagkit.data.catalog import CatalogError
from tagkit.data.demo import build, synthesis, voices
from tagkit.data.demo.arrange import Arrangement

NOTES = np.array([[0, 0.0, 1.0, 69, 90], [1, 0.5, 1.0, 57, 90], [9, 1.0, 0.1, 38, 90]])
TRIO = Arrangement(NOTES, {0: 73, 1: 42}, {0: 90, 1: 100, 9: 80}, level_db=-26.0)


@pytest.fixture(scope="module")
def trio():
    return voices.apart(TRIO)


def test_a_voice_is_what_muting_it_takes_away(trio):
    assert list(trio.stems) == ["flute", "cello", "drums"]
    assert np.array_equal(trio.full, synthesis.play(TRIO))
    for voice in trio.stems:
        assert np.abs(trio.full.astype(int) - trio.without(voice) - trio.only(voice)).max() <= 1
    assert trio.only("flute")[:8000].std() > 1  # it plays before the cello does
    assert not trio.without("flute")[:7000].any()


def test_a_clip_without_a_voice_is_the_one_rendered_without_it(trio):
    rendered = synthesis.render(voices._solo(TRIO, 1)) + synthesis.render(voices._solo(TRIO, 9))
    other = synthesis.to_int16(rendered, trio.gain)
    assert np.abs(trio.without("flute").astype(int) - other).max() <= 1 + 3 * trio.gain


def test_a_swapped_voice_plays_the_same_notes_as_loud_as_before(trio):
    swapped = trio.swapped("flute", "clarinet")
    new = swapped / 32768 - trio.without("flute") / 32768
    assert voices.rms(new) == pytest.approx(voices.rms(trio.only("flute") / 32768), rel=0.01)
    spectrum = np.abs(np.fft.rfft(new[:16_000]))
    assert spectrum.argmax() % 440 in (0, 1, 439)  # 1 Hz a bin; A4 is MIDI pitch 69
    assert np.corrcoef(new, trio.only("flute"))[0, 1] < 0.9


def test_what_cannot_be_is_refused(trio):
    with pytest.raises(CatalogError, match="no voice 'harp'; its voices are flute, cello, drums"):
        trio.without("harp")
    with pytest.raises(CatalogError, match="drums' notes cannot be played by harp"):
        trio.swapped("drums", "harp")
    with pytest.raises(CatalogError, match="no instrument 'kazoo'; choose one of guitar, piano"):
        trio.swapped("flute", "kazoo")


def test_voices_add_up_even_where_the_synthesiser_cuts_notes_short():
    pitches = np.arange(24, 104)  # 80 notes at once in each of two voices, more than it can play
    crowd = np.concatenate([np.column_stack(np.broadcast_arrays(c, 0.0, 2.0, pitches, 90)) for c in (0, 1)])
    found = voices.apart(Arrangement(crowd, {0: 52, 1: 48}, {0: 90, 1: 90}, level_db=-26.0))
    assert np.abs(found.mix - sum(found.stems.values())).max() < 4 / 32768


def test_stems_are_written_and_kept(new_root):
    root = new_root()
    demo.render(root, 2, jobs=1, progress=False)
    voices.write_stems(root, jobs=1, progress=False)
    for clip in itertools.islice(build.demo_clips(*build.load_scores(root), 0), 2):
        paths = sorted((root / "stems" / clip.clip_id).glob("*.flac"))
        assert [path.stem for path in paths] == sorted(voices.channels(clip.arrange()))
        whole = soundfile.read(root / clip.path, dtype="int16")[0].astype(int)
        parts = sum(soundfile.read(path, dtype="int16")[0].astype(int) for path in paths)
        step = voices.apart(clip).gain  # of the synthesiser's 16 bits
        assert np.abs(whole - parts).max() <= 1 + len(paths) * (1 + step)
    written = {path: path.stat().st_mtime_ns for path in (root / "stems").rglob("*.flac")}
    voices.write_stems(root, jobs=1, progress=False)
    assert written == {path: path.stat().st_mtime_ns for path in (root / "stems").rglob("*.flac")}
