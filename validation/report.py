"""docs/validation.md, from the records of the topics alone."""

import inspect
from collections.abc import Sequence
from pathlib import Path

from tagkit.system import files
from validation import findings, topics
from validation.findings import Agreement, Finding, Rate

HEAD = """# Validation

Written by `make validate` from the records in [validation/](validation); do not edit. Every number of tagkit below
stands beside one that other code computed: another library, brute force, or a simulation whose truth is known. The
checks share no code with what they check. A rate comes with the 95 % interval of its simulation (Wilson's). The test
suite runs a short form of all this. `make validate ONLY=coverage` runs one topic.
"""


def write_record(folder: Path, name: str, found: Sequence[Finding]) -> Path:
    """Keep what a topic found, as JSON."""
    path = folder / f"{name}.json"
    files.write_json(path, {"topic": name, "findings": findings.to_json(found)})
    return path


def write(records: Path, page: Path) -> Path:
    """Write the page from all records that there are."""
    sections = [HEAD]
    for name in topics.TOPICS:
        if (records / f"{name}.json").is_file():
            found = findings.from_json(files.read_json(records / f"{name}.json")["findings"])
            sections.append(section(topics.module(name).__doc__, found))
    with files.atomic(page) as temporary:
        temporary.write_text("\n".join(sections), encoding="utf-8")
    return page


def section(doc: str, found: Sequence[Finding]) -> str:
    """A topic's heading and text, which are its module's docstring, with a table for each kind of finding."""
    title, _, text = inspect.cleandoc(doc).partition("\n")
    lines = [f"## {title.rstrip('.')}", "", text.strip(), ""]
    if agreements := [f for f in found if isinstance(f, Agreement)]:
        rows = [
            (f.name, _number(f.tool), _number(f.independent), f.source, f"{f.tolerance:g}", _verdict(f))
            for f in agreements
        ]
        lines += [*_table(("quantity", "tagkit", "independent", "from", "tolerance", ""), rows), ""]
    if rates := [f for f in found if isinstance(f, Rate)]:
        rows = [
            (
                f.name,
                _rate(f),
                f"{f.low:g} to {f.high:g}",
                _width(f.width),
                _share(f.unknown),
                str(f.trials),
                _verdict(f),
            )
            for f in rates
        ]
        lines += [*_table(("rate", "measured", "bounds", "mean width", "unknown", "trials", ""), rows), ""]
    return "\n".join(lines)


def line(finding: Finding) -> str:
    """One finding as the terminal shows it."""
    measured = _rate(finding) if isinstance(finding, Rate) else f"{finding.tool:.6g} | {finding.independent:.6g}"
    return f"  {finding.name:68s} {measured:>28s}  {_verdict(finding)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)]


def _verdict(finding: Finding) -> str:
    return "holds" if finding.holds else "**fails**"


def _rate(rate: Rate) -> str:
    low, high = rate.interval
    return "never answered" if not rate.trials else f"{rate.value:.3f} [{low:.3f}, {high:.3f}]"


def _bounds(rate: Rate) -> str:
    return f"{rate.low:g} to {rate.high:g}"


def _number(value: float) -> str:
    return f"{value:.6g}"


def _width(width: float | None) -> str:
    return "" if width is None else f"{width:.3f}"


def _share(share: float) -> str:
    return f"{share:.0%}" if share else ""
