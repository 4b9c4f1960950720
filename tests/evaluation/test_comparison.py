import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tagkit.evaluation import compare, metrics
from tagkit.evaluation.compare import ComparisonError
from tagkit.evaluation.result import Network, Result, TagScore, Training, Validation
from tagkit.training.config import TrainingConfig

rng = np.random.default_rng(0)
CLIPS, TAGS = 120, ("guitar", "piano", "drums")
LABELS = rng.random((CLIPS, 3)) < 0.4
CLUSTERS = np.repeat(np.arange(CLIPS // 2), 2)


def result(model="dm16", skill=1.0, seed=0, config=None, **changes) -> Result:
    """The result of a network whose scores are the labels in noise."""
    noise = np.random.default_rng([seed, int(skill)]).standard_normal(LABELS.shape)
    scores = metrics.score_tags(LABELS, skill * LABELS + noise, TAGS, CLUSTERS)
    settings = TrainingConfig(model=model, batch_size=16, seed=seed)
    history = (Validation(50, 0.4, 0.6), Validation(100, 0.3, 0.7))
    both = {"roc_auc": "roc", "pr_auc": "pr"}
    made = Result(
        model=model,
        **{key: scores.macro(metric) for key, metric in both.items()},
        resamples={key: scores.macro_resamples(metric).round(4) for key, metric in both.items()},
        incomplete_resamples=scores.incomplete_resamples,
        tags={
            tag: TagScore(int(scores.positives[k]), **{key: scores.tag(metric, k) for key, metric in both.items()})
            for k, tag in enumerate(TAGS)
        },
        network=Network("raw", "split", 59_049, parameters=1000, macs_per_second=5_000_000),
        training=Training(replace(settings, **(config or {})), 100, 2.0, None, skill / 4, history),
        **{"dataset": "tones", "data": "abc", "split": "order", "part": "test", "seed": seed, "interval": "95 %"},
        clusters=float(CLIPS // 2),
        **{"clips": CLIPS, "min_positives": 1, "split_sizes": {"test": CLIPS}, "code": {"tagkit": "0"}},
    )
    return replace(made, **changes)


def test_seeds_of_one_network_are_taken_together():
    groups = compare.group([result(seed=2), result(seed=0), result("ds256ra", 2.0)])
    assert [(g.name, g.seeds) for g in groups] == [("dm16", (0, 2)), ("ds256ra", (0,))]
    values = [result(seed=s).roc_auc.value for s in (0, 2)]
    score = groups[0].score("roc_auc")
    assert score.value == pytest.approx(np.mean(values))
    assert score.low < score.value < score.high
    assert groups[0].examples_per_cpu_second == 16 * 100 / 2


def test_the_paired_difference_is_that_of_the_same_resampled_clips():
    weak, strong = compare.group([result(skill=1.0), result("ds256ra", 2.0)])
    weights = np.concatenate(list(metrics.cluster_weights(CLUSTERS, 1000, 0)))
    expected = []
    for k in range(200):
        clips = np.repeat(np.arange(CLIPS), weights[k].astype(int))
        macro = []
        for skill in (1.0, 2.0):
            noise = np.random.default_rng([0, int(skill)]).standard_normal(LABELS.shape)
            scores = skill * LABELS + noise
            macro.append(np.mean([roc_auc_score(LABELS[clips, t], scores[clips, t]) for t in range(3)]))
        expected.append(macro[1] - macro[0])
    gain = strong.resamples("roc_auc") - weak.resamples("roc_auc")
    np.testing.assert_allclose(gain[:200], expected, atol=1.01e-4)  # resamples are kept in ten-thousandths

    found = compare.difference(strong, weak)
    assert 0 < found.interval.low < found.interval.value < found.interval.high
    assert found.p < 1e-4
    assert compare.difference(weak, strong).interval.value == -found.interval.value


def test_pairing_pays_where_networks_err_alike():
    """Nearly the same scores: the difference is far more certain than either score."""
    one, other = compare.group([result(skill=1.0), result("twin", 1.04)])
    noisy = np.hypot(*(np.std(g.resamples("roc_auc")) for g in (one, other)))
    gain = one.resamples("roc_auc") - other.resamples("roc_auc")
    assert np.std(gain) < noisy
    same, twin = compare.group([result(), result("twin")])
    found = compare.difference(same, twin)
    assert found.interval.value == 0 and not found.interval.known and np.isnan(found.p)


def test_a_network_that_varies_between_seeds_is_not_ahead_by_the_luck_of_one():
    """Clips alone tell these trainings apart; over seeds, of which one is lucky, there is nothing to tell."""
    lucky = compare.group([result("lucky", skill, seed) for seed, skill in enumerate((1.0, 1.0, 4.0))])[0]
    plain = compare.group([result(skill=1.2, seed=seed) for seed in range(3)])[0]
    ahead = compare.difference(compare.Group("one", lucky.results[2:]), plain)
    assert not ahead.over_seeds and ahead.p < 1e-4
    over = compare.difference(lucky, plain)
    assert over.over_seeds and over.p > 0.05 and over.interval.low < 0 < over.interval.high
    text = compare.as_text(compare.table([compare.Group("one", lucky.results[2:]), plain], "dm16"))
    assert text.loc["one", "p"] == "< .001 (clips only)"


def test_holm_by_hand():
    np.testing.assert_allclose(compare.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    p = stats.uniform.rvs(size=9, random_state=1)
    adjusted = compare.holm(p)
    assert (adjusted >= p).all() and adjusted[p.argmin()] == pytest.approx(min(1, 9 * p.min()))
    np.testing.assert_allclose(compare.holm([np.nan, 0.01, 0.04]), [np.nan, 0.03, 0.08])


def test_the_reference_is_chosen_by_validation_and_not_by_the_test_part():
    lucky = result("lucky", 3.0)
    lucky = replace(lucky, training=replace(lucky.training, best_valid_roc_auc=0.1))
    frame = compare.table(compare.group([result(skill=1.0), lucky]))
    assert list(frame.index) == ["lucky", "dm16"]
    assert frame.loc["dm16", "difference"] is None
    assert frame.loc["lucky", "difference"].interval.low > 0
    text = compare.as_text(frame)
    assert text.loc["dm16", "difference"] == "reference" and text.loc["lucky", "MMAC/s"] == "5.0"
    assert compare.markdown(text).count("\n") == 3


@pytest.mark.parametrize("key", ["split", "data", "part", "min_positives"])
def test_scores_of_different_conditions_do_not_compare(key):
    other = result("ds256ra", **{key: "something else"})
    with pytest.raises(ComparisonError, match=f"dm16 and ds256ra differ in {key}"):
        compare.group([result(), other])


def test_what_cannot_be_compared_is_said():
    with pytest.raises(ComparisonError, match="nothing to compare"):
        compare.group([])
    with pytest.raises(ComparisonError, match="Two results of dm16 have the same seed"):
        compare.group([result(), result()])
    fewer = result("ds256ra", tags={tag: s for tag, s in result().tags.items() if tag != "piano"})
    with pytest.raises(ComparisonError, match="different tags"):
        compare.group([result(), fewer])
    with pytest.raises(ComparisonError, match="no 'dm99' here: there are dm16"):
        compare.table(compare.group([result()]), "dm99")
    with pytest.raises(ComparisonError, match="no 'dm99' here"):
        compare.pick(compare.group([result()]), ["dm99"])


def test_runs_of_one_network_with_other_settings_are_told_apart_by_their_folders():
    both = [result(), result(skill=2.0), result("mkc_r")]
    assert [r.label for r in compare.told_apart(both, ["a/x", "b/x", "c"])] == ["a/x", "b/x", "mkc_r"]
    alike = [result(), result(seed=1)]
    assert compare.told_apart(alike, ["a", "b"]) == alike
    other = [result(config={"steps": 9}), result(seed=1, config={"steps": 99})]
    assert [r.label for r in compare.told_apart(other, ["a", "b"])] == ["a", "b"]
    with pytest.raises(ComparisonError, match="Results of dm16 were trained with different steps"):
        compare.group(other)


def test_a_name_says_what_departs_from_the_row():
    merged = replace(result().network, windowing="superpool_c", usual_windowing=False)
    assert result(config={"loss": "focal"}, network=merged).label == "dm16 superpool_c focal"
    assert result(training=replace(result().training, init={"dataset": "demo"})).label == "dm16 from demo"
    weighted = result(config={"loss": "predecessor_weighted", "positive_factor": 10.0})
    assert weighted.label == "dm16 predecessor_weighted TPF 10 TB 0"


def test_a_result_survives_json_with_a_resample_that_scores_no_tag():
    resamples = {"roc_auc": np.array([0.5, np.nan, 0.25]), "pr_auc": np.array([0.1234, 1.0, 0.0])}
    there = Result.from_json(json.loads(json.dumps(result(resamples=resamples, name="n", budget_s=5.0).to_json())))
    np.testing.assert_array_equal(there.resamples["roc_auc"], resamples["roc_auc"])
    assert (there.name, there.budget_s, there.training) == ("n", 5.0, result().training)
    with pytest.raises(ValueError, match="not the result of an evaluation"):
        Result.from_json({"model": "dm16"})
