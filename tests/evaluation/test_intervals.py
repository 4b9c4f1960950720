import numpy as np
import pytest
from scipy import stats

from tagkit.evaluation import intervals

rng = np.random.default_rng(0)


def test_an_interval_is_students_on_the_logit_scale():
    resamples = 0.8 + 0.02 * stats.norm.ppf(np.linspace(0.001, 0.999, 999))
    found = intervals.interval(0.8, resamples, 20)
    slope = 0.8 * 0.2
    reach = stats.t.ppf(0.975, 19) * resamples.std(ddof=1) * np.sqrt(20 / 19) / slope
    odds = np.log(0.8 / 0.2)
    expected = [1 / (1 + np.exp(-(odds - reach))), 1 / (1 + np.exp(-(odds + reach)))]
    assert [found.low, found.high] == pytest.approx(expected, abs=1e-4)


def test_an_interval_leaves_out_the_bias_but_holds_its_score():
    """Resamples score .02 higher, so the clips score about .03 too high."""
    resamples = 0.72 + 0.01 * rng.standard_normal(1000)
    found = intervals.interval(0.7, resamples, 60)
    assert (found.low + found.high) / 2 == pytest.approx(0.67, abs=0.005)
    assert intervals.interval(0.7, 0.75 + 0.001 * rng.standard_normal(1000), 60).high == 0.7


@pytest.mark.parametrize(
    ("value", "resamples", "clusters"),
    [
        (1.0, np.full(100, 1.0), 30),
        (1.0, np.linspace(0.9, 1.0, 100), 30),
        (0.9, np.full(100, 0.9), 30),
        (0.9, rng.normal(0.9, 0.01, 100), intervals.FEWEST_CLUSTERS - 1),
        (0.9, np.full(100, np.nan), 30),
    ],
)
def test_what_clips_cannot_tell_is_unknown(value, resamples, clusters):
    found = intervals.interval(value, resamples, clusters)
    assert not found.known and np.isnan(found.high)
    assert str(found) == f"{value:.3f} [unknown]"


def test_a_difference_without_spread_or_with_few_clusters_has_no_p():
    one = rng.normal(0.9, 0.01, 500)
    same = intervals.difference([0.9], [0.9], one, one, 60)
    assert np.isnan(same.p) and same.interval.text("+") == "+0.000 [unknown]"
    assert np.isnan(intervals.difference([0.9], [0.8], one, rng.normal(0.8, 0.01, 500), 1).p)


def test_seeds_widen_a_difference_as_welch_says():
    """Where clips tell no difference apart, the test is scipy's of unequal variances."""
    values, reference = [0.90, 0.91, 0.93, 0.92], [0.88, 0.91, 0.90]
    gain = np.mean(values) - np.mean(reference)
    resamples = gain + 1e-6 * stats.norm.ppf(np.linspace(0.001, 0.999, 999))
    found = intervals.difference(values, reference, resamples, np.zeros(999), 60)
    assert found.p == pytest.approx(stats.ttest_ind(values, reference, equal_var=False).pvalue, rel=1e-3)
    welch = stats.ttest_ind(values, reference, equal_var=False).confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx((welch.low, welch.high), abs=1e-4)
    alone = intervals.difference([np.mean(values)], reference, resamples, np.zeros(999), 60)
    assert found.over_seeds and not alone.over_seeds
    assert alone.p < 1e-6


def test_unequal_clusters_count_as_fewer():
    assert intervals.effective_clusters(np.array(["a", "a", "b", "b"])) == 2
    assert intervals.effective_clusters(np.array(["a"] * 8 + ["b", "c"])) == pytest.approx(100 / 66)


def test_an_interval_over_seeds_covers_what_further_trainings_would_score():
    """Clips and trainings both vary; the interval of the clips alone is too short."""
    rng = np.random.default_rng(0)
    hits = {"both": 0, "clips": 0}
    for _ in range(400):
        clips = rng.normal(0, 0.1, 50)
        trainings = 0.8 + clips.mean() + rng.normal(0, 0.03, 3)
        resamples = trainings.mean() + rng.normal(0, 0.1 / np.sqrt(50), 200)
        for name, given in (("both", trainings), ("clips", ())):
            found = intervals.interval(trainings.mean(), resamples, 50, given)
            hits[name] += found.low <= 0.8 <= found.high
    assert 0.93 <= hits["both"] / 400 <= 0.99 and hits["clips"] / 400 < 0.88
