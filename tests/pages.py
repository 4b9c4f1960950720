"""What is wrong with pages: links that lead nowhere, and, in the site of `make docs`, whatever needs a network.

python -m tests.pages build/site    exit code 1, with a line for each fault
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin

MARKDOWN = MarkdownIt("commonmark").enable("table").use(anchors_plugin, max_level=6)
LOADED = {"img": "src", "script": "src", "audio": "src", "source": "src", "iframe": "src", "link": "href"}


@dataclass
class Page:
    """The anchors of a page, where it links to, what it loads, and the link references that it never defines."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    undefined: list[str] = field(default_factory=list)
    players: int = 0


class _HtmlReader(HTMLParser):
    def __init__(self, page: Page):
        super().__init__()
        self.page = page

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        self.page.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.page.players += tag == "audio"
        if tag == "a" and "href" in values:
            self.page.links.append(values["href"])
        elif tag in LOADED and LOADED[tag] in values and values.get("rel") not in ("next", "prev", "canonical"):
            self.page.loads.append(values[LOADED[tag]])


def read_markdown(text: str) -> Page:
    """Read a page in Markdown, HTML within it too; headings have the anchors that GitHub gives them."""
    page = Page()
    html = _HtmlReader(page)
    blocks = MARKDOWN.parse(text)
    for token in (t for block in blocks for t in (block, *(block.children or ()))):
        if token.type == "heading_open":
            page.anchors.add(str(token.attrs["id"]))
        elif token.type == "link_open":
            page.links.append(str(token.attrs["href"]))
        elif token.type == "image":
            page.loads.append(str(token.attrs["src"]))
        elif token.type in ("html_block", "html_inline"):
            html.feed(token.content)
        elif token.type == "text":
            page.undefined += re.findall(r"\]\[(.+?)\]", token.content)
    return page


@cache
def read(path: Path) -> Page:
    """Read a page: Markdown, HTML, or the Markdown cells of a notebook."""
    if path.suffix == ".ipynb":
        book = nbformat.read(path, as_version=4)
        return read_markdown("\n\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown"))
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return read_markdown(text)
    page = Page()
    _HtmlReader(page).feed(text)
    return page


def broken(path: Path, root: Path) -> Iterator[str]:
    """What is wrong with a page's links, a sentence for each; `root` is the folder that they must not leave."""
    page = read(path)
    where = path.relative_to(root)
    yield from (f"{where}: [{name}] is defined nowhere" for name in page.undefined)
    for link in (*page.links, *page.loads):
        reason = fault(link, path, root)
        if reason:
            yield f"{where}: {link[:200]!r} {reason}"


def fault(link: str, path: Path, root: Path) -> str | None:
    """Why a link of the page `path` leads nowhere, as far as this can be known without a network."""
    url = urlsplit(link)
    if url.scheme in ("http", "https") or (url.netloc and not url.scheme):
        return None if re.fullmatch(r"([\w-]+\.)+\w+(:\d+)?", url.netloc) and " " not in link else "is no address"
    if url.scheme:
        return None if url.scheme in ("data", "mailto") else "is no address"
    target = (path.parent / unquote(url.path)).resolve() if url.path else path
    if url.path.startswith("/") or not target.is_relative_to(root.resolve()):
        return "leaves the folder"
    if not target.exists():
        return "leads to a file that is not there"
    if (
        url.fragment
        and target.suffix in (".md", ".html", ".ipynb")
        and unquote(url.fragment) not in read(target).anchors
    ):
        return "leads to an anchor that is not there"
    return None


def fetched(path: Path, root: Path) -> Iterator[str]:
    """What a page or style sheet of the site would load from a network."""
    if path.suffix == ".css":
        addresses = re.findall(
            r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')]+)""", path.read_text(encoding="utf-8")
        )
    else:
        addresses = [load for load in read(path).loads if re.match(r"(?:https?:)?//", load)]
    yield from (f"{path.relative_to(root)}: loads {address} from the network" for address in addresses)


def silent(site: Path, executed: Iterable[Path]) -> Iterator[str]:
    """Notebooks whose players did not come with their page."""
    for path in executed:
        book = nbformat.read(path, as_version=4)
        outputs = [o for cell in book.cells if cell.cell_type == "code" for o in cell.outputs]
        expected = sum("<audio" in "".join(output.get("data", {}).get("text/html", "")) for output in outputs)
        found = read(site / "notebooks" / f"{path.stem}.html").players
        if found != expected:
            yield f"notebooks/{path.stem}.html: {found} players, but the executed notebook has {expected}"


def main(site: Path) -> int:
    """Check a built site; its notebooks are compared with their executed copies, which lie beside it."""
    pages = sorted(site.rglob("*.html"))
    executed = sorted((site.parent / "notebooks").glob("*.ipynb"))
    faults = [line for path in pages for line in (*broken(path, site), *fetched(path, site))]
    faults += [line for path in site.rglob("*.css") for line in fetched(path, site)]
    faults += silent(site, executed)
    print("\n".join(faults), file=sys.stderr)
    links, players = sum(len(read(p).links) for p in pages), sum(read(p).players for p in pages)
    print(f"{site}: {len(pages)} pages, {links} links, {players} players, {len(faults)} faults")
    return 1 if faults or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
