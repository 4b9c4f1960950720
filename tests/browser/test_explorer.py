"""The explorer in a real JupyterLab: another channel in the dropdown, another sound in the player."""

import base64
import io
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import nbformat
import numpy as np
import pytest
import soundfile
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tagkit import widgets
from tagkit.graph import zoo

SR = 16000
CELL = """
import numpy as np
from tagkit import widgets
from tagkit.graph import zoo
noise = 0.1 * np.random.default_rng(0).standard_normal(16000)
seen = widgets.network(zoo.build("dm16"), {"noise": noise}, stages=["conv1", "conv2"])
widgets.explorer([seen])
""".strip()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab with one notebook, explorer.ipynb, that holds CELL."""
    folder = tmp_path_factory.mktemp("lab")
    python = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)], metadata=python)
    nbformat.write(notebook, folder / "explorer.ipynb")
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
    own["PYTHONPATH"] = str(Path(widgets.__file__).parents[1])
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **own})
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(lambda: _answers(address + "/api"), "JupyterLab did not start: " + str(folder / "lab.log"), 60)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _answers(address):
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except (URLError, OSError):
        return False


def _wait(condition, message, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, message
        time.sleep(0.2)
    return found


def _audio(browser):
    """The embedded sound of the only player that is shown, in base64."""
    players = browser.find_elements(By.CSS_SELECTOR, ".jp-OutputArea audio source, .jp-OutputArea audio[src]")
    return players[0].get_attribute("src").partition("base64,")[2] if len(players) == 1 else ""


def _dropdown(browser, label):
    xpath = f"//label[normalize-space()='{label}']/following-sibling::select"
    return Select(_wait(lambda: browser.find_elements(By.XPATH, xpath), f"no dropdown {label!r}")[0])


def _decoded(text):
    sound, sr = soundfile.read(io.BytesIO(base64.b64decode(text)))
    return sound[:: sr // SR]


def test_another_channel_is_another_sound(lab_chromium, lab):
    noise = 0.1 * np.random.default_rng(0).standard_normal(SR)
    seen = widgets.network(zoo.build("dm16"), {"noise": noise}, stages=["conv1", "conv2"])
    browser = lab_chromium
    browser.get(lab + "/doc/tree/explorer.ipynb")
    _wait(lambda: "| Idle" in browser.page_source, "no kernel", 60)
    browser.find_element(By.CSS_SELECTOR, ".jp-CodeCell .cm-line").click()
    ActionChains(browser).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    before = _wait(lambda: _audio(browser), "the explorer plays nothing", 90)

    channel = widgets.channel_order(seen, "conv1")[-1]
    _dropdown(browser, "channel").select_by_index(63)
    after = _wait(lambda: (now := _audio(browser)) != before and now, "the sound did not change")
    expected = widgets.hear(seen, "noise", "conv1", channel, "carrier")
    heard = _decoded(after)
    assert np.corrcoef(heard, expected[: len(heard)])[0, 1] > 0.95

    _dropdown(browser, "stage").select_by_visible_text("conv2")
    in_conv2 = _wait(lambda: (now := _audio(browser)) not in (before, after) and now, "the sound did not change")
    spectrum = np.abs(np.fft.rfft(_decoded(in_conv2)))
    number = int(_dropdown(browser, "channel").first_selected_option.text.split(",")[0].removeprefix("channel "))
    assert np.argmax(spectrum) == pytest.approx(seen.probe.tuning("conv2").centre_hz[number], abs=2)
