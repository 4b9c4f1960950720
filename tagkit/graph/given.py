"""Networks from users' files: the run that is trained holds them as data."""

import dataclasses
from pathlib import Path

from tagkit.graph import specs, zoo
from tagkit.graph.layers import own
from tagkit.graph.specs import Row
from tagkit.system import code, files
from tagkit.system.code import CodeError


def find(text: str) -> Row:
    """The network that a command names: a row of the zoo, ``FILE.py:NAME`` or ``FILE.json``.

    A Python file is run. A JSON file holds ``Row.to_dict()``, such as the entry "row" of a run.json, or all of that.

    Raises
    ------
    ValueError
        There is no such row, file or name, or it is no Row.
    """
    if code.is_reference(text):
        named = code.load(text)
        if not isinstance(named.value, Row):
            raise CodeError(f"{text} is a {type(named.value).__name__}, not a tagkit.graph.specs.Row.")
        return _settled(named.value, text.rpartition(":")[0], named.sha256)
    if text.endswith(".json"):
        if not Path(text).is_file():
            raise CodeError(f"{text} is not a file; name the JSON of a Row.")
        content = files.read_json(text)
        row = content.get("row", content) if isinstance(content, dict) else content
        return zoo.find(Row.from_dict(row)) if isinstance(row, dict) else _no_row(text)
    return zoo.find(text)


def rows(path: str | Path) -> dict[str, Row]:
    """All rows that a Python file defines, by their names there; CodeError if there is none."""
    module, sha256 = code.run(path)
    found = {name: _settled(v, path, sha256) for name, v in vars(module).items() if isinstance(v, Row)}
    if not found:
        raise CodeError(f"{path} defines no tagkit.graph.specs.Row.")
    return found


def _no_row(text: str) -> Row:
    raise CodeError(f"{text} does not hold a Row; write json.dumps(row.to_dict()) into it.")


def _settled(row: Row, path: str | Path, sha256: str) -> Row:
    """The row, with the file and hash of its own front-end, whose layers become known."""
    if isinstance(row.frontend, specs.Own):
        own.register(path)
        row = dataclasses.replace(row, frontend=dataclasses.replace(row.frontend, file=Path(path).name, sha256=sha256))
    return zoo.find(row)
