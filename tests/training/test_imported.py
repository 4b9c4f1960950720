"""Published networks as runs: fetched, checked, used like any other."""

import dataclasses
import shutil

import numpy as np
import pytest

from tagkit.cli import main
from tagkit.data.download import DownloadError, digest
from tagkit.evaluation import evaluate
from tagkit.evaluation.tag import Tagger
from tagkit.graph.published import networks
from tagkit.graph.published.networks import WebFile
from tagkit.graph.published.tensors import WeightsError
from tagkit.graph.scorer import Scorer
from tagkit.system import paths
from tagkit.training import imported
from tagkit.training.runs import Run, TrainingError
from tests.data.faulty_server import Faults, serve
from tests.graph import numpy_networks

TAGS = ("high", *(f"tag {k}" for k in range(357)), "low", "middle")
SHAPES = [(512, 1, 128), (64, 128, 16), (64, 16, 16), (64, 16, 16), (64, 16, 32), (64, 32, 64)]  # CREPE's kernels


def crepe_weights():
    """Arrays with the names and shapes of CREPE's tiny network, whose windows are short."""
    rng, found = np.random.default_rng(0), {}

    def layer(name, *shape):
        found[f"{name}/kernel:0"] = rng.normal(0, 1 / np.sqrt(np.prod(shape[:-1])), shape).astype(np.float32)
        found[f"{name}/bias:0"] = rng.normal(0, 0.1, shape[-1]).astype(np.float32)

    for k, shape in enumerate(SHAPES, start=1):
        layer(f"conv{k}/conv{k}_3", *shape)
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            found[f"conv{k}-BN/conv{k}-BN_3/{part}:0"] = rng.uniform(0.5, 1, shape[-1]).astype(np.float32)
    layer("classifier/classifier_3", 256, 360)
    return found


@pytest.fixture(scope="module")
def best_model(tmp_path_factory):
    """A PyTorch file of a small network."""
    path = tmp_path_factory.mktemp("published") / "best_model.pth"
    return numpy_networks.save_torch(path, crepe_weights())


@pytest.fixture(autouse=True)
def published(best_model, monkeypatch, tmp_path):
    """won-samplecnn stands for that file; everything is imported below the test's folder."""
    monkeypatch.setenv("TAGKIT_HOME", str(tmp_path / "home"))
    origin = WebFile("models/mtat/sample/best_model.pth", digest(best_model, "git:"))
    network = dataclasses.replace(networks.find("won-samplecnn"), origin=origin, tags=TAGS, row="crepe_tiny")
    monkeypatch.setitem(networks.NETWORKS, "won-samplecnn", network)
    return network


@pytest.fixture(scope="module")
def run(best_model, tmp_path_factory):
    """The same network, imported once for the tests that use it."""
    out = tmp_path_factory.mktemp("imported") / "won"
    with pytest.MonkeyPatch.context() as patch:
        origin = WebFile("x", digest(best_model, "git:"))
        network = dataclasses.replace(networks.find("won-samplecnn"), origin=origin, tags=TAGS, row="crepe_tiny")
        patch.setitem(networks.NETWORKS, "won-samplecnn", network)
        return imported.import_network("won-samplecnn", out, best_model)


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_download_that_breaks_goes_on_and_nothing_is_fetched_twice(best_model, tmp_path):
    content = best_model.read_bytes()
    with serve({"models/mtat/sample/best_model.pth": content}, Faults(cut_after=[1_000_000])) as (url, faults):
        run = imported.import_network("won-samplecnn", base_url=url, progress=False)
        assert [wanted is None for _, wanted in faults.requests] == [True, False]
        again = imported.import_network("won-samplecnn", base_url=url, progress=False)
        other = imported.import_network("won-samplecnn", tmp_path / "other", base_url=url, progress=False)
        assert len(faults.requests) == 2
    assert run.root == again.root == tmp_path / "home" / "runs" / "imported" / "won-samplecnn"
    assert left(run.root) == ["best.weights.h5", "run.json"]
    assert other.record == run.record
    assert imported.open_run("won-samplecnn").root == run.root
    with pytest.raises(TrainingError, match="holds another run; remove it"):
        imported.import_network("won-fcn", run.root)


def test_a_wrong_file_is_refused_and_nothing_is_left(best_model, tmp_path, monkeypatch, capsys):
    wrong = tmp_path / "wrong.pth"
    wrong.write_bytes(best_model.read_bytes()[:-1])
    with pytest.raises(DownloadError, match=r"wrong.pth is not the file of won-samplecnn \(its checksum is git:"):
        imported.import_network("won-samplecnn", file=wrong)
    with serve({"models/mtat/sample/best_model.pth": wrong.read_bytes()}) as (url, _):
        assert main(["import", "won-samplecnn", "--base-url", url]) == 1
    assert "has the checksum git:" in capsys.readouterr().err
    cut = dataclasses.replace(networks.find("won-samplecnn"), origin=WebFile("x", digest(wrong, "git:")))
    monkeypatch.setitem(networks.NETWORKS, "won-samplecnn", cut)
    with pytest.raises(WeightsError, match=r"wrong.pth is no whole PyTorch file"):
        imported.import_network("won-samplecnn", file=wrong)
    assert left(tmp_path) == ["wrong.pth"]
    with pytest.raises(ValueError, match="No published network is called 'won-vgg'; choose one of musicnn-mtat, "):
        imported.import_network("won-vgg")


def test_the_record_says_where_it_comes_from(run):
    opened = Run.open(run.root)
    assert opened.finished
    about = opened.imported
    assert about["licence"] == "MIT" and about["checksum"].startswith("git:")
    assert about["scores"] == {"roc_auc": 0.9058, "pr_auc": 0.4422}
    assert "mapping tested, file not" in about["checked"]


def test_it_is_scored_on_the_tags_that_records_know(run, tone_records):
    with pytest.raises(TrainingError, match="was imported and has no records of its own; name some"):
        evaluate.evaluate(run, progress=False)
    result = evaluate.evaluate(run, tone_records, progress=False)
    assert result.label == "won-samplecnn" and result.split == "order" and result.dataset == "tones"
    assert set(result.tags) == {"low", "middle", "high"}
    clips = tone_records.part("test")
    scores = Scorer(run.model())(tone_records, clips)
    for tag, scored in result.tags.items():
        has = tone_records.labels(clips, [tag])[:, 0]
        pairs = np.subtract.outer(scores[has, TAGS.index(tag)], scores[~has, TAGS.index(tag)])
        assert scored.roc_auc.value == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_it_tags_and_starts_another_training(run, tone_records, tmp_path):
    from tagkit.training.config import TrainingConfig
    from tagkit.training.loop import train

    y = tone_records.waveform(tone_records.catalog.clips.index[0])
    tagged = Tagger.open(run.root)(y, sr=tone_records.sr)
    assert tagged.tags == TAGS and 0 <= tagged.scores.min() < tagged.scores.max() <= 1
    config = TrainingConfig("crepe_tiny", init=str(run.root), steps=1, batch_size=2, eval_every=1)
    tuned = train(config, tone_records, tmp_path / "tuned", progress=False)
    theirs, ours = (r.model().get_layer("conv2_conv").kernel.numpy() for r in (run, tuned))
    assert np.abs(theirs - ours).max() < 0.01


def test_the_list_says_what_was_tested(capsys):
    assert main(["import", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "mapping tested, file not" in line]) == 2
    assert main(["import"]) == 1


@pytest.mark.parametrize("command", ["evaluate", "compare", "neighbours --neighbours 1", "export --format keras"])
def test_commands_take_it_by_its_name(command, run, tone_records, capsys):
    name, *options = command.split()
    shutil.copytree(run.root, paths.runs_dir() / "imported" / "won-samplecnn")
    assert main([name, "won-samplecnn", *options, "--records", str(tone_records.root)]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", ["analyse", "live"])
def test_analysis_takes_it_by_its_name_and_asks_for_records(command, run, capsys):
    shutil.copytree(run.root, paths.runs_dir() / "imported" / "won-samplecnn")
    assert main([command, "won-samplecnn"]) == 1
    assert "was imported and has no records of its own" in capsys.readouterr().err
