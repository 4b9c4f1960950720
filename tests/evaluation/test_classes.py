import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from tagkit import audio, cli, plots
from tagkit.data import magnatagatune
from tagkit.data.catalog import CatalogError
from tagkit.data.records import Records
from tagkit.evaluation.classes import Classes, score_classes
from tagkit.evaluation.intervals import effective_clusters, interval
from tagkit.evaluation.metrics import cluster_weights
from tagkit.evaluation.tag import Tagger
from tagkit.training.runs import Run

GENRES_HZ = {"bass": 110.0, "cello": 440.0, "flute": 1760.0, "whistle": 5000.0}


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """A folder for each of four classes, prepared as a stranger would."""
    root, rng = tmp_path_factory.mktemp("four"), np.random.default_rng(0)
    for name, hz in GENRES_HZ.items():
        for k in range(9):
            y = 0.3 * np.sin(2 * np.pi * hz * np.arange(40_000) / 16_000) + 0.2 * rng.standard_normal(40_000)
            audio.save(root / "music" / name / f"{k}.wav", y, 16_000)
    assert cli.main(["prepare", "folder", "--root", str(root / "music"), "--out", str(root / "records")]) == 0
    return root


@pytest.fixture(scope="module")
def genre_run(four) -> Run:
    command = ["train", "--model", "ds256ra", "--records", str(four / "records"), "--out", str(four / "run")]
    assert cli.main([*command, "--steps", "4", "--eval-every", "2", "--batch-size", "8"]) == 0
    return Run.open(four / "run")


def test_accuracies_and_their_resamples_are_scikit_learns():
    rng = np.random.default_rng(1)
    true, clusters = rng.integers(0, 4, 120), rng.integers(0, 30, 120)
    scores = rng.normal(size=(120, 4)) + 1.2 * np.eye(4)[true]
    found, resampled = score_classes(np.eye(4)[true] == 1, scores, "abcd", clusters, resamples=60)
    taken = scores.argmax(1)
    assert found.accuracy.value == pytest.approx(accuracy_score(true, taken), abs=1e-12)
    assert found.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(true, taken), abs=1e-12)
    np.testing.assert_array_equal(found.confusion, confusion_matrix(true, taken))
    weights = np.concatenate(list(cluster_weights(clusters, 60, seed=0)))
    theirs = [accuracy_score(true, taken, sample_weight=w) for w in weights]
    np.testing.assert_allclose(resampled["accuracy"], theirs, atol=1e-12)
    balanced = [balanced_accuracy_score(true, taken, sample_weight=w) for w in weights]
    np.testing.assert_allclose(resampled["balanced_accuracy"], balanced, atol=1e-12)
    expected = interval(accuracy_score(true, taken), np.array(theirs), effective_clusters(clusters))
    assert list(found.accuracy) == pytest.approx(list(expected))
    shares = confusion_matrix(true, taken, normalize="true")
    np.testing.assert_allclose([[s.value for s in row] for row in found.shares], shares)
    assert all(s.low <= s.value <= s.high for row in found.shares for s in row if s.known)
    again = Classes.from_json(json.loads(json.dumps(found.to_json())))
    assert again.table().equals(found.table()) and list(again.accuracy) == list(found.accuracy)


def test_a_class_that_no_clip_has_has_no_share():
    labels = np.eye(3, dtype=bool)[[0, 1, 0, 1]]
    found, _ = score_classes(labels, labels.astype(float), "abc", np.arange(4), resamples=10)
    assert found.balanced_accuracy.value == 1 and np.isnan(found.shares[2][0].value)
    assert found.table().loc["c (0)"].tolist() == ["", "", ""]
    with pytest.raises(ValueError, match="Clip number 1 has 2 classes"):
        score_classes(np.array([[1, 0], [1, 1]], bool), np.zeros((2, 2)), "ab", np.arange(2))


def test_prepare_finds_classes_and_a_flag_changes_it(four, tmp_path, capsys):
    records = Records.open(four / "records")
    assert records.catalog.task() == "exclusive"
    command = ["prepare", "folder", "--root", str(four / "music"), "--out", str(tmp_path / "records")]
    assert cli.main([*command, "--task", "multi-label"]) == 0
    assert "Every clip has one" not in capsys.readouterr().out
    assert Records.open(tmp_path / "records").catalog.task() == "multi-label"
    assert cli.main(command) == 1
    assert "holds records with tasks" in capsys.readouterr().err


def test_clips_with_two_tags_are_no_classes(tone_catalog):
    from dataclasses import replace

    labels = tone_catalog.labels.copy()
    labels.iloc[3] = [True, True, False]
    assert replace(tone_catalog, labels=labels, tasks={}).task() == "multi-label"
    with pytest.raises(CatalogError, match="clip 3 has 2 tags of all"):
        replace(tone_catalog, labels=labels, tasks={"all": "exclusive"})


def test_from_a_folder_to_an_answer(four, genre_run, tmp_path, capsys):
    """Train, evaluate, score, tag and export."""
    assert genre_run.config.loss == "softmax_cross_entropy" and genre_run.exclusive
    out = {name: str(tmp_path / name) for name in ("p.csv", "r.json", "s.json", "figures", "package")}
    command = [
        "evaluate",
        str(genre_run.root),
        "--part",
        "train",
        "--predictions",
        out["p.csv"],
        "--json",
        out["r.json"],
    ]
    assert cli.main([*command, "--figures", out["figures"]]) == 0
    assert "balanced accuracy" in (shown := capsys.readouterr().out) and "taken for" in shown
    table = pd.read_csv(out["p.csv"])
    scores, labels = table.filter(like="score:").to_numpy(), table.filter(like="label:").to_numpy()
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    result = json.loads((tmp_path / "r.json").read_text())
    accuracy = accuracy_score(labels.argmax(1), scores.argmax(1))
    assert result["classes"]["accuracy"][0] == pytest.approx(accuracy, abs=1e-12)
    assert (tmp_path / "figures" / "confusion_ds256ra.png").stat().st_size > 5_000
    assert cli.main(["score", out["p.csv"], "--json", out["s.json"]]) == 0
    again = json.loads((tmp_path / "s.json").read_text())[out["p.csv"]]
    assert again == {key: result[key] for key in again}
    capsys.readouterr()
    song = next((four / "music" / "flute").glob("*.wav"))
    assert cli.main(["tag", str(song), "--run", str(genre_run.root)]) == 0
    shown = capsys.readouterr().out
    assert "Probabilities of the classes" in shown
    assert len(re.findall(r"(?:bass|cello|flute|whistle) \.\d\d", shown.splitlines()[1])) == 1
    assert Tagger(genre_run)(song).scores.sum() == pytest.approx(1, abs=1e-5)
    assert cli.main(["export", str(genre_run.root), "--format", "keras", "--out", out["package"]]) == 0
    assert "As one of 4 classes: accuracy" in (tmp_path / "package" / "README.md").read_text()


def test_what_suits_tags_alone_is_refused_for_classes(four, tmp_path, capsys):
    command = ["train", "--model", "ds256ra", "--records", str(four / "records"), "--out", str(tmp_path / "run")]
    assert cli.main([*command, "--windowing", "superpool_mean"]) == 1
    assert "take another windowing" in capsys.readouterr().err
    assert cli.main([*command, "--task", "multi-label", "--loss", "softmax_cross_entropy"]) == 1
    assert "which is for exclusive classes" in capsys.readouterr().err


def test_the_matrix_is_drawn_with_its_counts():
    ax = plots.confusion_matrix(np.array([[5, 1], [0, 3]]), ["a", "b"])
    assert [text.get_text() for text in ax.texts] == ["5", "1", "0", "3"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    drawn = ax.collections[0].get_array().ravel()
    np.testing.assert_allclose(drawn, [500 / 6, 100 / 6, 0, 100])


@pytest.mark.real_data
def test_genres_of_real_recordings(real_data, tmp_path, capsys):
    """The clips of mini-mtat that have exactly one of its frequent genres, as classes."""
    catalog = magnatagatune.read(real_data / "mini-mtat")
    genres = ["classical", "techno", "rock", "country"]
    one = catalog.labels[genres].sum(axis=1) == 1
    chosen = catalog.clips[one].assign(tags=catalog.labels.loc[one, genres].idxmax(axis=1))
    chosen[["path", "artist", "song", "title", "tags"]].to_csv(tmp_path / "genres.csv")
    out = str(tmp_path / "records")
    prepared = ["prepare", "folder", "--root", str(catalog.root), "--csv", str(tmp_path / "genres.csv"), "--out", out]
    assert cli.main(prepared) == 0
    assert f"one of {len(genres)} classes" in capsys.readouterr().out
    run = str(tmp_path / "run")
    steps = ["--steps", "4", "--eval-every", "2", "--batch-size", "8"]
    assert cli.main(["train", "--model", "ds256ra", "--records", out, "--out", run, *steps]) == 0
    assert (
        cli.main(["evaluate", run, "--predictions", str(tmp_path / "p.csv"), "--json", str(tmp_path / "r.json")]) == 0
    )
    table, result = pd.read_csv(tmp_path / "p.csv"), json.loads((tmp_path / "r.json").read_text())
    true, taken = (table.filter(like=kind).to_numpy().argmax(1) for kind in ("label:", "score:"))
    assert result["classes"]["accuracy"][0] == pytest.approx(accuracy_score(true, taken), abs=1e-12)
    np.testing.assert_array_equal(
        result["classes"]["confusion"], confusion_matrix(true, taken, labels=range(len(genres)))
    )
    shutil.rmtree(tmp_path / "records")
