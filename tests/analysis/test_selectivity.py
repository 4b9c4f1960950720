"""Channels that tell a tag: found where they are planted, and nowhere else."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tagkit.analysis import selectivity


def test_selectivity_finds_the_channel_and_no_other():
    rng = np.random.default_rng(4)
    labels = rng.random((120, 5)) < 0.3
    labels[:, 4] = False
    means, maxima = rng.normal(size=(120, 64)), rng.normal(size=(120, 64))
    means[:, 7] += 2.5 * labels[:, 2]
    maxima[:, 9] -= 2.5 * labels[:, 0]
    found = selectivity.selectivity(means, maxima, labels, ["a", "b", "c", "d", "none"])
    assert found.auc["mean"][7, 2] == pytest.approx(roc_auc_score(labels[:, 2], means[:, 7]))
    table = found.table()
    assert list(table[["channel", "tag", "summary"]].itertuples(index=False, name=None)) == [(7, "c", "mean")]
    assert found.auc["max"][9, 0] < 0.2
    assert found.adjusted["max"][9, 0] < 0.001
    assert np.isnan(found.auc["mean"][:, 4]).all()
    assert (found.adjusted["mean"] <= 0.05).sum() <= 2


def test_selectivity_of_noise_is_nothing():
    rng = np.random.default_rng(5)
    labels = rng.random((75, 20)) < 0.2
    found = selectivity.selectivity(
        rng.normal(size=(75, 256)), rng.normal(size=(75, 256)), labels, [str(i) for i in range(20)]
    )
    assert found.auc["mean"].max() > 0.75  # the best of 5,120 chance results looks selective ...
    assert found.table().empty  # ... and is not


def planted(rng, clips=120):
    """Two stages; channel 3 of the second tells tag b, and everything rises with tag c."""
    labels = rng.random((clips, 3)) < 0.3
    means = {name: rng.normal(size=(clips, 16)) + 1.5 * labels[:, [2]] for name in ("conv1", "conv2")}
    means["conv2"][:, 3] += 3 * labels[:, 1]
    return means, labels


def test_one_clip_tells_nothing():
    x, labels = np.array([[1.0, 2.0]]), np.array([[True, False]])
    assert np.isnan(selectivity.selectivity(x, x, labels, ("a", "b")).auc["mean"]).all()


def test_stages_share_one_correction():
    rng = np.random.default_rng(6)
    means, labels = planted(rng)
    noise = {name: rng.normal(size=x.shape) for name, x in means.items()}
    found = selectivity.of_stages(means, noise, labels, ["a", "b", "c"])
    assert [found[s].auc["mean"].shape for s in found] == [(16, 3), (16, 3)]
    joined = selectivity.selectivity(*(np.concatenate(list(x.values()), 1) for x in (means, noise)), labels, "abc")
    np.testing.assert_array_equal(found["conv2"].adjusted["max"], joined.adjusted["max"][16:])
    alone = selectivity.selectivity(means["conv1"][:, :1], noise["conv1"][:, :1], labels, "abc")
    assert (alone.adjusted["mean"][0, 0]) <= found["conv1"].adjusted["mean"][0, 0]  # who asks less is told more
    table = selectivity.table(found)
    assert ("conv2", 3, "b", "mean") in set(table[["stage", "channel", "tag", "summary"]].itertuples(False, None))
    assert (table["tag"] != "a").all()


def test_a_channels_own_tag_is_not_the_one_that_all_of_them_know():
    rng = np.random.default_rng(7)
    means, labels = planted(rng)
    own = selectivity.own_tags(selectivity.of_stages(means, means, labels, ["a", "b", "c"])["conv2"])
    assert own[3].tag == "b" and own[3].tested
    assert own[3].auc == pytest.approx(roc_auc_score(labels[:, 1], means["conv2"][:, 3]))
    assert not selectivity.ChannelTag("b", 0.99).tested


def test_a_tag_that_comes_last_is_told_only_where_no_other_is():
    auc = np.array([[0.99, 0.85, 0.5], [0.99, 0.5, 0.6], [0.5, 0.6, 0.5], [0.5, 0.8, 0.5]])  # channels, tags
    p = np.where(auc > 0.8, 1e-5, 1.0)
    found = selectivity.Selectivity({"mean": auc}, {"mean": p}, ("loud", "harp", "flute"), np.full(3, 9))
    assert [own.tag for own in selectivity.own_tags(found)] == ["loud", "loud", "flute", "harp"]
    assert [own.tag for own in selectivity.own_tags(found, ["loud"])] == ["harp", "loud", "flute", "harp"]


def test_pieces_are_counted_once():
    assert selectivity.first_of_each(["b", "a", "b", "c", "a"]).tolist() == [0, 1, 3]


def loud_and_quiet(rng, clips=120):
    """Clips of noise whose level goes with tag b, and channels that know the level alone."""
    labels = rng.random((clips, 2)) < 0.4
    gain = 10 ** ((rng.normal(size=clips) * 3 + 12 * labels[:, 1]) / 20)
    return gain, labels


def test_level_is_taken_out_and_counted_by_itself():
    rng = np.random.default_rng(8)
    gain, labels = loud_and_quiet(rng)
    clips = [g * rng.normal(size=2000) for g in gain]
    matched = [selectivity.level_matched(y) for y in clips]
    np.testing.assert_allclose([np.sqrt(np.square(y).mean()) for y in matched], 0.1, rtol=1e-5)
    assert (selectivity.level_matched(np.zeros(10)) == 0).all()
    levels = np.array([20 * np.log10(np.sqrt(np.mean(y**2))) for y in clips])
    np.testing.assert_allclose(levels, 20 * np.log10(gain), atol=0.5)
    alone = selectivity.of_level(levels, labels, "ab")
    assert alone["b"] == pytest.approx(roc_auc_score(labels[:, 1], gain), abs=0.02) and alone["b"] > 0.95
    heard = [np.array([[np.abs(y).mean(), np.square(y).mean()] for y in each]) for each in (clips, matched)]
    told = [selectivity.count(selectivity.of_stages({"s": x}, {"s": x}, labels, "ab")) for x in heard]
    assert told == [2, 0]


def test_chance_has_a_null_of_each_networks_own():
    """Channels that all say the same are one question; independent ones are many, and their best is flattered more."""
    rng = np.random.default_rng(9)
    labels = rng.random((60, 4)) < 0.3
    alike = np.repeat(rng.normal(size=(60, 1)), 64, axis=1)
    nulls = [
        selectivity.chance({"s": x}, {"s": x}, labels, permutations=60) for x in (alike, rng.normal(size=(60, 64)))
    ]
    assert nulls[0].flattery.mean() + 0.1 < nulls[1].flattery.mean()
    assert nulls[1].channels.mean() < 1
    dealt = labels[np.random.default_rng(0).permutation(60)]  # the first one, by sklearn
    best = [roc_auc_score(dealt[:, tag], alike[:, 0]) for tag in range(4)]
    np.testing.assert_allclose(nulls[0].best[0], best)
    assert (nulls[0].p(np.ones(4)) == 1 / 61).all() and (nulls[0].p(np.zeros(4)) == 1).all()


def test_what_training_gave_is_freed_of_chance():
    rng = np.random.default_rng(10)
    labels = rng.random((90, 24)) < 0.3
    narrow, wide = (np.repeat(rng.normal(size=(90, n)), 128 // n, axis=1) for n in (2, 128))
    scored = []
    for x in (wide, narrow):
        found = selectivity.best_of(selectivity.of_stages({"s": x}, {"s": x}, labels, [str(k) for k in range(24)]))
        scored.append((found, selectivity.chance({"s": x}, {"s": x}, labels, permutations=100)))
    raw = (scored[0][0] - scored[1][0]).mean()
    gain = selectivity.best_gain(*scored)
    assert raw > 0.08 and abs(gain.value) < raw / 3  # neither knows anything: the wide one only asks more often
    told = wide + 0
    told[:, :24] += 2 * labels
    found = selectivity.best_of(selectivity.of_stages({"s": told}, {"s": told}, labels, [str(k) for k in range(24)]))
    assert selectivity.best_gain((found, scored[0][1]), scored[1]).low > 0.1
    assert np.isnan(selectivity.best_gain(*scored, kept=np.arange(24) < 1).low)
