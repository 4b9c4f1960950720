"""The taggram in a real browser: it moves with the player."""

import numpy as np
import pytest
from waiting import until

from tagkit.listening import taggram

SR = 16000


@pytest.fixture
def page(chromium, clips, tmp_path):
    """Three seconds in six windows; "rising" goes from 0 to 1, "steady" stays at .6."""
    scores = np.stack([np.linspace(0, 1, 6), np.full(6, 0.6)], axis=1)
    data = taggram.taggram_data(scores, np.arange(6) * 0.5, 0.5, 3.0, ["rising", "steady"])
    (tmp_path / "taggram.html").write_text(taggram.taggram_page(data, clips[0].y, SR), encoding="utf-8")
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get((tmp_path / "taggram.html").as_uri())
    until(lambda: chromium.execute_script("return document.querySelector('audio').readyState >= 1"), "no sound")
    return chromium


def seek(page, seconds):
    page.execute_script(
        "const audio = document.querySelector('audio'); audio.done = false;"
        "audio.addEventListener('seeked', () => { audio.done = true; }, {once: true});"
        "audio.currentTime = arguments[0];",
        seconds,
    )
    until(lambda: page.execute_script("return document.querySelector('audio').done"), "the player did not seek")


def texts(page, name):
    return [e.text for e in page.find_elements("css selector", f".taggram-{name}")]


def test_the_strips_and_the_bars_follow_the_player(page):
    assert texts(page, "name") == ["steady", "rising"]
    for seconds, rising in ((0.1, ".00"), (1.3, ".40"), (2.8, "1.00")):
        seek(page, seconds)
        assert texts(page, "score") == [".60", rising]
        place = page.execute_script(
            "const strip = document.querySelector('.taggram-strip');"
            "return (parseFloat(document.querySelector('.taggram-cursor').style.left) - strip.offsetLeft)"
            " / strip.clientWidth"
        )
        assert place == pytest.approx(seconds / 3, abs=0.01)
    assert page.get_log("browser") == []


def test_a_click_goes_there_and_a_strip_gets_darker_with_the_score(page):
    page.execute_script(
        "const strip = document.querySelectorAll('.taggram-strip')[1]; const box = strip.getBoundingClientRect();"
        "strip.dispatchEvent(new MouseEvent('click', {clientX: box.left + box.width / 2, clientY: box.top + 5}))"
    )
    assert page.execute_script("return document.querySelector('audio').currentTime") == pytest.approx(1.5, abs=0.02)
    row = page.execute_script(
        "const strip = document.querySelectorAll('.taggram-strip')[1];"
        "return Array.from(strip.getContext('2d').getImageData(0, 0, 600, 1).data)"
    )
    brightness = np.reshape(row, (600, 4))[:, :3].sum(1)
    assert (np.diff(brightness) <= 0).all() and brightness[0] > 600 and brightness[-1] < 30


def test_it_moves_while_it_plays(page):
    page.find_element("css selector", ".taggram-name").click()  # without a person's click, browsers play nothing
    page.execute_script("document.querySelector('audio').play()")
    cursor = "return parseFloat(document.querySelector('.taggram-cursor').style.left)"
    before = page.execute_script(cursor)
    until(lambda: page.execute_script(cursor) > before + 20, "the line stood still")
