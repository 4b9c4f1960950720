"""Pictures of tags over time, one for each file of a batch."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tagkit.system.paths import printable

if TYPE_CHECKING:
    from tagkit.evaluation.sweep import Failed
    from tagkit.evaluation.tag import Tagged

WIDEST_TITLE = 80


def drawn(results: "Iterable[Tagged]", folder: Path, top: int, failed: "list[Failed]") -> "Iterator[Tagged]":
    """Draw each result's taggram before passing it on; files of the same name get a number.

    Where one cannot be drawn, its scores are passed on all the same, and the reason joins `failed`.
    """
    from tqdm.auto import tqdm

    from tagkit import plots
    from tagkit.evaluation.sweep import Failed

    plots.use_style()
    taken: set[str] = set()
    for result in results:
        if not result.silent:
            try:
                _draw(result, folder, top, taken)
            except (ValueError, OSError) as error:
                failed.append(Failed(result.path, f"the taggram of {result.path} cannot be drawn ({error})."))
                tqdm.write(f"tagkit tag: {printable(failed[-1].reason)}", sys.stderr)
        yield result


def _draw(result: "Tagged", folder: Path, top: int, taken: set[str]) -> None:
    from matplotlib.figure import Figure

    from tagkit import plots
    from tagkit.system import files

    order, name = result.order(top), printable(result.path.name)
    fig = Figure(figsize=(10, 1.4 + 0.32 * len(order)), layout="constrained")  # without pyplot: no window system
    plots.taggram(
        result.window_scores[:, order],
        result.starts_s,
        result.window_s,
        [f"{result.tags[k]} {result.scores[k]:.2f}".replace(" 0.", " .") for k in order],
        duration_s=result.duration_s,
        title=name if len(name) <= WIDEST_TITLE else f"{name[:WIDEST_TITLE]}…",
        ax=fig.subplots(),
    )
    with files.atomic(folder / f"{_free(_short(result.path.name), taken)}.png") as temporary:
        fig.savefig(temporary, dpi=120, format="png")


def _short(name: str) -> str:
    """A name with room for more behind it: file systems take 255 bytes."""
    encoded = os.fsencode(name)
    return encoded[:200].decode(errors="ignore") if len(encoded) > 200 else name


def _free(name: str, taken: set[str]) -> str:
    """`name`, with a number behind it if it is taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    taken.add(free)
    return free
