"""The live page: the listening page with the networks inside, which hear whatever is dropped on it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tagkit.analysis.portrait import Portrait
from tagkit.audio import samples
from tagkit.data.records import Records
from tagkit.graph.scorer import INT16_SCALE
from tagkit.listening import html
from tagkit.listening.live.layers import UnknownLayerError
from tagkit.listening.live.network import pack
from tagkit.listening.network import Excerpt, Network
from tagkit.listening.packing import Running, check, pack_channels
from tagkit.listening.page import facts, networks_of
from tagkit.system import files
from tagkit.training.runs import Run

TITLE = "Drop a song, and listen inside"
LEAD = (
    "Neural networks that learned to tag music run in this page. Drop a song: see its tags over time, walk through the "
    "stages, and play any channel on your own music."
)
MOST_CHANNELS = 64
LONGEST_S = 15 * 60  # of a file that a browser decodes in one piece
# Constants of the page's JavaScript.
SHARED = {
    "int16": INT16_SCALE,
    "downmix": samples.DOWNMIX,
    "most_offset": samples.MOST_OFFSET,
    "silence": 10 ** (samples.SILENCE_DBFS / 20),
    "stretch_s": 10.0,  # what is listened to at a time
    "opened_s": 60.0,  # of a longer song are read before it can be listened to
    "shortest_s": 0.1,
    "longest_s": LONGEST_S,
    "decode_hz": 48_000,  # of files that the browser decodes in one piece
    "microphone_s": 0.25,  # between two windows of the microphone's sound
    "recording_s": 600.0,
    "quiet": 1e-3,  # peak below which a song counts as almost silent
    "clipped": 0.01,  # share of samples at full scale beyond which it is too loud
}


def write(
    path: Path | str,
    networks: Sequence[Network],
    clips: Sequence[Excerpt],
    tags: Sequence[Sequence[str]],
    *,
    precision: str = "float16",
    title: str = TITLE,
    lead: str = LEAD,
) -> Path:
    """Write the live page of one or several networks.

    Parameters
    ----------
    path : path
        The HTML file.
    networks : sequence of Network
        Each from `tagkit.listening.network.network`, with these clips and its model.
    clips : sequence of Excerpt
        What can be heard before anything is dropped: two to four.
    tags : sequence of sequence of str
        Of each network, in the order of its logits.
    precision : {"float16", "float32"}
        Of the weights in the page.
    title, lead : str
        Heading and opening sentence.

    Raises
    ------
    UnknownLayerError
        The page cannot compute a layer of a network; the message names both.
    ValueError
        The networks cannot be packed (see `tagkit.listening.live.network.pack`), differ in sampling rate, or have not
        heard the clips.
    """
    if not clips or not networks:
        raise ValueError("The live page needs at least one clip and one network.")
    for network in networks:
        check(network, clips)
    running = [_running(each, names, precision) for each, names in zip(networks, tags, strict=True)]
    kept = {
        (number, stage): min(MOST_CHANNELS, network.maps[clips[0].title].stage(stage).channels)
        for number, network in enumerate(networks)
        for stage in network.stages
    }
    packed = pack_channels(clips, networks, kept, running)
    text = html.render_live(packed, title=title, lead=lead, facts=facts(networks), shared=SHARED)
    with files.atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def of_runs(
    path: Path | str,
    runs: Mapping[str, Run],
    portraits: Mapping[str, Portrait],
    records: Records,
    *,
    clips: int = 3,
    precision: str = "float16",
) -> Path:
    """Write the live page of runs, with excerpts of test clips to begin with.

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
    precision : {"float16", "float32"}
        Of the weights in the page.

    Raises
    ------
    RecordsError, TrainingError
        The split has no test clips, or a run has no weights yet.
    UnknownLayerError, ValueError
        As for `write`.
    """
    for name, run in runs.items():
        check_windowing(name, run)
    networks, pieces = networks_of(runs, portraits, records, clips)
    return write(path, networks, pieces, [run.tags for run in runs.values()], precision=precision)


def check_windowing(name: str, run: Run) -> None:
    """Raise ValueError if a run's network merges windows, which the page does not."""
    if run.windowing.method is not None:
        raise ValueError(
            f"{name} merges the windows of a clip ({run.windowing.name}), and the live page runs networks of one "
            "window: name a run that was trained with --windowing split or none."
        )


def _running(network: Network, tags: Sequence[str], precision: str) -> Running:
    """What lets the page run a network; errors name it."""
    try:
        packed = pack(network.model, precision)
    except UnknownLayerError as error:
        raise UnknownLayerError(f"{network.title}: {error}") from error
    return Running(tuple(tags), packed.graph, packed.weights)
