"""The examples in docstrings give what they say."""

import doctest
import shutil

import pytest

from tagkit.evaluation.compare import group
from tagkit.evaluation.evaluate import evaluate
from tagkit.evaluation.tag import Tagger
from tagkit.training.config import TrainingConfig
from tagkit.training.loop import train
from tagkit.training.runs import Run


@pytest.fixture(scope="module")
def desk(tone_catalog, tone_records, tmp_path_factory):
    """A folder with what the examples use: runs/ and song.wav."""
    desk = tmp_path_factory.mktemp("desk")
    for seed, name in enumerate(("tones", "tones_again")):
        config = TrainingConfig(model="ds256ra", steps=4, batch_size=4, eval_every=4, seed=seed)
        train(config, tone_records, desk / "runs" / name, progress=False)
    shutil.copy(tone_catalog.root / tone_catalog.clips["path"].iloc[0], desk / "song.wav")
    return desk


@pytest.mark.parametrize("documented", [evaluate, group, Tagger], ids=lambda each: each.__name__)
def test_examples_in_docstrings(documented, desk, monkeypatch):
    monkeypatch.chdir(desk)
    names = {each.__name__: each for each in (evaluate, group, Tagger, Run)}
    (example,) = doctest.DocTestFinder(recurse=False).find(documented, documented.__name__, globs=names)
    said: list[str] = []
    result = doctest.DocTestRunner().run(example, out=said.append)
    assert result.attempted and not result.failed, "".join(said)
