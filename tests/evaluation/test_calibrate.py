import numpy as np
import pytest

from tagkit.data.records import RecordsError
from tagkit.evaluation import calibrate
from tagkit.graph.scorer import Scorer
from tagkit.system import files


def test_scores_that_are_probabilities_have_no_error_and_others_have():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=(20_000, 5))
    labels = rng.uniform(size=p.shape) < p
    honest, bold = calibrate.reliability(labels, p), calibrate.reliability(labels, p**0.25)
    assert honest.error < 0.01
    # The mean gap of p ** .25: the integral of p ** .25 - p over p.
    assert bold.error == pytest.approx(1 / 1.25 - 0.5, abs=0.01)
    np.testing.assert_allclose(honest.shares(np.array([0.05, 0.95, 1.0])), [0.05, 0.95, 0.95], atol=0.02)


def test_a_bin_of_few_pairs_says_nothing():
    measured = calibrate.reliability(np.ones((3, 1), bool), np.array([[0.05], [0.95], [0.95]]))
    assert measured.pairs.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert np.isnan(measured.shares(np.array([0.05, 0.5, 0.95]))).all()


def test_a_run_is_measured_once_on_its_validation_part(run, tone_records, monkeypatch):
    measured = calibrate.of_run(run)
    indices = tone_records.part("valid")
    scores = Scorer(run.model())(tone_records, indices)
    assert measured.pairs.tolist() == np.histogram(scores, np.linspace(0, 1, 11))[0].tolist()
    assert measured.record["clips"] == 6 and measured.record["part"] == "valid" and measured.record["split"] == "order"

    monkeypatch.setattr(calibrate, "Scorer", None)  # a second measurement would fail
    again = calibrate.of_run(run)
    np.testing.assert_array_equal(again.share, measured.share)
    assert "6 clips of the valid part (split order, tones)" in again.sentences()


def test_other_weights_are_measured_anew(run):
    calibrate.of_run(run)
    stored = files.read_json(run.root / calibrate.FILE)
    files.write_json(run.root / calibrate.FILE, stored | {"weights": "others", "clips": 99})
    assert calibrate.of_run(run).record["clips"] == 6


def test_without_records_it_says_so(run, tmp_path):
    (run.root / calibrate.FILE).unlink(missing_ok=True)
    moved = type(run)(run.root, run.record | {"records": str(tmp_path / "gone")})
    with pytest.raises(RecordsError, match="gone"):
        calibrate.of_run(moved)
