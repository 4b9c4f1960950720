"""Strict reading of delimited tables; an error names the file and the line."""

import csv
import gzip
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tagkit.data.catalog import CatalogError

DELIMITERS = {"comma": ",", "TAB": "\t", "semicolon": ";", "pipe": "|"}


def read_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a delimited text file as from `read_lines`, all of which have as many columns as the first.

    Raises
    ------
    CatalogError
        See `read_lines`; or rows differ in length.
    """
    width = None
    for number, row in read_lines(path, delimiter):
        width = width or len(row)
        if len(row) != width:
            raise CatalogError(
                f"{path}, line {number} has {len(row)} columns and the header has {width}; repair that line."
            )
        yield number, row


def read_lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a delimited text file (UTF-8, optionally gzipped), with their line numbers, one by one.

    A byte-order mark and Windows line ends are accepted; empty lines are skipped.

    Raises
    ------
    CatalogError
        Once the row in question is reached: the file is missing, unreadable, damaged, empty or not UTF-8.
    """
    csv.field_size_limit(min(sys.maxsize, 1 << 24))
    empty, number = True, 0
    with _open(path) as file:
        skipped = _skip_separator(file) is not None
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for row in filter(None, reader):
                empty, number = False, reader.line_num + skipped
                yield number, row
        except csv.Error as error:
            where = (
                f"line {number + 1}" if reader.line_num <= number + 1 else f"lines {number + 1} to {reader.line_num}"
            )
            raise CatalogError(f"{path}, {where}: {error}; look for a stray quotation mark.") from error
    if empty:
        raise CatalogError(f"{path} is empty; fetch or write it again.")


def read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of a table's columns, and its rows with their line numbers, whatever the delimiter.

    Raises
    ------
    CatalogError
        See `read_rows` and `find_delimiter`.
    """
    (_, header), *rows = read_rows(path, find_delimiter(path))
    return [name.strip() for name in header], rows


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    """A text file, perhaps gzipped, open for reading; damage that shows while it is read names it."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise CatalogError(f"{path} is not UTF-8 text ({error.reason}); save it as UTF-8.") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CatalogError(f"{path} cannot be read ({reason}); repair or fetch it again.") from error


def _skip_separator(file: TextIO) -> str | None:
    """Pass over the line ``sep=;`` with which Excel begins a table; the separator, or None where there is none."""
    found = re.fullmatch(r"sep=(.)", file.readline(1 << 20).strip())
    if found is None:
        file.seek(0)
    return found and found[1]


def find_columns(
    path: Path, header: Sequence, spellings: Mapping[str, Sequence], needed: Sequence[str], advice: str = ""
) -> dict[str, int]:
    """Where columns stand in a table.

    Parameters
    ----------
    path : path
        The table's, for the error.
    header : sequence
        The names of its columns, as they are spelled in `spellings`.
    spellings : mapping
        The names that each column may have; where the header has several of them, the first one counts.
    needed : sequence of str
        Keys of `spellings` that the table has to have.
    advice : str
        The end of the error's sentence (default: which columns the table has).

    Raises
    ------
    CatalogError
        A needed column is missing.
    """
    places = {name: next((s for s in known if s in header), None) for name, known in spellings.items()}
    missing = [spellings[name][0] for name in needed if places[name] is None]
    if missing:
        advice = advice or f"its columns are {', '.join(header)[:200]}"
        raise CatalogError(f"{path} has no column {', '.join(missing)}; {advice}.")
    return {name: header.index(place) for name, place in places.items() if place is not None}


def find_delimiter(path: Path) -> str:
    """The delimiter that splits the first line into most columns.

    Raises
    ------
    CatalogError
        None of comma, TAB, semicolon and pipe splits it into two.
    """
    with _open(path) as file:
        declared = _skip_separator(file)
        if declared in DELIMITERS.values():
            return declared
        first = file.readline(1 << 20)
    if not first.strip():
        raise CatalogError(f"{path} is empty; fetch or write it again.")
    widths = {delimiter: len(next(csv.reader([first], delimiter=delimiter))) for delimiter in DELIMITERS.values()}
    best = max(widths, key=widths.__getitem__)
    if widths[best] < 2:
        raise CatalogError(
            f"{path} has one column, {first.strip()[:60]!r}; put {', '.join(DELIMITERS)} between the columns."
        )
    return best
