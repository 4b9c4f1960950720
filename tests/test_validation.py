import numpy as np
import pytest
from scipy import stats

from tagkit.evaluation import metrics
from validation import findings, report, topics
from validation.__main__ import main
from validation.findings import Agreement, Rate


@pytest.mark.parametrize("topic", topics.TOPICS)
def test_the_short_form_holds(topic):
    found = topics.module(topic).run(quick=True)
    assert found and [f for f in found if not f.holds] == []


def test_a_wrong_score_is_found_out(monkeypatch):
    monkeypatch.setattr(metrics, "roc_auc", lambda y, s, w=None: np.atleast_1d(0.5) if w is not None else 0.5)
    held = {f.name: f.holds for f in topics.module("scores").run(quick=True)}
    assert not held["ROC-AUC, ties"] and held["average precision, ties"]


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
