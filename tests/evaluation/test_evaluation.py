import json

import numpy as np
import pytest

from tagkit.data.prepare import prepare
from tagkit.data.windows import window_starts
from tagkit.evaluation import evaluate
from tagkit.evaluation.result import Result
from tagkit.graph import windowing
from tagkit.graph.scorer import Scorer
from tagkit.training.runs import TrainingError


def test_a_clip_scores_the_mean_of_its_windows(run, tone_records):
    model = run.model()
    window = model.input_shape[1]
    indices = tone_records.part("test")
    scores = Scorer(model, batch_size=3)(tone_records, indices)
    for row, index in enumerate(indices):
        y = tone_records.read(index)
        cuts = np.stack([y[s : s + window] for s in window_starts(len(y), window)]) / 32_768
        logits = model(cuts[..., None].astype(np.float32), training=False).numpy()
        np.testing.assert_allclose(scores[row], (1 / (1 + np.exp(-logits))).mean(0), atol=1e-6)


@pytest.mark.parametrize("method", ["c", "mean"])
def test_a_network_of_many_windows_scores_each_clip_as_it_would_alone(method, tone_records):
    model = windowing.superpool("ds256ra", method, n_tags=3, windows=12 if method == "c" else None)
    indices = tone_records.part("test")
    scores = Scorer(model, batch_size=40)(tone_records, indices)
    for row, index in enumerate(indices):
        y = tone_records.read(index)
        starts = window_starts(len(y), 38_832, 12 if method == "c" else None)
        cuts = np.stack([y[s : s + 38_832] for s in starts]) / 32_768
        logits = model(cuts[None, ..., None].astype(np.float32), training=False).numpy()[0]
        np.testing.assert_allclose(scores[row], 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_a_result_says_everything_needed_to_quote_it(run, tone_records, tmp_path):
    result = evaluate.evaluate(run, resamples=50, progress=False)
    result.save(tmp_path / "metrics.json")
    content = json.loads((tmp_path / "metrics.json").read_text())
    for key in ("roc_auc", "roc_auc_ci", "pr_auc", "pr_auc_ci", "split", "seed", "data", "code", "part", "interval"):
        assert key in content
    assert content["split"] == "order" and content["part"] == "test" and content["data"] == tone_records.fingerprint
    assert content["interval"] == "no intervals: 2 artists tell no more than 2.0 of equal size, and 3 are needed"
    assert content["network"] == {
        "input": "raw",
        "windowing": "split",
        "usual_windowing": True,
        "samples": 38_832,
        "parameters": run.model().count_params() - 2 * (128 + 32 + 32),  # all but the moving statistics
        # 151 frames of 256 taps to 128 channels, 144 of 8 x 128 to 32, 29 of 8 x 32 to 32, 7 x 32 to 1000 to 3 tags
        "macs_per_second": round(
            (151 * 256 * 128 + 144 * 8 * 128 * 32 + 29 * 8 * 32 * 32 + 7 * 32 * 1000 + 1000 * 3) * 16_000 / 38_832
        ),
    }
    assert content["training"]["steps_done"] == 60 and content["training"]["cpu_seconds"] > 0
    assert content["training"]["history"][-1]["step"] == 60
    resampled = np.array(content["resampled"]["roc_auc"].split(), float) / 10_000
    assert len(resampled) == 50
    assert content["roc_auc_ci"] is None
    assert content["tags"]["low"]["positives"] == 2
    again = Result.from_json(content)
    assert (
        json.loads(json.dumps(again.to_json())) == content
        and again.roc_auc == result.roc_auc
        and again.training == result.training
    )
    np.testing.assert_array_equal(again.resamples["pr_auc"], result.resamples["pr_auc"])
    table = evaluate.table({"ds256ra": result})
    assert "order" in table and "test part of tones" in table
    assert "middle" in result.tag_table()


def test_other_records_are_refused(run, tone_catalog, tmp_path):
    other = prepare(tone_catalog, tmp_path, sr=8_000, jobs=1, progress=False)
    with pytest.raises(TrainingError, match="name the records that it was trained on"):
        evaluate.evaluate(run, other, progress=False)


def test_clips_without_an_artist_are_clusters_of_their_own(tone_records):
    tone_records.catalog.clips.loc["35", "artist"] = ""
    names = tone_records.clusters(tone_records.part("test"), "artist")
    tone_records.catalog.clips.loc["35", "artist"] = "artist 11"
    assert list(names[-3:]) == ["artist 11", "artist 11", "clip 35"]
