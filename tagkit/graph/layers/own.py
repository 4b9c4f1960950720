"""Front-ends from users' files: Keras layers that are known once their file was named.

A run holds the name of such a layer and the hash of its file, never its code: whoever opens the run names the file.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from tagkit.graph import specs
from tagkit.system import code
from tagkit.system.code import CodeError

_layers: dict[str, tuple[type[keras.Layer], str]] = {}  # by name: the class, and the sha256 of its file


def register(path: str | Path) -> tuple[str, ...]:
    """Run a file and make the Keras layers that it defines known as front-ends, by their names.

    Raises
    ------
    CodeError
        The file cannot be run.
    """
    module, sha256 = code.run(path)
    found = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, keras.Layer) and value.__module__ == module.__name__
    }
    _layers.update({name: (value, sha256) for name, value in found.items()})
    return tuple(found)


def layer(table: specs.Own, network: str) -> keras.Layer:
    """The layer of an own front-end, with nothing in its path but the name of its class.

    Raises
    ------
    CodeError
        No file with that layer was named, or the file is not the one that the network was trained with.
    """
    if table.name not in _layers:
        raise CodeError(
            f"{network} has a front-end of its author's own, the Keras layer {table.name} of {table.file}; name that "
            f"file with --code (in Python, tagkit.graph.layers.own.register). It is run: name only what you trust."
        )
    kind, sha256 = _layers[table.name]
    if table.sha256 and table.sha256 != sha256:
        raise CodeError(
            f"{network} was trained with another version of {table.file} (sha256 {table.sha256[:12]}..., not "
            f"{sha256[:12]}...); name the file as it was, or train again."
        )
    try:
        return kind(**dict(table.options), name=f"own_{table.name.lower()}")
    except TypeError as error:
        raise CodeError(f"The layer {table.name} cannot be made with {dict(table.options)}: {error}.") from error


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let Keras draw the seeds of initialisers that have none from `seed`, so that a run's start can be repeated."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
