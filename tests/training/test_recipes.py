import re
from pathlib import Path

import pytest

from tagkit.graph import zoo
from tagkit.studies import published
from tagkit.training import recipes

REPRODUCE = (Path(__file__).parents[2] / "docs" / "reproduce.md").read_text()


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_is_documented_with_its_split_and_what_to_expect(name):
    recipe = recipes.find(name)
    assert recipe.config.model in zoo.ROWS
    line = next(line for line in REPRODUCE.splitlines() if line.startswith(f"| `{name}`"))
    assert f"`{recipe.config.split}`" in line and recipe.config.model in line
    if recipe.expected:
        score = published.find(recipe.expected)
        assert score.split == recipe.config.split
        assert f"{score.roc_auc:.4f}".rstrip("0") in line
    else:
        assert not re.search(r"0\.\d\d", line.partition("(not run")[0])


def test_lees_five_phases():
    config = recipes.find("lee2017_samplecnn").config
    assert [s.learning_rate for s in config.phases] == pytest.approx([0.01, 0.002, 0.0004, 0.00008, 0.000016])
    assert {(s.optimizer, s.patience) for s in config.phases} == {("sgd", 3)}
    assert config.batch_size == 23 and config.eval_every == pytest.approx(15_244 * 10 / 23, abs=1)


def test_wons_two_hundred_epochs():
    config = recipes.find("won2020_musicnn").config
    assert sum(s.validations for s in config.phases) * config.eval_every == config.steps
    assert config.eval_every == 953  # 15,247 clips in batches of 16


def test_an_unknown_recipe_is_named():
    with pytest.raises(ValueError, match="no recipe 'lee'"):
        recipes.find("lee")
