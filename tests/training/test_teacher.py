"""A teacher's scores in place of labels, and stages whose weights stay."""

import dataclasses
import os
import shutil
import signal

import numpy as np
import pandas as pd
import pytest

from tagkit.cli import main
from tagkit.data.catalog import Catalog
from tagkit.data.prepare import prepare
from tagkit.data.records import Records
from tagkit.data.soft import SoftLabels, starts
from tagkit.evaluation import evaluate
from tagkit.evaluation.result import Result
from tagkit.graph.scorer import Scorer
from tagkit.training import start
from tagkit.training.config import TrainingConfig
from tagkit.training.devices import choose
from tagkit.training.loop import TrainingInterrupted, train
from tagkit.training.runs import TrainingError
from tagkit.training.teacher import Teacher

CONFIG = TrainingConfig("ds256ra", steps=6, batch_size=4, eval_every=3, seed=5)


@pytest.fixture
def records(tone_records, tmp_path) -> Records:
    """The tones, in a folder of the test's own: a teacher's scores are stored there."""
    return Records.open(shutil.copytree(tone_records.root, tmp_path / "records"))


def weights(run):
    return [w.numpy() for w in run.model().weights]


@pytest.mark.parametrize(("samples", "window"), [(100, 30), (100, 29), (20, 30), (30, 30), (31, 30)])
def test_a_stretch_is_told_by_the_windows_that_it_overlaps(samples, window):
    begin = starts(samples, window)
    assert begin[0] == 0 and begin[-1] == max(samples - window, 0) and np.diff(begin).max(initial=0) <= window // 2
    said = np.random.default_rng(0).random((len(begin), 2))
    soft = SoftLabels({7: said}, np.full(8, samples), window)
    for first, length in [(0, 10), (13, 40), (samples - 10, 30), (0, samples)]:
        heard = [said[k] for t in range(first, first + length) for k, b in enumerate(begin) if b <= t < b + window]
        np.testing.assert_allclose(soft.of(7, first, length), np.mean(heard, axis=0), rtol=1e-6)
    np.testing.assert_allclose(soft.whole(np.array([7]))[0], soft.of(7, 0, samples))


def test_its_scores_are_computed_once_and_go_on_where_they_were_interrupted(run, records, monkeypatch):
    teacher, clips = Teacher.open(run.root), records.part("train")
    soft = teacher.soft(records, "order-train", clips, False)
    window = run.windowing.samples
    clip = int(clips[3])
    x = np.stack([records.read(clip, int(s), window) for s in starts(int(records.lengths[clip]), window)])
    np.testing.assert_allclose(soft.scores[clip], Scorer(run.model(), len(x)).windows(x), atol=1e-3)
    folder = records.root / "teachers" / run.weights_sha256[:16]
    parts = sorted(folder.glob("*.npz"))
    assert len(parts) == 2
    kept = parts[0].stat().st_mtime_ns
    parts[1].unlink()
    again = teacher.soft(records, "order-train", clips, False)
    assert parts[0].stat().st_mtime_ns == kept
    assert all(np.array_equal(again.scores[c], soft.scores[c]) for c in soft.scores)
    monkeypatch.setattr("tagkit.training.teacher.Scorer", None)  # all is there: nothing is scored
    teacher.soft(records, "order-train", clips, False)


def test_students_learn_its_scores_and_the_labels_that_there_are(run, records):
    def batch(**changes):
        config = dataclasses.replace(CONFIG, **changes)
        training = start.build(start.decide(config, records, records.root / str(len(changes)), choose()))
        return training.windows.batch(0)

    taught, both = {"teacher": str(run.root)}, {"teacher": str(run.root), "teacher_weight": 0.25}
    (x, labels), (same, said), (_, mixed) = batch(), batch(**taught), batch(**both)
    np.testing.assert_array_equal(x, same)
    assert set(np.unique(labels)) == {0, 1} and ((said > 0.01) & (said < 0.99)).any()
    np.testing.assert_allclose(mixed, 0.25 * said + 0.75 * labels, atol=1e-6)


def test_a_student_resumes_exactly_and_is_scored_with_its_agreement(run, records, tmp_path):
    config = dataclasses.replace(CONFIG, teacher=str(run.root))
    whole = train(config, records, tmp_path / "whole", progress=False)
    assert whole.record["teacher"] | {"weights_sha256": ""} == {
        "name": "run", "model": "ds256ra", "weights_sha256": "", "dataset": "tones", "weight": 1.0,
    }  # fmt: skip

    def stop(step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(TrainingInterrupted):
        train(config, records, tmp_path / "cut", progress=False, after=stop)
    cut = train(config, records, tmp_path / "cut", progress=False)
    for a, b in zip(weights(whole), weights(cut), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(TrainingError, match="holds a run with another teacher"):
        train(CONFIG, records, tmp_path / "cut", progress=False)
    result = evaluate.evaluate(whole, records, progress=False)
    assert set(result.tags) == set(run.tags) and -1 <= result.agreement <= 1
    assert result.label == "ds256ra taught by run"
    assert Result.from_json(result.to_json()).agreement == result.agreement
    record = run.record | {"teacher": whole.record["teacher"], "config": config.to_dict()}
    assert evaluate.evaluate(dataclasses.replace(run, record=record), records, progress=False).agreement > 0.95


def test_music_that_nobody_tagged_teaches_too(run, tone_catalog, tmp_path):
    untagged = Catalog(
        name="mine",
        root=tone_catalog.root,
        clips=tone_catalog.clips,
        labels=pd.DataFrame(index=tone_catalog.clips.index),
        splits=tone_catalog.splits,
        vocabularies={"none": ()},
        default_split="order",
        default_vocabulary="none",
    )
    records = prepare(untagged, tmp_path / "records", sr=16_000, progress=False)
    student = train(dataclasses.replace(CONFIG, teacher=str(run.root)), records, tmp_path / "run", progress=False)
    assert student.tags == run.tags
    assert all(0 <= row["valid_roc_auc"] <= 1 for row in student.record["history"])
    with pytest.raises(ValueError, match="knows none of the tags"):
        evaluate.evaluate(student, records, progress=False)


def test_what_cannot_teach_is_refused(tone_records, tmp_path, capsys):
    command = ["train", "--records", str(tone_records.root), "--out", str(tmp_path / "x"), "--model", "ds256ra"]
    assert main([*command, "--teacher", str(tmp_path / "nothing")]) == 1
    assert "holds no run" in capsys.readouterr().err
    assert main([*command, "--teacher-weight", "0.5"]) == 1
    assert "--teacher-weight does nothing" in capsys.readouterr().err
    with pytest.raises(ValueError, match="teacher's scores need sigmoid_cross_entropy"):
        TrainingConfig(teacher="x", loss="focal")
    with pytest.raises(ValueError, match="teacher_weight is 0"):
        TrainingConfig(teacher="x", teacher_weight=0)


def test_frozen_stages_keep_their_weights_and_statistics(run, tone_records, tmp_path):
    config = dataclasses.replace(CONFIG, init=str(run.root), freeze="conv2")
    tuned = train(config, tone_records, tmp_path / "tuned", progress=False)
    before, after = run.model(), tuned.model()
    for layer in after.layers:
        stage = layer.name.split("_")[0]
        pairs = zip(before.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True)
        changed = [not np.array_equal(a, b) for a, b in pairs]
        if changed:
            assert any(changed) == (stage not in ("conv1", "conv2")), layer.name
    with pytest.raises(TrainingError, match="has no stage 'conv9' to freeze; choose one of conv1, conv2, conv3, "):
        train(dataclasses.replace(config, freeze="conv9"), tone_records, tmp_path / "no", progress=False)
    with pytest.raises(TrainingError, match="no trained weights to freeze up to conv2"):
        train(dataclasses.replace(config, init=None), tone_records, tmp_path / "no", progress=False)
