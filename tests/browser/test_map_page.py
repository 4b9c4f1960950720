"""The map of a collection in a real browser: a click plays a file and lists its neighbours."""

import numpy as np
from waiting import until

from tagkit import audio
from tagkit.evaluation.embed import Embeddings
from tagkit.listening import embedding_map

SR = 16_000


def test_a_click_plays_the_file_and_lists_its_neighbours(chromium, tmp_path):
    (tmp_path / "music").mkdir()
    rng = np.random.default_rng(0)
    paths = [tmp_path / "music" / f"{'ab'[k % 2]} {k} #1.wav" for k in range(6)]
    for k, path in enumerate(paths):
        audio.save(path, rng.normal(0, 0.1, SR * (k + 1)), SR)
    vectors = np.eye(4)[np.arange(6) % 2] + rng.normal(0, 0.05, (6, 4))
    found = Embeddings(
        tuple(map(str, paths)), vectors, np.ones(6), vectors, np.arange(6), np.zeros(6), {"model": "dm16"}
    )
    (tmp_path / "map.html").write_text(embedding_map.map_page(found, tmp_path, "Six files"), encoding="utf-8")
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get((tmp_path / "map.html").as_uri())
    dots = chromium.find_elements("css selector", "#map circle")
    assert len(dots) == 6
    dots[2].click()
    until(lambda: chromium.execute_script("return document.querySelector('audio').duration > 2.9"), "no sound")
    assert chromium.execute_script("return document.querySelector('audio').duration") == 3
    assert chromium.find_element("id", "name").text == "a 2 #1.wav"
    near = [item.text for item in chromium.find_elements("css selector", "#nearest button")]
    assert {name[0] for name in near[:2]} == {"a"} and len(near) == 5
    chromium.find_element("css selector", "#nearest button").click()
    assert chromium.find_element("id", "name").text == near[0]
    chromium.find_element("id", "find").send_keys("B ")
    assert len(chromium.find_elements("css selector", "#map circle.other")) == 3
    paths[1].unlink()
    dots[1].click()
    until(lambda: "has moved" in chromium.find_element("id", "problem").text, "a missing file was not named")
    assert all("ERR_FILE_NOT_FOUND" in line["message"] for line in chromium.get_log("browser"))
