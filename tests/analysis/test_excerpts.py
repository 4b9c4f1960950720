"""Top-exciting excerpts of two filters that are known to hear one tone each."""

from types import SimpleNamespace

import numpy as np
import pytest
from known_networks import SR, filterbank, gabor_bank

from tagkit.analysis import excerpts, geometry, similarity

CENTRES = np.array([500.0, 2000.0])
SECONDS = 4


def burst(hz, at_s, level):
    """A clip of faint noise with a tone of a tenth of a second around a moment."""
    t = np.arange(SECONDS * SR) / SR
    noise = 1e-3 * np.random.default_rng(round(1e3 * at_s)).standard_normal(len(t))
    return (noise + level * np.sin(2 * np.pi * hz * t) * (np.abs(t - at_s) < 0.05)).astype(np.float32)


@pytest.fixture(scope="module")
def known():
    """Nine clips of seven pieces: piece a has three, each louder at 500 Hz than the clips of all other pieces."""
    where = [("a", 0.9, 500), ("a", 0.8, 500), ("a", 0.7, 500), ("b", 0.6, 500), ("c", 0.5, 500)]
    where += [("d", 0.3, 500), ("e", 0.6, 2000), ("f", 0.4, 2000), ("g", 0.2, 2000)]
    times = [0.5 + 0.3 * i for i in range(len(where))]
    clips = [burst(hz, at, level) for (_, level, hz), at in zip(where, times, strict=True)]
    model = filterbank(gabor_bank(CENTRES, 256), SECONDS * SR, stride=4, activation="relu", pool=16)
    heard = similarity.summarise(model, clips)
    (stage,) = geometry.stages(model)
    probe = SimpleNamespace(geometry={"conv1": stage})
    return SimpleNamespace(
        name="known",
        stages=["conv1"],
        clips=np.array([f"clip {i}" for i in range(len(clips))]),
        pieces=np.array([piece for piece, _, _ in where]),
        trained=SimpleNamespace(heard=heard, probe=probe),
        times=times,
        sounds=clips,
    )


def test_the_strongest_moments_are_found_one_in_each_piece(known):
    found = excerpts.moments(known, "conv1", 0, "most", 4)
    assert [each.piece for each in found] == ["a", "b", "c", "d"]
    assert [each.rank for each in found] == [1, 2, 3, 4] and found[0].pieces == 7
    for each, clip in zip(found, (0, 3, 4, 5), strict=True):
        assert each.clip_id == f"clip {clip}"
        assert each.time_s == pytest.approx(known.times[clip], abs=0.06)
    assert [each.piece for each in excerpts.moments(known, "conv1", 1, "most", 2)] == ["e", "f"]


def test_without_pieces_one_of_them_would_fill_the_list(known):
    """What a list that knows no pieces would say: the test above tells it from the right one."""
    careless = excerpts.strongest(known.trained.heard.maxima["conv1"], known.clips)[:3, 0]
    assert [known.pieces[row] for row in careless] == ["a", "a", "a"]


def test_median_and_least_come_from_the_middle_and_the_end(known):
    order = [known.pieces[row] for row in excerpts.strongest(known.trained.heard.maxima["conv1"], known.pieces)[:, 0]]
    (median,) = excerpts.moments(known, "conv1", 0, "median", 1)
    assert (median.piece, median.rank) == ("d", 4)
    least = excerpts.moments(known, "conv1", 0, "least", 2)
    assert [each.piece for each in least] == order[:-3:-1] and least[0].rank == 7
    values = [excerpts.moments(known, "conv1", 0, kind, 1)[0].value for kind in excerpts.KINDS]
    assert values[0] > 2 * values[1] > 20 * values[2]


def test_a_cut_holds_the_moment_and_stays_in_the_clip(known):
    (top,) = excerpts.moments(known, "conv1", 0, "most", 1)
    sound = excerpts.cut(known.sounds[0], SR, top.time_s)
    assert len(sound) == 1.5 * SR
    assert np.abs(sound).max() > 0.85
    assert np.array_equal(excerpts.cut(known.sounds[0], SR, 0.1), known.sounds[0][: round(1.5 * SR)])
    assert np.array_equal(excerpts.cut(known.sounds[0], SR, 99), known.sounds[0][-round(1.5 * SR) :])
    assert len(excerpts.cut(known.sounds[0][:100], SR, 0)) == 100


def test_what_is_not_there_is_named(known):
    with pytest.raises(ValueError, match="no stage 'conv9'; choose one of conv1"):
        excerpts.moments(known, "conv9", 0)
    with pytest.raises(IndexError, match="channels 0 to 1, not 2"):
        excerpts.moments(known, "conv1", 2)
    with pytest.raises(ValueError, match="'loudest'; use one of most, median, least"):
        excerpts.moments(known, "conv1", 0, "loudest")
