"""README, guides and the pages of the site: their links, code and commands, and a page of API for every room."""

import re
import shlex
from pathlib import Path

import pages
import pytest
import snippets

import tagkit
from tagkit import cli

ROOT = Path(__file__).parents[1]
TEXTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "data/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [*TEXTS, *sorted((ROOT / "notebooks").glob("*.ipynb"))]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_link_leads_somewhere(path):
    assert list(pages.broken(path, ROOT)) == []


@pytest.mark.parametrize("path", [p for p in TEXTS if "```python" in p.read_text()], ids=name)
def test_code_names_only_what_there_is(path):
    assert snippets.snippets(path)
    assert list(snippets.faults(path)) == []


@pytest.mark.parametrize("path", [p for p in TEXTS if "```sh" in p.read_text()], ids=name)
def test_commands_are_accepted_by_the_command_line(path):
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    for block in re.findall(r"```sh\n(.*?)```", path.read_text(), re.S):
        for line in re.split("\n|&&", block):
            program, *arguments = shlex.split(line.partition(" > ")[0], comments=True) or [""]
            if program == "make":
                assert {a for a in arguments if "=" not in a} <= targets, line
            elif program.endswith("tagkit"):
                cli._parser().parse_args(arguments)  # exits where it does not know something


def test_every_room_has_a_page_of_reference():
    rooms = {p.parent.name for p in (ROOT / "tagkit").glob("*/__init__.py")}
    modules = {p.stem for p in (ROOT / "tagkit").glob("*.py")} - {"__init__"}
    assert {p.stem for p in (ROOT / "docs/api").glob("*.md")} == rooms | modules


@pytest.fixture
def site(tmp_path):
    """A site of two pages without a fault."""
    (tmp_path / "a.html").write_text('<h1 id="top">A</h1><a href="b.html#end">b</a><img src="a.png">')
    (tmp_path / "b.html").write_text(
        '<p id="end"><a href="#end">here</a><a href="https://keras.io/api/?x=1#y">Keras</a>'
    )
    (tmp_path / "a.png").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ('<a href="c.html">', "a file that is not there"),
        ('<img src="b.png">', "a file that is not there"),
        ('<a href="b.html#start">', "an anchor that is not there"),
        ('<a href="#middle">', "an anchor that is not there"),
        ('<a href="../outside.html">', "leaves the folder"),
        ('<a href="/b.html">', "leaves the folder"),
        ('<a href="https:/keras.io">', "is no address"),
        ('<a href="htps://keras.io">', "is no address"),
        ('<script src="https://cdn.example.org/x.js"></script>', "from the network"),
        ('<link rel="stylesheet" href="//fonts.example.org/a.css">', "from the network"),
    ],
)
def test_planted_faults_are_found(site, capsys, html, reason):
    assert pages.main(site) == 0
    (site / "c d.html").write_text(html)
    assert pages.main(site) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("c d.html: ") and reason in line


def test_style_sheets_that_need_a_network_are_found(site):
    (site / "a.css").write_text("@font-face { src: url('https://fonts.example.org/a.woff2') }")
    assert pages.main(site) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[a][b]", "[b] is defined nowhere"),
        ("[a](#no-such)\n\n## Such", "an anchor that is not there"),
        ("![a](no.png)", "a file that is not there"),
        ("`[a](no.md)` [a](#one-and-two)\n\n## One, and *two*", None),
    ],
)
def test_faults_in_markdown_are_found(tmp_path, text, fault):
    (tmp_path / "a.md").write_text(text)
    found = list(pages.broken(tmp_path / "a.md", tmp_path))
    assert len(found) == (fault is not None) and all(fault in line for line in found)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("from tagkit.data import tags\ntags.nothing(1)", "tags.nothing does not exist"),
        ("from tagkit.system import files\nfiles.write_json('a')", "missing a required argument"),
        ("from tagkit.system import files\nfiles.write_json('a', b)", "`b` is not defined"),
        ("from tagkit.system import files\nfiles.write_json('a', content=[b for b in 'ab'])", None),
    ],
)
def test_faults_in_code_are_found(tmp_path, code, fault):
    (tmp_path / "a.md").write_text(f"```python\n{code}\n```\n")
    found = list(snippets.faults(tmp_path / "a.md"))
    assert len(found) == (fault is not None) and all(fault in line for line in found)


def test_the_citation_is_of_this_version():
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == tagkit.__version__ and citation["license"] == "MIT"
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def test_the_glossary_is_in_order_and_has_the_words_that_the_path_uses():
    words = re.findall(r"^\*\*(.+?)\*\*:", (ROOT / "docs/glossary.md").read_text(), re.M)
    assert words == sorted(words, key=str.lower)
    used = re.findall(r"(?<!\*)\*(\w+)\*(?!\*)", (ROOT / "docs/first_hour.md").read_text())
    assert {word.rstrip("s") for word in used} - {"italic"} <= set(words)
