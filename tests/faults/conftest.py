"""A table of all faults, printed when the tests are done."""

from collections import defaultdict
from dataclasses import dataclass

import pytest

TABLE = pytest.StashKey[list]()


@dataclass
class Row:
    """What a fault did to a job: `lost` is work that had to be done again, `data_lost` finished files that changed."""

    fault: str
    tries: int
    lost: str = "-"
    data_lost: int = 0
    identical: str = "yes"


def pytest_configure(config):
    config.stash[TABLE] = []


@pytest.fixture
def report(request):
    """Add a row to the table."""
    return lambda *row, **columns: request.config.stash[TABLE].append(Row(*row, **columns))


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[TABLE]
    if not rows:
        return
    terminalreporter.section("faults")
    titles = ("fault", "tries", "lost work", "data lost", "final result identical")
    cells = [titles, *((r.fault, str(r.tries), r.lost, str(r.data_lost), r.identical) for r in rows)]
    widths = defaultdict(int)
    for line in cells:
        for i, cell in enumerate(line):
            widths[i] = max(widths[i], len(cell))
    for line in cells:
        terminalreporter.line("  ".join(cell.ljust(widths[i]) for i, cell in enumerate(line)).rstrip())
