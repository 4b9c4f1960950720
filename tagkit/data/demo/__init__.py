"""The demo dataset: real scores, re-orchestrated and rendered, so that every tag is exactly true.

`render` makes it (75 to 110 seconds for 300 clips on 2 cores), `read` reads it as a Catalog. In order of the work:
`scores` (music21's corpus as notes), `pieces` (which scores are the same music; the split), `plan` (dealing pieces,
instruments, tempo and loudness to clips), `arrange` (notes in seconds, tags), `synthesis` (the waveform), `build`.
`voices` takes a rendered clip apart again.
"""

from tagkit.data.demo.arrange import FAST_RATE, LOUD_DB, QUIET_DB, SLOW_RATE, TAGS
from tagkit.data.demo.build import ABOUT, read, render

__all__ = ["ABOUT", "FAST_RATE", "LOUD_DB", "QUIET_DB", "SLOW_RATE", "TAGS", "read", "render"]
