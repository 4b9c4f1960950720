"""Comparing networks: acceptance check 10, and comparisons that know when there is nothing to see."""

import dataclasses

import numpy as np
import pytest
from known_networks import small_tagger

from tagkit.analysis import feature_maps, similarity
from tagkit.graph import zoo


def biased_cka(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return np.linalg.norm(x.T @ y) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def test_check_10_cka():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 128)) * rng.uniform(0.5, 2, 128)
    rotation, _ = np.linalg.qr(rng.normal(size=(128, 128)))
    assert similarity.cka(x, x) == pytest.approx(1)
    assert similarity.cka(x, 3 * x @ rotation + 5) == pytest.approx(1)
    independent = [similarity.cka(x, rng.normal(size=(256, 64))) for _ in range(20)]
    assert abs(np.mean(independent)) < 0.02
    # A deliberately wrong estimator: the usual, biased CKA of independent data.
    assert biased_cka(rng.normal(size=(64, 128)), rng.normal(size=(64, 128))) > 0.5


def shared(n: int, strength: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 4)) * strength
    return tuple(common @ rng.normal(size=(4, 16)) + rng.normal(size=(n, 16)) for _ in range(2))


def test_jackknife_interval_covers():
    x, y = shared(3000, 0.7, 1)
    truth = similarity.cka(x, y)
    rng = np.random.default_rng(2)
    hits, widths = 0, []
    for i in range(25):
        some = rng.choice(3000, 256, replace=False)
        found = similarity.cka_interval(x[some], y[some], seed=i)
        hits += found.low <= truth <= found.high
        widths.append(found.high - found.low)
    assert hits >= 21
    assert np.mean(widths) < 0.4


def test_dimensions_count_what_differs():
    rng = np.random.default_rng(5)
    one = rng.normal(size=(400, 1)) @ rng.normal(size=(1, 32))
    assert similarity.dimensions(one).value == pytest.approx(1)
    few = similarity.dimensions(rng.normal(size=(4000, 4)) @ np.linalg.qr(rng.normal(size=(32, 4)))[0].T)
    assert few.low < 4 and few.value == pytest.approx(4, rel=0.02)
    assert few.low < few.value < few.high < 4.2


def test_cka_refuses_what_it_cannot_say():
    with pytest.raises(ValueError, match="100 clips are too few"):
        similarity.cka_interval(*shared(100, 1, 0))
    with pytest.raises(ValueError, match="same clips"):
        similarity.cka_interval(np.ones((300, 2)), np.ones((301, 2)))


def test_groups_are_left_out_together():
    x, y = shared(64, 0.7, 3)
    groups = np.repeat(np.arange(64), 4)
    x, y = np.repeat(x, 4, axis=0), np.repeat(y, 4, axis=0)  # every clip four times: no news
    alone = similarity.cka_interval(x, y)
    together = similarity.cka_interval(x, y, groups=groups)
    assert together.high - together.low > 1.3 * (alone.high - alone.low)


def test_cka_matrix_finds_the_same_stage():
    one = {"conv1": shared(256, 1, 0)[0], "conv2": shared(256, 1, 1)[0]}
    value, low, high = similarity.cka_matrix(one, one)
    assert value.shape == (2, 2)
    assert value[0, 0] == pytest.approx(1)
    assert abs(value[0, 1]) < 0.2
    assert (low <= value + 1e-9).all()
    assert (high >= value - 1e-9).all()


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(6)
    swell = np.abs(rng.normal(size=(8, 6))).repeat(1000, axis=1)
    return list((0.1 * swell * rng.normal(size=(8, 6000))).clip(-1, 1).astype(np.float32))


def test_summaries_are_those_of_every_clip(clips):
    model = small_tagger()
    found = similarity.summarise(model, clips)
    maps = feature_maps.compute(model, clips[3])
    assert list(found.means) == list(maps.maps)
    np.testing.assert_allclose(found.means["conv3"][3], maps.maps["conv3"].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.maxima["conv3"][3], maps.maps["conv3"].max(axis=0))
    assert found.of(np.array([3, 5])).means["conv3"].shape == (2, 12)
    np.testing.assert_allclose(found.spreads["conv3"][3], maps.maps["conv3"].std(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(found.peaks["conv3"][3], maps.maps["conv3"].argmax(axis=0))
    with pytest.raises(ValueError, match="no clips"):
        similarity.summarise(model, [])


def test_profiles_do_not_hear_the_level():
    rng = np.random.default_rng(9)
    spread = np.exp(rng.normal(size=(40, 8)))
    spread[:, 2] = 0  # a dead channel
    louder = spread * np.exp(rng.normal(size=(40, 1)))
    quiet, loud = (similarity.Summaries({}, {}, {"conv1": x}, {}).profiles()["conv1"] for x in (spread, louder))
    assert quiet.shape == (40, 7)
    np.testing.assert_allclose(loud, quiet, atol=1e-9)


def test_matching_undoes_a_permutation(clips):
    maps = list(feature_maps.stream(small_tagger(), clips, ["conv2"]))
    live = np.flatnonzero(maps[0].maps["conv2"].std(axis=0) > 1e-6)
    order = np.random.default_rng(7).permutation(live)
    turned = [dataclasses.replace(m, maps={"conv2": -2 * m.maps["conv2"][:, order] + 1}) for m in maps]
    kept = [dataclasses.replace(m, maps={"conv2": m.maps["conv2"][:, live]}) for m in maps]
    found = similarity.match_channels(kept, "conv2", turned, "conv2")
    np.testing.assert_array_equal(live[found.pairs[:, 0]], order[found.pairs[:, 1]])
    np.testing.assert_allclose(found.correlation, -1, atol=1e-5)
    assert found.p == pytest.approx(1 / 21)


def test_matching_against_noise_is_no_better_than_its_null(clips):
    maps = list(feature_maps.stream(small_tagger(), clips, ["conv3"]))
    rng = np.random.default_rng(8)
    noise = [dataclasses.replace(m, maps={"conv3": rng.normal(size=m.maps["conv3"].shape)}) for m in maps]
    assert similarity.match_channels(maps, "conv3", noise, "conv3").p > 0.05


def test_stages_of_different_strides_are_aligned(clips):
    (maps,) = feature_maps.stream(small_tagger(), clips[:1], ["conv2", "conv4"])
    slow, fast = similarity.aligned(maps, "conv4", maps, "conv2")
    assert len(slow) == len(fast)
    back = similarity.aligned(maps, "conv2", maps, "conv4")
    np.testing.assert_allclose(back[0], fast)
    ramp = {"conv2": maps.times("conv2")[:, None], "conv4": maps.times("conv4")[:, None]}
    a, b = similarity.aligned(
        dataclasses.replace(maps, maps=ramp), "conv4", dataclasses.replace(maps, maps=ramp), "conv2"
    )
    np.testing.assert_allclose(a[1:], b[1:], atol=1e-6)  # what happens at the same time stands in the same row


def test_the_random_control_is_where_training_began():
    model = zoo.build("ds256rc")
    start = [w.copy() for w in model.get_weights()]
    model.set_weights([w + 1 for w in start])
    control = similarity.random_control(model)
    assert all(np.array_equal(a, b) for a, b in zip(start, control.get_weights(), strict=True))
