"""Photograph the listening page, the live page, and the explorer in JupyterLab: `python -m tests.browser.picture`.

They show runs/demo, so `make demo` comes first; the pictures go to figures/.
"""

import sys
import tempfile
import time
from pathlib import Path

from selenium.webdriver.common.by import By

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import jupyter  # noqa: E402 - it lies beside this file, its helpers one folder up
from conftest import browser as open_browser  # noqa: E402
from waiting import until  # noqa: E402

from tagkit import workspace  # noqa: E402
from tagkit.system import paths  # noqa: E402

DROPPED = 4  # of the test clips

CELL = """
import os
os.environ["TAGKIT_HOME"] = {home!r}
from tagkit import workspace
from tagkit.listening import widgets
run, records = workspace.run("dm16"), workspace.records("demo")
clips = {{records.catalog[i].title: records.waveform(i)[: 7 * 16_000] for i in records.catalog.ids("test")[3:6]}}
widgets.explorer([widgets.network(run.model(), clips)])
"""


def listening_page(browser) -> bytes:
    """The page that `make demo` writes, as it opens."""
    browser.set_window_size(1280, 1640)
    browser.get((paths.runs_dir() / "demo" / "listen.html").as_uri())
    until(lambda: browser.find_element(By.ID, "main").is_displayed(), "the page was not ready")
    return browser.get_screenshot_as_png()


def live_page(browser, folder: Path) -> dict[str, bytes]:
    """The live page that `make demo` writes, with a test clip dropped on it: on a desk, and on a phone."""
    browser.get((paths.runs_dir() / "demo" / "live.html").as_uri())
    until(lambda: browser.find_element(By.ID, "main").is_displayed(), "the page was not ready")
    catalog = workspace.catalog("demo")
    clip = catalog[catalog.ids("test")[DROPPED]]
    song = folder / f"{clip.title.partition(' for ')[0].replace(':', ',')}{clip.path.suffix}"
    song.symlink_to(clip.path.resolve())
    browser.find_element(By.ID, "file").send_keys(str(song))
    heard = "return /hears/.test(document.getElementById('song-words').textContent)"
    until(lambda: browser.execute_script(heard), "the song was not heard", 60)
    browser.execute_script("document.getElementById('whole').currentTime = 12")
    pictures = {}
    for name, width, height, scale in (("live_page", 1280, 1640, 1), ("live_page_phone", 390, 844, 2)):
        shape = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": scale > 1}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)
        if scale > 1:
            browser.execute_script("document.getElementById('song-words').scrollIntoView()")
        time.sleep(1)  # it draws itself anew
        pictures[f"{name}.png"] = browser.get_screenshot_as_png()
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    return pictures


def explorer(browser, folder: Path) -> bytes:
    """The explorer with one channel of the sixth stage, gated."""
    with jupyter.lab(folder, {"explorer": CELL.format(home=str(paths.home()))}) as address:
        browser.set_window_size(1300, 1300)
        before = jupyter.run_cell(browser, address, "explorer", 1, 180)
        for name, value in (("stage", "conv6"), ("sort by", "energy")):
            jupyter.dropdowns(browser, name)[0].select_by_visible_text(value)
        time.sleep(5)  # until the channels are sorted
        jupyter.dropdowns(browser, "channel")[0].select_by_index(0)
        jupyter.dropdowns(browser, "mode")[0].select_by_visible_text("gated")  # the first mode that plays here
        jupyter.changed(browser, before, seconds=120)
        browser.execute_script("document.querySelectorAll('.Toastify').forEach((note) => note.remove())")
        shown = browser.find_element(By.CSS_SELECTOR, ".jp-OutputArea-output .widget-vbox")
        browser.execute_script("arguments[0].scrollIntoView({block: 'start'})", shown)
        return shown.screenshot_as_png


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        browser = open_browser(Path(folder) / "profile")
        try:
            pictures = {
                "listening_page.png": listening_page(browser),
                **live_page(browser, Path(folder)),
                "explorer.png": explorer(browser, Path(folder)),
            }
        finally:
            browser.quit()
    paths.figures_dir().mkdir(exist_ok=True)
    for name, picture in pictures.items():
        (paths.figures_dir() / name).write_bytes(picture)
        print(f"Picture {paths.figures_dir() / name}")


if __name__ == "__main__":
    main()
