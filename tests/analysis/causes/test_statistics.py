"""Effects over pieces: scipy's t test, honest false positives, and no certainty from few pieces."""

import numpy as np
import pytest
from scipy import stats

from tagkit.analysis.causes.statistics import FEWEST_PIECES, effect
from tagkit.evaluation.compare import holm


def test_it_is_the_t_test_of_the_pieces_means():
    rng = np.random.default_rng(0)
    pieces = np.repeat(list("abcdefghij"), rng.integers(1, 5, 10))
    differences = rng.normal(0.5, 1, (len(pieces), 3))
    found = effect(differences, pieces)
    means = np.array([differences[pieces == name].mean(axis=0) for name in "abcdefghij"])
    expected = stats.ttest_1samp(means, 0)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found.score == pytest.approx(means.mean(axis=0) / means.std(axis=0, ddof=1))
    assert found.pieces == 10


def test_false_positives_are_as_rare_as_stated():
    """Nothing is there: observations of a piece resemble each other, quantities go together, tails are heavy."""
    rng = np.random.default_rng(1)
    pieces = np.repeat(np.arange(14), [1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8])
    single, family, trials = 0, 0, 1_500
    for _ in range(trials):
        own = rng.standard_t(6, (14, 1)) + rng.standard_t(6, (14, 20))
        found = effect(own[pieces] + rng.normal(0, 0.5, (len(pieces), 20)), pieces)
        single += found.p[0] <= 0.05
        family += holm(found.p).min() <= 0.05
    low, high = stats.binomtest(single, trials).proportion_ci(0.999)
    assert low <= 0.05 <= high
    assert family / trials <= 0.06
    # What a careless test would do: every observation counted as a piece of its own.
    careless = 0
    for _ in range(300):
        own = rng.standard_t(6, (14, 1))
        careless += effect(own[pieces], np.arange(len(pieces))).p[0] <= 0.05
    assert careless / 300 > 0.15


def test_few_pieces_prove_nothing():
    n = FEWEST_PIECES - 1
    found = effect(np.ones((n, 2)), np.arange(n))
    assert found.mean == pytest.approx([1, 1])
    assert np.isnan([*found.low, *found.high, *found.p]).all()
