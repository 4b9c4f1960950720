"""A real Chromium without a network, and a real listening page for it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver
from waiting import until

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--mute-audio",
    "--window-size=1280,900",
)
SR = 16000


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def browser(profile: Path, flags: tuple[str, ...] = ()):
    """A new Chromium whose profile is thrown away, with more flags; skips where there is none."""
    binary = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("no Chromium with chromedriver on PATH: the pages were not opened in a browser")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    session = webdriver.Chrome(options, webdriver.ChromeService(driver))
    session.set_script_timeout(30)
    return session


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """A Chromium that is cut off from every network."""
    session = browser(tmp_path_factory.mktemp("chromium"))
    session.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    session.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    yield session
    session.quit()


@pytest.fixture(scope="session")
def lab_chromium(tmp_path_factory):
    """A Chromium that reaches this machine, for JupyterLab."""
    session = browser(tmp_path_factory.mktemp("lab-chromium"))
    yield session
    session.quit()


@pytest.fixture(scope="session")
def clips():
    """Two short pieces: a scale of plucked tones, and bursts of noise."""
    from tagkit.listening.network import Excerpt

    t = np.arange(3 * SR) / SR
    beat = t % 0.5
    pitch = 220 * 2 ** (np.floor(t / 0.5) * 2 / 12)
    scale = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / SR) / k for k in (1, 2, 3)) * np.exp(-5 * beat) * 0.3
    noise = np.random.default_rng(0).standard_normal(len(t)) * np.exp(-20 * beat) * 0.2
    return [
        Excerpt("A scale", scale.astype(np.float32), SR, ("plucked",)),
        Excerpt("Noise", noise.astype(np.float32), SR, ("drums",)),
    ]


@pytest.fixture(scope="session")
def network():
    from tagkit.graph import zoo

    return zoo.build("dm16")


@pytest.fixture(scope="session")
def probe(network):
    from tagkit.analysis import spectra

    return spectra.tone_probe(network, levels_dbfs=(-20.0,), max_stride=300)


@pytest.fixture(scope="session")
def listening_page(network, probe, clips, tmp_path_factory):
    from tagkit.listening import page as listen

    path = tmp_path_factory.mktemp("page") / "listen.html"
    scores = {"A scale": {"plucked": 0.9}, "Noise": {"drums": 0.8}}
    seen = listen.network(network, clips, title="A raw network", probe=probe, scores=scores)
    return listen.write(path, [seen], clips, faithful=False)


@pytest.fixture(scope="session")
def other_network():
    from tagkit.graph import zoo

    return zoo.build("dm16", seed=1)


@pytest.fixture(scope="session")
def page_of_two(network, other_network, probe, clips, tmp_path_factory):
    """Two networks side by side; the first has a control, and its conv2 a channel that tells a tag."""
    from tagkit.analysis import spectra
    from tagkit.analysis.selectivity import ChannelTag
    from tagkit.listening import page as listen

    stages = ["conv1", "conv2", "conv3"]
    before = spectra.tone_probe(other_network, stages, levels_dbfs=(-20.0,))
    own = [ChannelTag("plucked", 0.9, 1e-6 if channel == 5 else 1.0) for channel in range(64)]
    one = {"title": "One", "probe": probe, "control": before, "channel_tags": {"conv2": own}}
    networks = [
        listen.network(network, clips, stages=stages, **one),
        listen.network(other_network, clips, stages=stages, title="Other", probe=before),
    ]
    path = tmp_path_factory.mktemp("two") / "listen.html"
    return listen.write(path, networks, clips, max_channels=8, faithful=False)


def load(browser, page):
    """The page in the browser, ready, with an empty console."""
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(page.as_uri())
    until(lambda: browser.execute_script("return !document.getElementById('main').hidden"), "the page was not ready")
    return browser


@pytest.fixture
def opened(chromium, listening_page):
    """The listening page of one network."""
    return load(chromium, listening_page)


@pytest.fixture
def opened_two(chromium, page_of_two):
    """The listening page of two networks."""
    return load(chromium, page_of_two)
