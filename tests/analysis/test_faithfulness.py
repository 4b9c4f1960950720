"""Faithfulness where it is known: filters that hear one tone each, and a clip in which these come and go."""

import numpy as np
import pytest
from known_networks import SR, filterbank, gabor_bank
from scipy import stats

from tagkit.analysis import feature_maps
from tagkit.analysis.causes import faithfulness
from tagkit.analysis.causes.statistics import effect
from tagkit.analysis.feature_maps import FeatureExtractor
from tagkit.analysis.signals import CannotPlay
from tagkit.analysis.sonify import Tuned

CENTRES = np.array([400.0, 1200.0, 3500.0])
SAMPLES = 2 * SR


def clip(seed=0):
    """Three tones; the lowest one is much the loudest, and each comes and goes in its own rhythm."""
    t, rng = np.arange(SAMPLES) / SR, np.random.default_rng(seed)
    y = 0.01 * rng.standard_normal(SAMPLES)
    for hz, level, rate in zip(CENTRES, (0.5, 0.1, 0.1), rng.uniform(1.5, 4, 3), strict=True):
        on = np.sin(2 * np.pi * rate * t + rng.uniform(0, 6)) > 0.3
        y += level * np.sin(2 * np.pi * hz * t) * on
    return y.astype(np.float32)


@pytest.fixture(scope="module")
def network():
    return filterbank(gabor_bank(CENTRES, 512), SAMPLES, stride=16, activation="relu", pool=8)


@pytest.fixture(scope="module")
def extract(network):
    return FeatureExtractor(network, ["conv1"])


def tuned(channel):
    return Tuned(CENTRES[channel], (CENTRES[channel] / 1.15, CENTRES[channel] * 1.15))


def found(network, extract, mode, channel, probe=None, **settings):
    probe = probe or tuned(channel)
    return faithfulness.of_sound(network, extract(clip()), "conv1", channel, mode, probe, extract=extract, **settings)


@pytest.mark.parametrize("mode", faithfulness.MODES)
@pytest.mark.parametrize("channel", [1, 2])
def test_the_sound_of_a_channel_carries_its_answer_and_its_controls_do_not(network, extract, mode, channel):
    one = found(network, extract, mode, channel, draws=19)
    assert one.carried > 0.85
    assert np.median(one.random) < 0.4 and one.p <= 0.1
    assert one.energy < 0.2, "the loudest bins are those of another channel's tone"
    assert f"carries {one.carried:.0%}" in one.words()


@pytest.mark.parametrize("mode", ["gated", "carrier"])
def test_a_sound_that_was_made_wrongly_carries_little(network, extract, mode):
    """The band of a neighbour: what an implementation that mixes channels up would play."""
    wrong = found(network, extract, mode, 1, tuned(2))
    assert wrong.carried < 0.3


def test_a_share_is_that_of_the_best_gain_up_to_1():
    rng = np.random.default_rng(3)
    a, b, rest = rng.standard_normal(50), rng.standard_normal(50), rng.standard_normal(50)
    gains = np.linspace(0, 1, 100_001)
    least = min(np.square(g * b - a).sum() for g in gains[::100])
    assert faithfulness.share(b + rest, a + rest, rest) == pytest.approx(1 - least / (a @ a), abs=1e-4)
    assert faithfulness.share(np.stack([3 * a, 0.5 * a, -a, 0 * a]), a, 0 * a) == pytest.approx([1, 0.75, 0, 0])
    assert faithfulness.share(a, 0 * a, 0 * a) == 0


def test_every_sound_of_a_stage_carries_its_own_channel(extract, network):
    y = clip()
    maps = feature_maps.compute(network, y)
    sounds = [faithfulness.AIMS["gated"](faithfulness.Scene(maps, "conv1", c, tuned(c)))[0] for c in range(3)]
    shares = faithfulness.matrix(extract, y, "conv1", [0, 1, 2], [*sounds, None])
    assert np.diag(shares[:3]).min() > 0.85
    assert shares[:3][~np.eye(3, dtype=bool)].max() < 0.3
    assert np.isnan(shares[3]).all()


def test_deletion_and_insertion_tell_a_good_order_from_energy_and_chance(extract, network):
    y, rng = clip(), np.random.default_rng(0)
    magnitude = np.abs(faithfulness.attribution.stft(SR).stft(y.astype(float)))
    own = faithfulness.attribution.masked(network, y, "conv1", 1).mask
    areas = {}
    for name, order in {"own": own, "energy": magnitude, "chance": rng.random(magnitude.shape)}.items():
        deletion, insertion = faithfulness.deletion_insertion(extract, y, "conv1", 1, order)
        areas[name] = deletion.mean(), insertion.mean()
    assert areas["own"][0] < 0.5 * min(areas["energy"][0], areas["chance"][0])
    assert areas["own"][1] > 0.8 and areas["own"][1] > areas["chance"][1] + 0.2


def test_drop_and_gain():
    before, after = np.array([0.8, 0.5]), np.array([0.4, 0.75])
    assert faithfulness.drop_and_gain(before, after) == pytest.approx((0.25, 0.25))


def test_a_sound_that_is_aimed_at_random_passes_for_faithful_as_rarely_as_stated(network, extract):
    """The null on independent clips: a sound that was aimed at random beside others that were."""
    trials, draws, small = 96, 19, 0
    differences = []
    for seed in range(trials):
        rng, maps = np.random.default_rng([7, seed]), extract(clip(seed)[: SR // 2])
        _, aim = faithfulness.AIMS["carrier"](faithfulness.Scene(maps, "conv1", 1, tuned(1)))
        shares = faithfulness.matrix(extract, maps.y, "conv1", [1], [aim(rng) for _ in range(draws + 1)])[:, 0]
        one = faithfulness.Faithfulness(shares[0], shares[1:], 0.0)
        small += one.p <= 0.05
        differences.append(one.carried - one.random.mean())
    low, high = stats.binomtest(int(small), trials).proportion_ci(0.999)
    assert low <= 0.05 <= high
    pieces = np.array(differences).reshape(-1, 12)[..., None]
    found = [effect(each, np.arange(12)) for each in pieces]
    assert sum(one.p[0] <= 0.05 and one.mean[0] > 0 for one in found) <= 1


def test_what_cannot_be_measured_is_named(network, extract):
    with pytest.raises(CannotPlay, match="measured of gated, mask, carrier, not of 'saliency'"):
        found(network, extract, "saliency", 1)
