"""Frozen dataclasses of arrays in one .npz file: their fields as JSON, their arrays beside it, no pickles."""

import dataclasses
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tagkit.system import files

_SEQUENCES = {kind.__name__: kind for kind in (list, tuple, frozenset)}


def save(path: Path | str, value: object, fingerprint: object) -> Path:
    """Write a dataclass of arrays, plain values, sequences, dicts and other such dataclasses, atomically.

    Parameters
    ----------
    value : dataclass
    fingerprint : JSON-ready data
        What the file was made of; `fingerprint` reads it without the rest.
    """
    arrays: dict[str, np.ndarray] = {}
    about = {"fingerprint": fingerprint, "value": _plain(value, arrays)}
    with files.atomic(path) as temporary, temporary.open("wb") as out:
        np.savez(out, about=json.dumps(about), **arrays)
    return Path(path)


def fingerprint(path: Path | str) -> object:
    """What a file was made of."""
    return _about(path)["fingerprint"]


def load(path: Path | str, types: Sequence[type]) -> object:
    """Read what `save` wrote.

    Parameters
    ----------
    types : sequence of dataclasses
        All that may be in the file.

    Raises
    ------
    ValueError
        The file is damaged.
    """
    about = _about(path)
    with np.load(path) as arrays:
        return _value(about["value"], arrays, {each.__name__: each for each in types})


def _about(path: Path | str) -> dict:
    try:
        with np.load(path) as arrays:
            return json.loads(str(arrays["about"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged ({error}); remove it, and it will be made anew.") from error


def _plain(value: object, arrays: dict[str, np.ndarray]) -> object:
    """JSON-ready data that stands for a value; arrays are put aside under the names that it mentions."""
    if isinstance(value, np.ndarray):
        arrays[f"a{len(arrays)}"] = value
        return {"array": f"a{len(arrays) - 1}"}
    if dataclasses.is_dataclass(value):
        fields = {each.name: _plain(getattr(value, each.name), arrays) for each in dataclasses.fields(value)}
        return {"type": type(value).__name__, "fields": fields}
    if isinstance(value, Mapping):
        return {"dict": {key: _plain(each, arrays) for key, each in value.items()}}
    if type(value) in _SEQUENCES.values():
        return {"sequence": type(value).__name__, "items": [_plain(each, arrays) for each in value]}
    return value


def _value(plain: object, arrays: Mapping[str, np.ndarray], types: Mapping[str, type]) -> object:
    """The inverse of `_plain`."""
    if not isinstance(plain, dict):
        return plain
    if "array" in plain:
        return arrays[plain["array"]]
    if "dict" in plain:
        return {key: _value(each, arrays, types) for key, each in plain["dict"].items()}
    if "sequence" in plain:
        return _SEQUENCES[plain["sequence"]](_value(each, arrays, types) for each in plain["items"])
    fields = {key: _value(each, arrays, types) for key, each in plain["fields"].items()}
    return types[plain["type"]](**fields)
