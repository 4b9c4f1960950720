"""The listening page: one HTML file in which one clicks through stages and channels of networks and hears them.

The page needs no network, no kernel and no Python: it carries the excerpts as MP3, the feature maps as int8 and the
filter curves, and makes the sounds in the browser, as `tagkit.analysis.sonify` makes them here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import tagkit
from tagkit import audio
from tagkit.analysis.portrait import Portrait
from tagkit.data.catalog import Clip
from tagkit.data.records import Records
from tagkit.graph.scorer import Scorer
from tagkit.listening import html, pool, telling
from tagkit.listening.network import Excerpt, Library, Network, network
from tagkit.listening.packing import PageTooLargeError, pack
from tagkit.system import files
from tagkit.training.runs import Run

__all__ = ["Excerpt", "PageTooLargeError", "excerpt", "network", "of_runs", "write"]

TITLE = "Listen inside a network"
LEAD = (
    "A neural network learned to tag music from the bare waveform. Step inside: choose a piece, walk through the "
    "stages, and listen to what each channel responds to."
)
SECONDS = {1: 7.0, 2: 5.0, 3: 4.0}  # of an excerpt, by the number of networks: the page has one size
FEWEST_SECONDS = 3.0


def write(
    path: Path | str,
    networks: Sequence[Network],
    clips: Sequence[Excerpt],
    *,
    max_channels: int = 32,
    title: str = TITLE,
    lead: str = LEAD,
    faithful: bool = True,
    library: Sequence[Library] = (),
) -> Path:
    """Write the listening page of one or several networks for a few clips.

    Parameters
    ----------
    path : path
        The HTML file.
    networks : sequence of Network
        Each from `network`, with these clips.
    clips : sequence of Excerpt
        Three or four.
    max_channels : int
        Channels kept of a stage, at most; fewer where the page would grow too large.
    title, lead : str
        Heading and opening sentence.
    faithful : bool
        Measure how much of a channel's answer each sound carries, and open with the most telling one: for one network
        and four clips of 7 s about a minute. Networks without a model are left out.
    library : sequence of Library, optional
        Of each network, all of the same clips: the page then plays the moments of these that excite a channel most,
        middling and least.

    Raises
    ------
    PageTooLargeError
        The page would take 2 MB or more even with the fewest channels, without the excerpts.
    """
    packed = pack(clips, networks, max_channels=max_channels, max_bytes=html.data_budget())
    if faithful:
        packed = telling.add(packed, networks, clips)
    if library:
        packed = pool.add(packed, [each.portrait for each in library], library[0].records)
    text = html.render(packed, title=title, lead=lead, facts=facts(networks))
    with files.atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def of_runs(
    path: Path | str, runs: Mapping[str, Run], portraits: Mapping[str, Portrait], records: Records, clips: int = 4
) -> Path:
    """Write the listening page of the runs that read the waveform, for test clips with many different tags.

    Parameters
    ----------
    path : path
        The HTML file.
    runs : dict of str -> Run
        Trained on the same records and split.
    portraits : dict of str -> Portrait
        Of each run, by the same name.
    clips : int
        How many test clips the page holds.

    Raises
    ------
    ValueError
        None of the runs learned its first filters on the waveform.
    RecordsError, TrainingError, PageTooLargeError
        The split has no test clips, a run has no weights yet, or the page would take 2 MB or more.
    """
    raw = {name: run for name, run in runs.items() if run.row.reads_waveform}
    if not raw:
        raise ValueError(f"None of {', '.join(runs)} learned its first filters on the waveform: nothing to listen to.")
    networks, pieces = networks_of(raw, portraits, records, clips)
    return write(path, networks, pieces, library=[Library(portraits[name], records) for name in raw])


def networks_of(
    runs: Mapping[str, Run], portraits: Mapping[str, Portrait], records: Records, clips: int
) -> tuple[list[Network], list[Excerpt]]:
    """Networks as a page shows them, and excerpts of test clips with many different tags, which they have heard.

    Parameters and errors as for `of_runs`, but for the runs that do not read the waveform.
    """
    first = next(iter(runs.values()))
    test = records.part("test", first.record["split"])
    tags = first.tags_in(records) or records.catalog.tags(None)
    chosen = test[varied(records.labels(test, tags), clips)]
    seconds = SECONDS.get(len(runs), FEWEST_SECONDS)
    pieces: list[Excerpt] = []
    for clip in (records.catalog.clip(index) for index in chosen):
        piece = excerpt(clip, records.sr, seconds, y=records.waveform(clip.clip_id))
        same = sum(piece.title in (other.title, other.title.rpartition(" (")[0]) for other in pieces)
        pieces.append(Excerpt(f"{piece.title} ({same + 1})", piece.y, piece.sr, piece.tags) if same else piece)
    networks = []
    for name, run in runs.items():
        model, found = run.model(), portraits[name]
        scorer = Scorer(model, exclusive=run.exclusive)
        scores = {
            piece.title: {run.tags[k]: float(row[k]) for k in np.argsort(-row)[: 1 if run.exclusive else 5]}
            for piece, row in zip(pieces, scorer(records, chosen), strict=True)
        }
        networks.append(
            network(
                model,
                pieces,
                title=name,
                probe=found.trained.probe,
                control=found.control and found.control.probe,
                channel_tags=found.channel_tags(),
                scores=scores,
            )
        )
    return networks, pieces


def varied(labels: np.ndarray, n: int) -> np.ndarray:
    """Rows (n,) that together show as many tags as possible: each next one adds the rarest tags not shown yet.

    Parameters
    ----------
    labels : ndarray of bool (clips, tags)
    """
    rarity = 1 / np.maximum(labels.sum(0), 1)
    shown = np.zeros(labels.shape[1], bool)
    chosen: list[int] = []
    for _ in range(min(n, len(labels))):
        gain = (labels & ~shown) @ rarity + 1e-3 * labels.sum(1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        shown |= labels[chosen[-1]]
    return np.array(chosen)


def excerpt(
    clip: Clip, sr: int, seconds: float = 7.0, *, y: np.ndarray | None = None, start_s: float | None = None
) -> Excerpt:
    """Cut an excerpt out of a clip of a Catalog.

    Parameters
    ----------
    sr : int
        Hz; that of the networks which will hear it.
    y : ndarray (samples,), optional
        The clip's samples at `sr`, where they are at hand; by default its file is decoded.
    start_s : float, optional
        By default the excerpt starts where the `seconds` with the most onsets do, in steps of half a second.
    """
    y = audio.load(clip.path, sr=sr) if y is None else y
    length = min(round(seconds * sr), len(y))
    start = _liveliest(y, length, sr) if start_s is None else min(round(start_s * sr), len(y) - length)
    return Excerpt(clip.name, y[start : start + length], sr, clip.tags)


def _liveliest(y: np.ndarray, length: int, sr: int) -> int:
    """Start of the stretch with the largest sum of rises in loudness, in decibels between blocks of 50 ms."""
    block = sr // 20
    power = np.square(y[: len(y) // block * block].astype(np.float64)).reshape(-1, block).mean(1)
    rises = np.maximum(np.diff(10 * np.log10(power + 1e-6), prepend=-60.0), 0)
    starts = np.arange(0, max(len(y) - length, 0) + 1, sr // 2)
    return int(max(starts, key=lambda start: rises[start // block + 1 : (start + length) // block].sum()))


def facts(networks: Sequence[Network]) -> str:
    """The small print of a page: what made it from which networks."""
    sizes = ", ".join(
        f"{each.title} ({each.model.count_params():,} parameters)" if each.model else each.title for each in networks
    )
    return f"Made with tagkit {tagkit.__version__} from {sizes}. Filter curves were measured with tones at -20 dBFS."
