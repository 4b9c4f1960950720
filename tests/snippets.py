"""The Python code in README and docs, as a reader would run it: from the top of a page to its end.

python -m tests.snippets docs/feature_analysis.md    runs all of a page's code on the data and runs of the demo
"""

import ast
import builtins
import inspect
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from markdown_it import MarkdownIt


def snippets(path: Path) -> list[tuple[int, str]]:
    """The line and code of every Python block, and of every call in a paragraph that begins with "Call:"."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8")):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "fence" and token.info == "python":
            found.append((line, token.content))
        elif token.type == "inline" and token.content.startswith("Call:"):
            spans = (child.content for child in token.children if child.type == "code_inline")
            found += [(line, span) for span in spans if "(" in span and not span.startswith(".")]
    return found


def faults(path: Path) -> Iterator[str]:
    """What is wrong with a page's code, as far as this can be known without running it."""
    known: dict[str, object] = {}
    for line, code in snippets(path):
        tree = ast.parse(code, f"{path.name}:{line}")
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                known |= imported(node)
        names = {node.id: node for node in ast.walk(tree) if isinstance(node, ast.Name)}
        stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        for name in sorted(names.keys() - stored - bound - known.keys() - set(dir(builtins))):
            yield f"{path.name}:{line}: `{name}` is not defined"
        known = {name: None for name in stored} | known
        for node in ast.walk(tree):
            reason = misuse(node, known)
            if reason:
                yield f"{path.name}:{line}: {reason}"


def imported(node: ast.Import | ast.ImportFrom) -> dict[str, object]:
    """What an import statement binds."""
    scope: dict[str, object] = {}
    exec(compile(ast.Module([node], []), "<import>", "exec"), scope)
    return {alias.asname or alias.name: scope[alias.asname or alias.name.partition(".")[0]] for alias in node.names}


def misuse(node: ast.AST, known: dict[str, object]) -> str | None:
    """Why an attribute or a call of something that was imported would fail."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        owner = known.get(node.value.id)
        if isinstance(owner, ModuleType | type) and not hasattr(owner, node.attr):
            return f"{node.value.id}.{node.attr} does not exist"
    if isinstance(node, ast.Call):
        function = resolve(node.func, known)
        plain = not any(isinstance(a, ast.Starred) for a in node.args) and all(k.arg for k in node.keywords)
        if function and plain and getattr(function, "__module__", "").startswith("tagkit"):
            try:
                inspect.signature(function).bind(*node.args, **{k.arg: k.value for k in node.keywords})
            except TypeError as error:
                return f"{ast.unparse(node.func)}: {error}"
    return None


def resolve(node: ast.expr, known: dict[str, object]) -> Callable | None:
    """The function or class that an expression names, if it was imported."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return getattr(known.get(node.value.id), node.attr, None)
    return None


def main(path: Path) -> int:
    """Run all code of a page in one namespace."""
    scope: dict[str, object] = {}
    for line, code in snippets(path):
        started = time.monotonic()
        exec(compile(code, f"{path}:{line}", "exec"), scope)
        print(f"{path}:{line}: ok, {time.monotonic() - started:.1f} s: {code.splitlines()[0][:90]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
