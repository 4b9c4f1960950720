import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from tagkit.evaluation import metrics


@pytest.fixture
def tied():
    rng = np.random.default_rng(0)
    labels = rng.random(200) < 0.2
    scores = np.round(rng.random(200) + 0.3 * labels, 1)  # many ties
    return labels, scores, rng.integers(0, 4, (5, 200)).astype(float)


def test_scores_equal_sklearns_with_ties_and_weights(tied):
    labels, scores, weights = tied
    assert metrics.roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert metrics.average_precision(labels, scores) == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )
    for ours, w in zip(metrics.roc_auc(labels, scores, weights), weights, strict=True):
        assert ours == pytest.approx(roc_auc_score(labels, scores, sample_weight=w), abs=1e-12)
    for ours, w in zip(metrics.average_precision(labels, scores, weights), weights, strict=True):
        assert ours == pytest.approx(average_precision_score(labels, scores, sample_weight=w), abs=1e-12)


def test_a_resample_without_positives_has_no_score(tied):
    labels, scores, weights = tied
    weights[2, labels] = 0
    assert np.isnan(metrics.roc_auc(labels, scores, weights)[2])
    assert np.isnan(metrics.average_precision(labels, scores, weights)).tolist() == [False, False, True, False, False]


def test_clusters_are_drawn_whole():
    (weights,) = metrics.cluster_weights(np.array(["a", "b", "a", "c"]), 50, seed=1)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()


def test_tags_are_fixed_before_resampling():
    rng = np.random.default_rng(0)
    labels = np.zeros((40, 3), bool)
    labels[:2, 0] = labels[:10, 1] = labels[:, 2] = True  # rare, common, always
    scores = rng.random((40, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s = metrics.score_tags(labels, scores, ("rare", "common", "always"), np.arange(40), resamples=300)
    assert s.tags == ("rare", "common")
    assert s.positives.tolist() == [2, 10]
    assert 0 < s.incomplete_resamples < 0.5
    assert metrics.score_tags(labels, scores, ("r", "c", "a"), np.arange(40), 5, 10).tags == ("c",)
    with pytest.raises(ValueError, match="No tag has 50 positive clips among these 40"):
        metrics.score_tags(labels, scores, ("r", "c", "a"), np.arange(40), 50)
    with pytest.raises(ValueError, match="not finite"):
        metrics.score_tags(labels, scores * np.nan, ("r", "c", "a"), np.arange(40))


def test_the_interval_covers_the_truth():
    """Two normals one deviation apart have ROC-AUC Phi(1 / sqrt 2) = .760; 95 % intervals should hold it."""
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        labels = np.arange(150) < 60
        scores = rng.standard_normal(150) + labels
        s = metrics.score_tags(labels[:, None], scores[:, None], ("t",), np.arange(150), resamples=200, seed=trial)
        interval = s.macro("roc")
        hits += interval.low <= 0.7602 <= interval.high
    assert 180 <= hits <= 198


def test_the_interval_widens_where_clips_of_a_cluster_resemble_each_other():
    """Five copies of each of 30 clips tell no more than the 30: the interval is that of the single clips."""
    rng = np.random.default_rng(1)
    labels, clusters = np.arange(30) % 3 == 0, np.arange(30)
    scores = rng.standard_normal(30) + labels
    once, copied, blind = (
        metrics.score_tags(y[:, None], x[:, None], ("t",), c).macro("roc")
        for y, x, c in (
            (labels, scores, clusters),
            (labels.repeat(5), scores.repeat(5), clusters.repeat(5)),
            (labels.repeat(5), scores.repeat(5), np.arange(150)),
        )
    )
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    assert copied.high - copied.low > 2 * (blind.high - blind.low)


def test_a_tag_counts_the_clusters_that_have_it_and_those_that_lack_it():
    labels = np.zeros((20, 2), bool)
    labels[:6, 0] = labels[:19, 1] = True
    s = metrics.score_tags(labels, np.random.default_rng(0).random((20, 2)), ("a", "b"), np.arange(20) // 2)
    assert s.tag_clusters.tolist() == [3, 1]
    assert s.clusters == 10


def test_memory_does_not_grow_with_the_resamples():
    rng = np.random.default_rng(0)
    labels, scores, clusters = rng.random((20_000, 1)) < 0.1, rng.random((20_000, 1)), np.arange(20_000) // 4
    peaks = []
    for resamples in (20, 200):
        tracemalloc.start()
        metrics.score_tags(labels, scores, ("a",), clusters, resamples=resamples)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
