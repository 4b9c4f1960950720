"""The site that `make docs` builds: README and guides, the executed notebooks, and the API from its docstrings.

The root of the sources is the repository's, so every link means the same here as it does in the repository.
"""

from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell, new_output
from sphinx.application import Sphinx
from sphinx.util import logging

import tagkit

ROOT = Path(__file__).parents[1]
EXECUTED = ROOT / "build" / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
SMOKE = """```{note}
Executed within seconds, on tiny data: these networks have hardly learned anything, so its sounds, figures and numbers
only show what the page looks like. What the text says of them was found with `make demo` and
`notebooks/execute.py --full`.
```"""
NO_WIDGET = "*Here is a widget, which needs a running kernel: open the notebook in Jupyter.*"

project = "tagkit"
author = "the authors of tagkit"
release = version = tagkit.__version__
language = "en"

root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "data/README.md", "docs/**", "notebooks/*.ipynb"]
exclude_patterns = [".*", "build", "data/[!R]*", "runs", "tagkit", "tests", "**/.ipynb_checkpoints"]
extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc"]

myst_heading_anchors = 4
nb_execution_mode = "off"  # notebooks/execute.py has done that
nb_ipywidgets_js = {}  # from a CDN, and of no use without a kernel
nb_output_stderr = "remove"  # progress bars, and what TensorFlow says when it starts

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
html_extra_path = ["site"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

TOCTREES = """
```{toctree}
:hidden:
:caption: Guides
:glob:

docs/*
Where data lie <data/README>
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
:glob:

docs/api/*
```

```{toctree}
:hidden:
:caption: The project

CHANGELOG
docs/decisions/index
```
"""


def complete(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the contents of the site behind the README, and the outputs of its execution into each notebook."""
    if docname == root_doc:
        source[0] += TOCTREES
    elif docname.startswith("notebooks/"):
        path = EXECUTED / f"{Path(docname).name}.ipynb"
        app.env.note_dependency(path)
        if path.is_file():
            source[0] = nbformat.writes(without_widgets(nbformat.read(path, as_version=4)))
        else:
            logging.getLogger(__name__).warning("%s is missing: `make docs` executes it.", path.relative_to(ROOT))


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
