import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from tagkit import cli
from tagkit.evaluation import evaluate, metrics
from tagkit.evaluation.predictions import Predictions, PredictionsError

GUIDE = Path(__file__).parents[2] / "docs" / "predictions.md"


@pytest.fixture(scope="module")
def written_by_sklearn(tmp_path_factory) -> Path:
    """The folder in which the guide's own example, which knows nothing of tagkit, wrote its tables."""
    folder = tmp_path_factory.mktemp("sklearn")
    code = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.S)[0]
    assert "tagkit" not in code
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(code, GUIDE, "exec"), {})
    return folder


def test_a_table_by_scikit_learn_gets_its_scores_and_our_intervals(written_by_sklearn, capsys):
    paths = [str(written_by_sklearn / f"{name}.csv") for name in ("LogisticRegression", "RandomForestClassifier")]
    assert cli.main(["score", *paths, "--json", str(written_by_sklearn / "scores.json")]) == 0
    shown = capsys.readouterr().out
    found = json.loads((written_by_sklearn / "scores.json").read_text())
    for path in paths:
        table, scores = pd.read_csv(path), found[path]
        labels, values = (table.filter(regex=kind).to_numpy() for kind in ("^label:", "^score:"))
        for k, tag in enumerate(["guitar", "piano", "voice"]):
            assert scores["tags"][tag]["roc_auc"] == pytest.approx(roc_auc_score(labels[:, k], values[:, k]), abs=1e-12)
        assert scores["roc_auc"] == pytest.approx(roc_auc_score(labels, values), abs=1e-12)
        assert scores["pr_auc"] == pytest.approx(average_precision_score(labels, values), abs=1e-12)
        ours = metrics.score_tags(labels == 1, values, ("a", "b", "c"), table["artist"].to_numpy())
        assert [scores["roc_auc"], *scores["roc_auc_ci"]] == list(ours.macro("roc"))
        assert str(ours.macro("pr")) in shown
    assert "50 artists" in shown and "reference" in shown


def test_an_evaluation_and_its_table_have_the_same_scores(run, tmp_path, capsys):
    table, result, again = (tmp_path / name for name in ("p.csv", "evaluated.json", "scored.json"))
    command = ["evaluate", str(run.root), "--part", "train", "--json", str(result), "--predictions", str(table)]
    assert cli.main(command) == 0
    assert cli.main(["score", str(table), "--task", "multi-label", "--json", str(again)]) == 0
    one, other = json.loads(result.read_text()), json.loads(again.read_text())[str(table)]
    assert other == {key: one[key] for key in other}
    read, made = Predictions.read(table, "multi-label"), evaluate.predict(run, part="train", progress=False)
    assert read.tags == made.tags and read.cluster_by == "artist" and set(read.part) == {"train"}
    for name in ("clips", "clusters", "labels"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name))
    np.testing.assert_array_equal(read.scores.astype(np.float32), made.scores)


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    labels = rng.random(40) < 0.5
    return pd.DataFrame(
        {"clip": [f"c{k}" for k in range(40)], "label:a": labels.astype(int), "score:a": labels + rng.normal(size=40)}
    )


def written(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path, index=False)
    return path


def test_without_clusters_every_clip_is_its_own_and_rows_may_come_in_any_order(table, tmp_path, capsys):
    one = written(table, tmp_path / "one.csv")
    other = written(table.sample(frac=1, random_state=1), tmp_path / "other.csv")
    assert Predictions.read(one).scored().interval.startswith("95 % bootstrap-t intervals over 40 clips")
    assert cli.main(["score", str(one), str(other)]) == 0
    assert "+0.000 [unknown]" in capsys.readouterr().out  # no difference in any resample


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rename(columns={"clip": "id"}), "has no column clip; its columns are id"),
        (lambda t: t.drop(columns="label:a"), "has no column label:a"),
        (lambda t: t[["clip"]], "has no columns label:TAG and score:TAG"),
        (lambda t: t.iloc[:0], "has no rows"),
        (lambda t: t.assign(clip="c1"), "has clip 'c1' more than once"),
        (lambda t: t.assign(**{"label:a": 2}), "label:a of clip 'c0' is 2; it must be 0 or 1"),
        (lambda t: t.assign(**{"score:a": "high"}), "score:a of clip 'c0' is 'high'; it must be a finite number"),
        (lambda t: t.assign(**{"score:a": np.nan}), "it must be a finite number"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_reason(table, tmp_path, change, message):
    with pytest.raises(PredictionsError, match=re.escape(message)):
        Predictions.read(written(change(table), tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[1:], "only one has 'c0'"),
        (lambda t: t.assign(**{"label:a": 1 - t["label:a"]}), "different labels for clip 'c0'"),
        (lambda t: t.assign(cluster="x"), "different clusters for clip 'c0'"),
        (lambda t: t.assign(**{"label:b": 1, "score:b": 1}), "predict different tags"),
        (lambda t: t.assign(part=["test", "train"] * 20), "choose one with --part"),
    ],
)
def test_tables_of_other_clips_are_not_compared(table, tmp_path, capsys, change, message):
    paths = [written(table, tmp_path / "one.csv"), written(change(table), tmp_path / "other.csv")]
    assert cli.main(["score", *map(str, paths)]) == 1
    assert message in capsys.readouterr().err


def test_parquet_holds_what_csv_holds(table, tmp_path):
    predictions = Predictions.read(written(table, tmp_path / "t.csv"))
    predictions.save(tmp_path / "t.parquet")
    assert Predictions.read(tmp_path / "t.parquet").scored().to_json() == predictions.scored().to_json()


def test_parquet_without_pyarrow_is_refused_before_anything_is_computed(run, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PredictionsError, match="Parquet needs pyarrow"):
        evaluate.evaluate(run, predictions=tmp_path / "p.parquet", progress=False)
