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


def test_pieces_are_counted_once():
    assert selectivity.first_of_each(["b", "a", "b", "c", "a"]).tolist() == [0, 1, 3]
