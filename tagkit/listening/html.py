"""Put the packed data, the style sheet and the scripts into one HTML file that needs no network and no kernel."""

import base64
import html
import json
from collections.abc import Iterable, Mapping
from importlib import resources

from tagkit.analysis import signals, sonify
from tagkit.listening.packing import Packed, PageTooLargeError, header_text

MAX_PAGE_BYTES = 2_000_000
MAX_POOL_BYTES = 1_500_000  # of excerpts that excite channels, base64's third included
SCRIPTS = ("synthesis.js", "draw.js", "player.js", "choice.js", "words.js", "moments.js", "page.js")
KERNEL = ("live/simd.js", "live/ops.js", "live/sound_ops.js", "live/graph.js")  # runs a network
LIVE_SCRIPTS = (
    "taggram.js",
    "live/simd.js",
    "live/resample.js",
    "live/wav.js",
    "live/mp3.js",
    "live/read.js",
    "live/song.js",
    "live/pool.js",
    "live/tagging.js",
    "live/tags.js",
    "live/microphone.js",
    "live/live.js",
)
POLICY = "default-src 'none'; script-src 'unsafe-inline'{blobs}; style-src 'unsafe-inline'; img-src data:{more}"
SHARED = {
    "taps_each_side": signals.TAPS_EACH_SIDE,
    "least_rise": signals.LEAST_RISE,
    "headroom": sonify.HEADROOM,
}


def render(packed: Packed, *, title: str, lead: str, facts: str) -> str:
    """The whole listening page as text.

    Parameters
    ----------
    title, lead, facts : str
        Heading, opening sentence and small print; plain text.

    Raises
    ------
    PageTooLargeError
        If the page would be larger than `MAX_PAGE_BYTES`, and `MAX_POOL_BYTES` more where it has a pool of excerpts.
    """
    page = _page(
        packed,
        title=title,
        lead=lead,
        facts=facts,
        kind="listening page",
        policy=POLICY.format(blobs="", more=""),
        style=static("style.css"),
        live="",
        kernel="",
        script=_script(SCRIPTS, {}),
    )
    size, most = len(page.encode()), MAX_PAGE_BYTES + (MAX_POOL_BYTES if "pool" in packed.header else 0)
    if size > most:
        raise PageTooLargeError(
            f"The listening page would take {size:,} bytes, more than the {most:,} that a page may have: "
            "choose fewer or shorter clips, fewer networks or fewer stages."
        )
    return page


def render_live(packed: Packed, *, title: str, lead: str, facts: str, shared: Mapping[str, float]) -> str:
    """The whole live page as text: the listening page with the networks inside.

    Parameters
    ----------
    title, lead, facts : str
        As for `render`.
    shared : dict of str -> float
        Constants that the page's JavaScript has from Python, besides those of every page.
    """
    first, last = SCRIPTS[:-1], SCRIPTS[-1:]
    return _page(
        packed,
        title=title,
        lead=lead,
        facts=facts,
        kind="live page",
        policy=POLICY.format(blobs=" 'wasm-unsafe-eval' data:", more="; worker-src blob:; media-src blob:"),
        style=static("style.css") + static("live/live.css"),
        live=static("live/live.html"),
        kernel="\n".join(static(name) for name in (*KERNEL, "live/worker.js")),
        script=_script((*first, *LIVE_SCRIPTS, *last), shared),
    )


def _page(packed: Packed, title: str, lead: str, facts: str, **parts: str) -> str:
    return fill(
        "page.html",
        title=html.escape(title),
        lead=html.escape(lead),
        facts=html.escape(facts),
        **parts,
        header=in_script(header_text(packed.header)),
        blob=base64.b64encode(packed.blob).decode(),
    )


def _script(names: Iterable[str], shared: Mapping[str, float]) -> str:
    """The page's scripts behind the constants that they share with Python."""
    constants = f"const SHARED = {json.dumps(SHARED | shared)};"
    return "\n".join([constants, *(static(name) for name in names)])


def data_budget() -> int:
    """Bytes that header and compressed block may take together so that the page stays below `MAX_PAGE_BYTES`."""
    fixed = sum(len(static(name).encode()) for name in ("page.html", "style.css", *SCRIPTS))
    return (MAX_PAGE_BYTES - fixed - 20_000) * 3 // 4


def unpack(page: str) -> Packed:
    """The data of a rendered page, for tests and for whoever wants the numbers back."""
    header = page.split('<script id="header" type="application/json">')[1].split("</script>")[0]
    blob = page.split('<script id="blob" type="text/plain">')[1].split("</script>")[0]
    return Packed(json.loads(header), base64.b64decode(blob))


def fill(template: str, **parts: str) -> str:
    """The text of a static file with its ``{{names}}`` replaced."""
    page = static(template)
    for name, text in parts.items():
        page = page.replace("{{" + name + "}}", text)
    return page


def in_script(text: str) -> str:
    """JSON that may stand in a script element, which "</" would end."""
    return text.replace("</", "<\\/")


def static(name: str) -> str:
    """The text of a static file of the listening pages."""
    return resources.files("tagkit.listening").joinpath("static", name).read_text(encoding="utf-8")
