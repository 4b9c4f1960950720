"""The site that `make docs` builds: README and guides, executed notebooks, and the API from its docstrings.

Sphinx reads the repository itself, so every link means the same on the site as in the repository.
"""

from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell, new_output
from sphinx.application import Sphinx
from sphinx.util import logging

import tagkit
from tagkit.system import paths

ROOT = Path(__file__).parents[1]
EXECUTED = ROOT / "build" / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
LIVE_PAGE = paths.runs_dir() / "demo" / "live.html"
NO_LIVE_PAGE = """```{note}
This site was built without a live page: run `make demo` before `make docs`, or make one with the commands below.
```"""
SMOKE = """```{note}
This page was executed within seconds on tiny data. Its networks have hardly learned anything, so sounds, figures and
numbers only show what the page looks like. The findings in the text come from `make demo` and
`notebooks/execute.py --full`.
```"""
NO_WIDGET = "*This widget needs a running kernel: open the notebook in Jupyter.*"

project = "tagkit"
author = "the authors of tagkit"
release = version = tagkit.__version__
language = "en"

root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "data/README.md", "docs/**", "notebooks/*.ipynb"]
exclude_patterns = [".*", "build", "data/[!R]*", "runs", "tagkit", "tests", "**/.ipynb_checkpoints"]
extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc"]

myst_heading_anchors = 4
nb_execution_mode = "off"  # notebooks/execute.py executes them
nb_ipywidgets_js = {}  # they would load from a CDN, and do nothing without a kernel
nb_output_stderr = "remove"  # progress bars and TensorFlow's start-up messages

default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
python_maximum_signature_line_length = 100
maximum_signature_line_length = 100
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "tagkit"
html_extra_path = ["site", *([str(LIVE_PAGE)] if LIVE_PAGE.is_file() else [])]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

TOCTREES = """
```{toctree}
:hidden:
:caption: Guides
:glob:

docs/*
The data folder <data/README>
```

```{toctree}
:hidden:
:caption: Notebooks
:glob:

notebooks/*
```

```{toctree}
:hidden:
:caption: API

docs/api/workspace
docs/api/audio
docs/api/data
docs/api/graph
docs/api/training
docs/api/evaluation
docs/api/analysis
docs/api/plots
docs/api/listening
docs/api/studies
docs/api/deploy
docs/api/cli
docs/api/system
```

```{toctree}
:hidden:
:caption: The project

CHANGELOG
docs/decisions/index
```
"""


def complete(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add the table of contents to the README, its modules to each API page, and its outputs to each notebook."""
    if docname == root_doc:
        source[0] += TOCTREES
    elif docname == "docs/live":
        source[0] = with_live_page(source[0])
    elif docname.startswith("docs/api/"):
        source[0] += reference(Path(docname).name)
        app.env.note_dependency(ROOT / "tagkit")  # a folder: read these pages at every build, for new modules
    elif docname.startswith("notebooks/"):
        path = EXECUTED / f"{Path(docname).name}.ipynb"
        app.env.note_dependency(path)
        if path.is_file():
            source[0] = nbformat.writes(without_widgets(nbformat.read(path, as_version=4)))
        else:
            logging.getLogger(__name__).warning("%s is missing: `make docs` executes it.", path.relative_to(ROOT))


def with_live_page(text: str) -> str:
    """The guide to the live page with a link to the one that `make demo` wrote, or a note that there is none."""
    title, _, rest = text.partition("\n")
    link = '<p><a href="../live.html">Open the live page of the network that the demo trained.</a></p>'
    return f"{title}\n\n{link if LIVE_PAGE.is_file() else NO_LIVE_PAGE}\n{rest}"


def reference(room: str) -> str:
    """All modules of one folder of tagkit, or one module, for autodoc; each object stands where it is defined."""
    paths = [*(ROOT / "tagkit").glob(f"{room}.py"), *(ROOT / "tagkit" / room).rglob("*.py")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths}
    block = "\n## {0}\n\n```{{eval-rst}}\n.. automodule:: {0}\n   :ignore-module-all:\n```\n"
    return "".join(block.format(name) for name in sorted(names) if not name.endswith("__main__"))


def without_widgets(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An executed notebook as a page without a kernel can show it."""
    if book.metadata.pop("smoke", False):
        book.cells.insert(1, new_markdown_cell(SMOKE))
    book.metadata.pop("widgets", None)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                new_output("display_data", {"text/markdown": NO_WIDGET}) if WIDGET in output.get("data", {}) else output
                for output in cell.outputs
            ]
    return book


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", complete)
