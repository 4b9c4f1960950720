"""Every architecture as one row of data; `build` makes a network of it, `describe` says what it costs."""

import dataclasses
from collections.abc import Sequence

import keras
import pandas as pd

from tagkit.graph import literature, predecessor
from tagkit.graph.build import build_row
from tagkit.graph.describe import describe_model
from tagkit.graph.literature import ZEILER, with_pooling
from tagkit.graph.published import rows as published
from tagkit.graph.specs import Row

__all__ = ["ROWS", "Row", "build", "describe", "find", "with_pooling"]

_DRAWN = {row.name: row for row in (*predecessor.ROWS, *literature.ROWS, *published.ROWS)}
_DERIVED = (
    dataclasses.replace(_DRAWN["dm16"], name="dm16_relu", activation="relu", source="predecessor, dm16 with ReLU"),
    with_pooling(_DRAWN["ds256ra"], "stochastic", "ds256ra_stochastic", f"predecessor, ds256ra {ZEILER}"),
    with_pooling(_DRAWN["dm16"], "stochastic", "dm16_stochastic", f"predecessor, dm16 {ZEILER}"),
    with_pooling(_DRAWN["samplecnn"], "stochastic", "samplecnn_stochastic", f"Lee et al. 2017, SampleCNN {ZEILER}"),
)

ROWS: dict[str, Row] = _DRAWN | {row.name: row for row in _DERIVED}


def build(
    row: str | Row, n_tags: int = 50, samples: int | None = None, seed: int = 0, synchronized: bool = False
) -> keras.Model:
    """Build a row of the zoo, by name or by its table; see `tagkit.graph.build.build_row`.

    Examples
    --------
    >>> from tagkit.graph import zoo
    >>> model = zoo.build("dm16", n_tags=3)
    >>> model.input_shape, model.output_shape
    ((None, 38832, 1), (None, 3))
    """
    return build_row(find(row), n_tags, samples, seed, synchronized)


def describe(row: str | Row, n_tags: int = 50) -> dict:
    """Describe a row, by name or by its table: name, size, cost, stages, source; see `describe_model`."""
    row = find(row)
    return describe_model(build(row, n_tags), row.source)


def table(names: Sequence[str], n_tags: int = 50) -> pd.DataFrame:
    """What some rows cost, as a table (rows) for people: input_samples, parameters, MMAC of a window, source."""
    rows = [describe(name, n_tags) for name in names]
    columns = {key: [row[key] for row in rows] for key in ("input_samples", "parameters")}
    columns["MMAC"] = [round(row["macs"] / 1e6, 1) for row in rows]
    return pd.DataFrame(columns | {"source": [row["source"] for row in rows]}, list(names))


def find(row: str | Row) -> Row:
    """Return the row of this name; a row itself is returned as it is. Raises ValueError for an unknown name."""
    if isinstance(row, Row):
        return row
    if row not in ROWS:
        raise ValueError(f"The zoo has no model {row!r}: it has {', '.join(ROWS)}; your own is FILE.py:NAME.")
    return ROWS[row]
