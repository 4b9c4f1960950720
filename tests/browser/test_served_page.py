"""The page of `tagkit serve` in a real browser: a file chosen, tagged, seen and played; a bad one refused in words."""

import re
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import waiting

from tagkit import audio
from tagkit.evaluation.tag import Tagger

SR = 16000


until = partial(waiting.until, seconds=60)


@pytest.fixture(scope="module")
def address(run):
    command = [sys.executable, "-m", "tagkit.cli", "serve", "--run", str(run.root), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    yield re.search(r"http://[^;\s]+", process.stdout.readline())[0]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


@pytest.fixture
def page(lab_chromium, address):
    lab_chromium.get("about:blank")
    lab_chromium.get_log("browser")
    lab_chromium.get(address)
    until(lambda: "knows 3 tags" in lab_chromium.find_element("id", "lead").text, "the page was not ready")
    return lab_chromium


def choose(page, path):
    page.find_element("id", "file").send_keys(str(path))


def texts(page, selector):
    return [e.text for e in page.find_elements("css selector", selector)]


def test_a_file_is_tagged_seen_and_played(page, run, tmp_path):
    path = tmp_path / "Mein Lied.wav"
    audio.save(path, np.random.default_rng(0).normal(0, 0.1, 6 * SR), SR)
    choose(page, path)
    until(lambda: texts(page, ".taggram-name"), "no taggram came")
    assert texts(page, "#result h2") == ["Mein Lied.wav"]
    fine = Tagger(run)(path, hop_s=0.5)
    assert texts(page, ".taggram-name") == list(fine.top(3))
    until(lambda: page.execute_script("return document.querySelector('audio').readyState >= 1"), "no sound")
    assert page.execute_script("return document.querySelector('audio').duration") == pytest.approx(6, abs=0.01)
    page.execute_script("document.querySelector('audio').currentTime = 5.9")
    last = [f"{fine.window_scores[-1, k]:.2f}".removeprefix("0") for k in fine.order(3)]
    until(lambda: texts(page, ".taggram-score") == last, "the bars stood still")
    assert "Calibration, on the 6 clips" in page.find_element("id", "calibration").text
    assert page.get_log("browser") == []


def test_a_bad_file_is_refused_in_words_and_the_next_one_is_tagged(page, tmp_path):
    (tmp_path / "<b>bad<b>.mp3").write_bytes(b"no sound")
    choose(page, tmp_path / "<b>bad<b>.mp3")
    until(lambda: texts(page, "#status.problem"), "nothing was said")
    (said,) = texts(page, "#status.problem")
    assert said.startswith("<b>bad<b>.mp3 is no audio file") and "/" not in said
    audio.save(tmp_path / "good.ogg", np.random.default_rng(0).normal(0, 0.1, SR), SR)
    choose(page, tmp_path / "good.ogg")
    until(lambda: texts(page, ".taggram-name"), "no taggram came")
    assert "It lasts 1.00 s and is repeated" in texts(page, "#result .remark")[0]
    assert texts(page, "#status.problem") == []
