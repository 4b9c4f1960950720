"""The house rules of tagkit/: few doors at the top, short files, short functions, annotated arguments."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tagkit"
FOLDERS, FILES, FILE_LINES, FUNCTION_LINES = 12, 4, 400, 60


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function from its decorators on, its docstring apart."""
    lines = function.end_lineno - min(node.lineno for node in (function, *function.decorator_list)) + 1
    if ast.get_docstring(function, clean=False) is not None:
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    return lines


def bare_arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The arguments without an annotation; `self` and `cls` need none."""
    given = function.args
    positional = [a for a in (*given.posonlyargs, *given.args) if a.arg not in ("self", "cls")]
    others = [*given.kwonlyargs, *(a for a in (given.vararg, given.kwarg) if a)]
    return [a.arg for a in (*positional, *others) if a.annotation is None]


def public_functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions that others may call: those of a module and of its public classes, constructors too."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not re.match(
            r"_(?!_(init|call)__)", node.name
        ):
            yield node


def faults(path: Path) -> Iterator[str]:
    """What breaks the rules in a file, a line for each."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    if (lines := len(text.splitlines())) > FILE_LINES:
        yield f"{path}: {lines} lines, {FILE_LINES} are allowed: split the file"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := code_lines(node)) > FUNCTION_LINES:
            yield f"{path}:{node.lineno}: {node.name} has {lines} lines, {FUNCTION_LINES} are allowed: split it"
    for function in public_functions(tree.body):
        if bare := bare_arguments(function):
            yield f"{path}:{function.lineno}: {function.name} does not annotate {', '.join(bare)}"


def test_the_top_level_is_small():
    folders = [p.name for p in PACKAGE.iterdir() if p.is_dir() and any(p.rglob("*.py"))]
    files = [p.name for p in PACKAGE.glob("*.py") if p.name != "__init__.py"]
    assert len(folders) <= FOLDERS, folders
    assert len(files) <= FILES, files


@pytest.mark.parametrize("folder", [".", *sorted(p.parent.name for p in PACKAGE.glob("*/__init__.py"))])
def test_files_and_functions_are_short_and_arguments_annotated(folder):
    paths = (PACKAGE / folder).rglob("*.py") if folder != "." else PACKAGE.glob("*.py")
    found = [fault for path in sorted(paths) for fault in faults(path)]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("def f(a, *, b: int, **c): pass", "f does not annotate a, c"),
        ("class A:\n    def __init__(self, x): pass", "__init__ does not annotate x"),
        ("async def f(x): pass", "f does not annotate x"),
        ("class A:\n    def _f(self, x): pass\nclass _B:\n    def f(self, x): pass\ndef _g(x): pass", None),
        ("def f():\n    def g():\n" + 60 * "        0\n", "g has 61 lines, 60 are allowed"),
        ('def f():\n    """' + 90 * "Much.\n" + '    """\n' + 59 * "    0\n", None),
        (401 * "0\n", "401 lines, 400 are allowed"),
        (400 * "0\n", None),
    ],
)
def test_planted_faults_are_found(tmp_path, code, fault):
    (tmp_path / "a.py").write_text(code)
    found = list(faults(tmp_path / "a.py"))
    assert any(fault in line for line in found) if fault else not found
