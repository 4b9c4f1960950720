"""Progress bars: on a terminal and in notebooks they move, elsewhere they write a line a minute."""

import io
import sys
from collections.abc import Iterable

from tqdm.auto import tqdm
from tqdm.notebook import tqdm as notebook_tqdm

LOGGED_EVERY_S = 60.0


class _Lines(io.TextIOBase):
    """Standard error for a bar that cannot be drawn over: each state on a line of its own."""

    def __init__(self):
        self._last = ""

    def write(self, text: str) -> int:
        line = text.strip()
        if line and line != self._last:
            print(line, file=sys.stderr, flush=True)
            self._last = line
        return len(text)


def progress_bar(
    iterable: Iterable | None = None, desc: str | None = None, total: int | None = None, **options: object
) -> tqdm:
    """A progress bar on standard error, as tqdm's, whose options it takes.

    Where standard error is no terminal, such as a log file, it writes its first and its last state, and one a minute.
    """
    drawn = issubclass(tqdm, notebook_tqdm) or (sys.stderr is not None and sys.stderr.isatty())
    if not drawn:
        options |= {"file": _Lines(), "mininterval": LOGGED_EVERY_S, "maxinterval": LOGGED_EVERY_S}
    return tqdm(iterable, desc, total, **options)
