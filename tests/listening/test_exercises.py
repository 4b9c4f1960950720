import json
import re
from pathlib import Path

import pytest

from tagkit.listening import exercises

ROOT = Path(__file__).parents[2]
# By hand, from the definitions: 480,000 / 38,832 = 12.4; 100 h x 3,600 x 22,050 x 2 bytes; 16,000 - 9,500; 16,000 / 64;
# 38,832 / 128 = 303.4; 64 taps x 64 channels; 16,000 / 16; half of 16,000 / 64; 496 samples at 16 a millisecond; ...
RIGHT = {
    "02": {"windows_of_30_s": 13, "gigabytes": 15.9, "folded_hz": 6_500},
    "05": {"resolution_hz": 250, "frames_of_dm128": 304, "weights_of_dm64": 64 * 64},
    "13": {"frames_a_second": 1_000, "highest_raw_hz": 125, "hears_ms": 31},
    "14": {"folded_hz": 300, "halved_db": -6.02, "mel_of_1_khz": 15},
}


@pytest.mark.parametrize("notebook", RIGHT)
def test_right_answers_are_told_from_wrong_and_open_ones(notebook, capsys):
    exercises.check(notebook, **RIGHT[notebook])
    assert capsys.readouterr().out.count(": right.") == 3
    exercises.check(notebook, **{name: 1.1 * value for name, value in RIGHT[notebook].items()})
    assert capsys.readouterr().out.count(": not yet. ") == 3
    exercises.check(notebook)
    assert capsys.readouterr().out.count(": still open.") == 3


@pytest.mark.parametrize("notebook", RIGHT)
def test_a_notebook_asks_what_is_checked_and_gives_nothing_away(notebook):
    (path,) = (ROOT / "notebooks").glob(f"{notebook}_*.ipynb")
    cells = json.loads(path.read_text())["cells"]
    (cell,) = [c for c in cells if "exercises.check" in "".join(c["source"])]
    asked = re.findall(r"(\w+)=\.\.\.", "".join(cell["source"]))
    assert asked == list(exercises.EXERCISES[notebook]) == list(RIGHT[notebook])
    questions = "".join(cells[cells.index(cell) - 1]["source"])
    assert len(re.findall(r"^\d\. ", questions, re.M)) == 3


def test_what_there_is_not_is_named():
    with pytest.raises(ValueError, match="Notebook '03' has no exercises"):
        exercises.check("03")
    with pytest.raises(ValueError, match="Notebook 14 has no exercise 'peak'"):
        exercises.check("14", peak=1)
