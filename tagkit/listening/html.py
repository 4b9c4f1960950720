"""Put the packed data, the style sheet and the scripts into one HTML file that needs no network and no kernel."""

import base64
import html
import json
from importlib import resources

from tagkit.listening.packing import Packed, PageTooLargeError, header_text

MAX_PAGE_BYTES = 2_000_000
SCRIPTS = ("synthesis.js", "draw.js", "player.js", "choice.js", "words.js", "page.js")


def render(packed: Packed, *, title: str, lead: str, facts: str) -> str:
    """The whole page as text.

    Parameters
    ----------
    title, lead, facts : str
        Heading, opening sentence and small print; plain text.

    Raises
    ------
    PageTooLargeError
        If the page would be larger than `MAX_PAGE_BYTES`.
    """
    page = fill(
        "page.html",
        title=html.escape(title),
        lead=html.escape(lead),
        facts=html.escape(facts),
        style=static("style.css"),
        script="\n".join(static(name) for name in SCRIPTS),
        header=in_script(header_text(packed.header)),
        blob=base64.b64encode(packed.blob).decode(),
    )
    size = len(page.encode())
    if size > MAX_PAGE_BYTES:
        raise PageTooLargeError(
            f"The listening page would take {size:,} bytes, more than the {MAX_PAGE_BYTES:,} that a page may have: "
            "choose fewer or shorter clips, fewer networks or fewer stages."
        )
    return page


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
