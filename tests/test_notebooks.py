"""The notebooks are thin, bare and in order; `notebooks/execute.py` runs them."""

import ast
import asyncio
import re
import time
from pathlib import Path

import nbformat
import pytest

from notebooks import execute

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def notebook(request):
    return request.param, nbformat.read(request.param, as_version=4)


def code(book) -> list[str]:
    return [c.source for c in book.cells if c.cell_type == "code"]


def test_there_are_notebooks_and_their_numbers_are_unique():
    numbers = [p.name[:2] for p in NOTEBOOKS]
    assert len(numbers) >= 6 and len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"\d\d_[a-z0-9_]+\.ipynb", p.name) for p in NOTEBOOKS)


def test_runs_that_several_notebooks_open_have_the_same_settings_everywhere():
    """Otherwise the second of them is refused, on a machine where the first was executed in full."""
    settings = {}
    for path in NOTEBOOKS:
        for source in code(nbformat.read(path, as_version=4)):
            cell = list(ast.walk(ast.parse(re.sub(r"^%.*$", "", source, flags=re.M))))
            strings = {node.value for node in cell if isinstance(node, ast.Constant) and isinstance(node.value, str)}
            looped = {ast.unparse(node.target) for node in cell if isinstance(node, ast.comprehension)}
            for call in cell:
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "workspace.run" and call.args:
                    given = {k.arg: ast.unparse(k.value) for k in call.keywords}
                    first = given.pop("name", ast.unparse(call.args[0]))
                    for name in strings if first in looped else {first.strip("'")}:
                        settings.setdefault(name, {}).setdefault(str(given), []).append(path.name)
    assert {"dm16", "crnn_dm16", "tdfbank"} <= settings.keys()
    assert {name: found for name, found in settings.items() if len(found) > 1} == {}


def test_it_is_valid_bare_and_small(notebook):
    path, book = notebook
    nbformat.validate(book)
    assert path.stat().st_size < 100_000
    for cell in book.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None, "stored with outputs: clear them"
    assert set(book.metadata) <= {"kernelspec", "language_info"}


def test_it_starts_with_a_title_and_an_import_cell(notebook):
    path, book = notebook
    assert book.cells[0].cell_type == "markdown"
    assert book.cells[0].source.startswith(f"# {path.name[:2]} ")
    first_code = code(book)[0]
    assert "import" in first_code and "plots.use_style()" in first_code


def test_its_cells_are_short_and_define_short_functions_at_most(notebook):
    _, book = notebook
    for source in code(book):
        assert len(source.splitlines()) <= 15, source
        tree = ast.parse(re.sub(r"^%.*$", "", source, flags=re.M))
        for node in ast.walk(tree):
            assert not isinstance(node, ast.ClassDef | ast.Lambda), source
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 10, source
            if isinstance(node, ast.For | ast.While):
                assert node.end_lineno - node.lineno <= 5, source


def test_a_notebook_named_train_trains_and_shows_it(notebook):
    path, book = notebook
    if "_train_" in path.name:
        source = "\n".join(code(book))
        filters = f'"{path.name[:2]}_filters'
        for shown in ("workspace.run(", "lesson.learning(", filters, "lesson.taggram(", ".follow("):
            assert shown in source, f"{path.name} does not call {shown}"


def test_every_figure_and_player_is_explained(notebook):
    """Text comes before the code that it explains: at most three code cells stand without a word between them."""
    _, book = notebook
    kinds = [c.cell_type for c in book.cells]
    runs = "".join(k[0] for k in kinds)
    assert "cccc" not in runs, "four code cells in a row: say what to look or listen for"


def test_a_player_ends_its_cell(notebook):
    """An Audio that is not the last expression of its cell is dropped from exported pages."""
    _, book = notebook
    for source in code(book):
        if "player(" in source:
            last = ast.parse(source).body[-1]
            assert "player(" in ast.unparse(last) and isinstance(last, ast.Expr), source
            assert source.count("player(") == 1, "one player a cell"


def test_links_resolve(notebook):
    path, book = notebook
    for cell in book.cells:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", cell.source if cell.cell_type == "markdown" else ""):
            assert (path.parent / target).exists(), target


def test_no_answer_is_waited_for_that_is_there(tmp_path):
    """An Output widget has nbclient send messages while it waits for the cell, which then took as long as it may."""
    cell = "import ipywidgets\nfor _ in range(30):\n    with ipywidgets.Output():\n        print('here')"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    nbformat.write(book, tmp_path / "widgets.ipynb")
    started = time.monotonic()
    assert asyncio.run(execute.executed(tmp_path / "widgets.ipynb", limit_s=60))
    assert time.monotonic() - started < 40
