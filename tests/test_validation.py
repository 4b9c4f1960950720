import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from tagkit.evaluation import intervals, metrics
from tagkit.evaluation.intervals import Interval
from validation import coverage, differences, findings, populations, report, topics
from validation.__main__ import main
from validation.findings import Agreement, Rate


@pytest.mark.parametrize("topic", topics.TOPICS)
def test_the_short_form_holds(topic):
    found = topics.module(topic).run(quick=True)
    assert found and [f for f in found if not f.holds_roughly] == []


def test_percentile_intervals_are_found_out(monkeypatch):
    def percentiles(value, resamples, clusters):
        return Interval(value, *np.nanquantile(resamples, [0.025, 0.975]))

    monkeypatch.setattr(metrics, "interval", percentiles)
    held = {f.name: f.holds_roughly for f in coverage.coverage(populations.DEMO, 0.55, 40, 0.92, 0.98)}
    assert held["macro ROC-AUC, 61 clusters, true ROC-AUC 0.55"]
    assert not held["macro PR-AUC, 61 clusters, true ROC-AUC 0.55"]


def test_p_values_that_leave_out_the_seeds_are_found_out(monkeypatch):
    difference = intervals.difference

    def of_these_trainings(values, reference, *rest):
        return difference([np.mean(values)], [np.mean(reference)], *rest)

    monkeypatch.setattr(intervals, "difference", of_these_trainings)
    case = differences.Case(populations.DEMO, (0.9, 0.9), (0.03, 0.03))
    assert not all(rate.holds_roughly for rate in differences.compare(case, 30))


def test_a_wrong_score_is_found_out(monkeypatch):
    monkeypatch.setattr(metrics, "roc_auc", lambda y, s, w=None: np.atleast_1d(0.5) if w is not None else 0.5)
    held = {f.name: f.holds for f in topics.module("scores").run(quick=True)}
    assert not held["ROC-AUC, ties"] and held["average precision, ties"]


def test_simulated_populations_have_the_scores_that_they_state():
    rng = np.random.default_rng(0)
    labels = rng.random(400_000) < 0.2
    scores = populations.separation(0.8) * labels + rng.standard_normal(400_000)
    assert roc_auc_score(labels, scores) == pytest.approx(0.8, abs=0.003)
    truth = populations.average_precision(0.8, 0.2)
    assert average_precision_score(labels, scores) == pytest.approx(truth, abs=0.005)
    assert populations.average_precisions(0.8, np.array([0.2]))[0] == pytest.approx(truth, abs=1e-4)


def test_wilsons_interval_is_scipys():
    low, high = findings.wilson(37, 40)
    expected = stats.binomtest(37, 40).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_the_page_says_what_fails(tmp_path):
    found = [
        Agreement("area", 0.5, 0.6, "sklearn", 0.01),
        Rate("coverage", 95, 100, 0.92, 0.98, 0.123),
        Rate("nothing", 0, 0, 0.9, 1.0, unknown=1.0),
    ]
    report.write_record(tmp_path / "validation", "scores", found)
    assert findings.from_json(findings.to_json(found))[1] == found[1]
    text = report.write(tmp_path / "validation", tmp_path / "validation.md").read_text()
    assert "| area | 0.5 | 0.6 | sklearn | 0.01 | **fails** |" in text
    assert "| coverage | 0.950 [0.888, 0.978] | 0.92 to 0.98 | 0.123 |  | 100 | holds |" in text
    assert "never answered" in text and "100%" in text


def test_an_unknown_topic_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "there is no topic nonsense; take scores" in capsys.readouterr().err
