"""Photograph the explorer in a real JupyterLab: `python -m tests.browser.picture figures/explorer.png`.

It shows runs/demo/dm16, so `make demo` comes first.
"""

import sys
import tempfile
from pathlib import Path

from selenium.webdriver.common.by import By

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import jupyter  # noqa: E402 - it lies beside this file, its helpers one folder up
from conftest import browser as open_browser  # noqa: E402

from tagkit import paths  # noqa: E402

CELL = """
import os
os.environ["TAGKIT_HOME"] = {home!r}
from tagkit import widgets, workspace
run, records = workspace.run("dm16"), workspace.records("demo")
clips = {{records.catalog[i].title: records.waveform(i)[: 7 * 16_000] for i in records.catalog.ids("test")[3:6]}}
widgets.explorer([widgets.network(run.model(), clips)])
"""


def main(target: Path) -> None:
    """Write the picture of the explorer with one channel of the third stage, gated."""
    with (
        tempfile.TemporaryDirectory() as folder,
        jupyter.lab(Path(folder), {"explorer": CELL.format(home=str(paths.home()))}) as address,
    ):
        browser = open_browser(Path(folder) / "profile")
        try:
            browser.set_window_size(1300, 1300)
            before = jupyter.run_cell(browser, address, "explorer", 1, 180)
            jupyter.dropdowns(browser, "stage")[0].select_by_visible_text("conv3")
            before = jupyter.changed(browser, before)
            jupyter.dropdowns(browser, "sort by")[0].select_by_visible_text("energy")
            jupyter.dropdowns(browser, "mode")[0].select_by_visible_text("gated")
            jupyter.changed(browser, before)
            browser.execute_script("document.querySelectorAll('.Toastify').forEach((note) => note.remove())")
            shown = browser.find_element(By.CSS_SELECTOR, ".jp-OutputArea-output .widget-vbox")
            browser.execute_script("arguments[0].scrollIntoView({block: 'start'})", shown)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(shown.screenshot_as_png)
        finally:
            browser.quit()
    print(f"Picture {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
