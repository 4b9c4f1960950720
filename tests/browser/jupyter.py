"""A real JupyterLab with one notebook in it, and what a browser finds there."""

import base64
import io
import os
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.error import URLError

import nbformat
import soundfile
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select
from waiting import until

from tagkit.listening import widgets

SR = 16000


@contextmanager
def lab(folder: Path, notebooks: dict[str, str]):
    """The address of a JupyterLab whose notebooks (name -> the code of their only cell) lie in `folder`."""
    python = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for name, cell in notebooks.items():
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip())], metadata=python)
        nbformat.write(book, folder / f"{name}.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.root_dir": folder,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": "",
        "LabApp.news_url": "",
        "LabApp.extension_manager": "readonly",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
    own["PYTHONPATH"] = str(Path(widgets.__file__).parents[3])
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **own})
    try:
        address = f"http://127.0.0.1:{port}"
        wait(lambda: _answers(address + "/api"), "JupyterLab did not start: " + str(folder / "lab.log"), seconds=60)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except (URLError, OSError):
        return False


wait = partial(until, seconds=30, every_s=0.2)


def run_cell(browser, address: str, notebook: str, players: int, seconds: float = 120) -> list[str]:
    """Open a notebook, run its cell, and wait for so many players; their sounds in base64."""
    browser.get(f"{address}/doc/tree/{notebook}.ipynb")
    wait(lambda: "| Idle" in browser.page_source, "no kernel", seconds=60)
    browser.find_element(By.CSS_SELECTOR, ".jp-CodeCell .cm-line").click()
    ActionChains(browser).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    return wait(lambda: sounds(browser, players), f"there are not {players} players", seconds=seconds)


def sounds(browser, players: int) -> list[str]:
    """The embedded sounds in base64, in the order of the page; none unless there are so many players."""
    selector = ".jp-OutputArea audio source, .jp-OutputArea audio[src]"
    # One script reads them all, so that no player is replaced between finding and reading it.
    sources = browser.execute_script(f"return Array.from(document.querySelectorAll('{selector}'), each => each.src)")
    return [src.partition("base64,")[2] for src in sources] if len(sources) == players and all(sources) else []


def changed(browser, before: list[str], seconds: float = 30) -> list[str]:
    """The sounds, once they are others than before and have come to rest."""
    seen = before

    def settled() -> list[str]:
        nonlocal seen
        last, seen = seen, sounds(browser, len(before))
        return seen if last == seen != before else []

    return wait(settled, "the sounds did not change", seconds=seconds)


def dropdowns(browser, label: str) -> list[Select]:
    """Every dropdown with a label, in the order of the page."""
    xpath = f"//label[normalize-space()='{label}']/following-sibling::select"
    return [Select(each) for each in wait(lambda: browser.find_elements(By.XPATH, xpath), f"no dropdown {label!r}")]


def decoded(text: str):
    """A sound's samples at 16 kHz."""
    sound, sr = soundfile.read(io.BytesIO(base64.b64decode(text)))
    return sound[:: sr // SR]
