"""The live page in headless Chromium: how fast a network in the page hears a song, how large page and memory are."""

import contextlib
import functools
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import soundfile
from selenium import webdriver
from selenium.webdriver.common.by import By

from benchmarks.data import CLIP_S, tune
from benchmarks.pairs import Reading, Result
from benchmarks.setting import Setting

if TYPE_CHECKING:
    from tagkit.listening.network import Excerpt, Network

# Of each network: times real time, seconds to the first tags, and MB of the page. SampleCNN is only told.
BARS = {"dm16": (10, 5, 4), "ds256rc": (60, 2, 1), "samplecnn": (None, None, None)}
FLOAT32_MB = 7  # of dm16's page with float32 weights
MOST_MB = 700
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio")
WATCH = """
    window.first = window.all = null;
    const note = () => {
      if (live.song.done && live.taggings.every((each) => each.complete)) window.all = performance.now();
    };
    const { keep } = Tagging.prototype, whole = finish;
    Tagging.prototype.keep = function (row) {
      keep.call(this, row);
      window.first = window.first || performance.now();
      note();
    };
    finish = (song) => { // the network may have heard all before the file's end is known
      whole(song);
      note();
    };
    document.getElementById("file").addEventListener("change", () => {
      window.dropped = performance.now();
      window.first = window.all = null;
    }, true);
"""


def run(setting: Setting) -> Result:
    """One page for each network, with its first weights; every file is chosen in a Chromium that has no network."""
    readings = []
    clip = _music(setting, "clip.mp3", setting.size(round(CLIP_S), 3))
    song = _music(setting, "song.mp3", setting.size(180, 6))
    pages = {name: _page(name, setting) for name in BARS}
    for name, (speed, wait, size) in BARS.items():
        page = pages[name]
        with _opened(page) as (browser, renderer):
            heard = [_times(browser, renderer, song) for _ in range(setting.rounds)]
            waits = tuple(_times(browser, renderer, clip)[0] for _ in range(setting.rounds))
        length = soundfile.info(song).duration
        speeds = [tuple(length / times[k] for times in heard) for k in (1, 2)]
        readings += [
            Reading(f"live page, {name}: a song of {length:.0f} s", speeds[0], "times real time", speed),
            Reading(f"live page, {name}: the same by CPU seconds", speeds[1], "times real time"),
            Reading(f"live page, {name}: first tags of a clip of {CLIP_S:.0f} s", waits, "s", wait, at_least=False),
            Reading(f"live page, {name}: size", (page.stat().st_size / 1e6,), "MB", size, at_least=False),
        ]
    precise = _page("dm16", setting, "float32").stat().st_size / 1e6
    readings.append(Reading("live page, dm16: size with float32 weights", (precise,), "MB", FLOAT32_MB, at_least=False))
    for name in ("hour.wav", "hour.mp3"):
        long = _music(setting, name, setting.size(3600, 10))
        with _opened(pages["ds256rc"]) as (browser, renderer):
            spent, most = _watched(browser, renderer, long)
        readings.append(Reading(f"live page, ds256rc: memory for {name}", (most,), "MB", MOST_MB, at_least=False))
        readings.append(
            Reading(f"live page, ds256rc: {name}", (soundfile.info(long).duration / spent,), "times real time")
        )
    return Result(readings, ["Networks are untrained, which changes no time. Files are stereo at 44.1 kHz."])


def _music(setting: Setting, name: str, seconds: int) -> Path:
    """A file of stereo music; a long one repeats its first minute."""
    path = setting.folder / f"{seconds}-s-{name}"
    if not path.is_file():
        block = tune(3, min(seconds, 60), sr=44_100, channels=2)
        with soundfile.SoundFile(path, "w", 44_100, 2) as out:
            for _ in range(max(seconds // 60, 1)):
                out.write(block)
    return path


def _page(name: str, setting: Setting, precision: str = "float16") -> Path:
    """The live page of a network and three excerpts."""
    from tagkit.listening.live import page

    clips, shown = _network(name, setting.size(128, 8) if BARS[name][-1] else 8)
    tags = [[f"tag {k}" for k in range(50)]]
    return page.write(setting.folder / f"live-{name}-{precision}.html", [shown], clips, tags, precision=precision)


@functools.cache
def _network(name: str, tones: int) -> tuple[list["Excerpt"], "Network"]:
    """Three excerpts, and what the page shows of an untrained network; more tones make it larger, not slower."""
    from tagkit.analysis import spectra
    from tagkit.graph import zoo
    from tagkit.listening.network import Excerpt, network

    model = zoo.build(name)
    clips = [Excerpt(f"Piece {k}", tune(k, 7.0), model.sr) for k in range(3)]
    probe = spectra.tone_probe(model, tones=tones, levels_dbfs=(-20.0,))
    return clips, network(model, clips, title=name, probe=probe, control=probe)


@contextlib.contextmanager
def _opened(page: Path) -> Iterator[tuple[webdriver.Chrome, psutil.Process]]:
    """The page in a new Chromium, with the process that renders it."""
    profile = tempfile.mkdtemp()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.get(page.as_uri())
        _until(lambda: browser.execute_script("return !document.getElementById('main').hidden"))
        browser.execute_script(WATCH)
        processes = psutil.Process(browser.service.process.pid).children(recursive=True)
        renderers = [p for p in processes if "--type=renderer" in p.cmdline()]
        yield browser, max(renderers, key=lambda p: p.memory_info().rss)
    finally:
        browser.quit()
        shutil.rmtree(profile, ignore_errors=True)


def _until(condition: object, seconds: float = 600.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"The live page was not done within {seconds:.0f} s.")
        time.sleep(0.05)


def _times(browser: webdriver.Chrome, renderer: psutil.Process, path: Path) -> tuple[float, float, float]:
    """Seconds from the choice of a file to its first and its last tags, and CPU seconds of the page's process."""
    before = sum(renderer.cpu_times()[:2])
    browser.find_element(By.ID, "file").send_keys(str(path))
    _until(lambda: browser.execute_script("return window.dropped && window.all"))
    spent = sum(renderer.cpu_times()[:2]) - before
    first, all_s = browser.execute_script("return [window.first, window.all].map((t) => (t - window.dropped) / 1000)")
    return first, all_s, spent


def _watched(browser: webdriver.Chrome, renderer: psutil.Process, path: Path) -> tuple[float, float]:
    """Seconds for a file, and the most memory in MB that the page's process took meanwhile."""
    most = 0.0

    def done() -> bool:
        nonlocal most
        most = max(most, renderer.memory_info().rss / 1e6)
        return browser.execute_script("return window.dropped && window.all")

    browser.find_element(By.ID, "file").send_keys(str(path))
    _until(done)
    return browser.execute_script("return (window.all - window.dropped) / 1000"), most
