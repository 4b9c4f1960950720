"""The live page in a real browser: files that are dropped, their tags and their maps, against Python."""

import re
import shutil

import numpy as np
import pytest
import soundfile
import tiny
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from waiting import until

from tagkit import audio
from tagkit.analysis import feature_maps, sonify, spectra
from tagkit.data.windows import window_starts
from tagkit.listening.live import page as live
from tagkit.listening.network import network
from tests.browser.conftest import load

SR = 16_000
TAGS = [f"tag {k}" for k in range(tiny.TAGS)]


@pytest.fixture(scope="module")
def models():
    return [tiny.network("dm16"), tiny.network("tdfbank")]


@pytest.fixture(scope="module")
def page(models, clips, tmp_path_factory):
    """Two networks that run in the page; the first has a control."""
    before = tiny.network("dm16", seed=1)
    first, *others = [
        spectra.tone_probe(model, levels_dbfs=(-20.0,), tones=16, max_stride=300) for model in (*models, before)
    ]
    networks = [
        network(models[0], clips, stages=list(first.geometry), title="Raw", probe=first, control=others[1]),
        network(models[1], clips, stages=list(others[0].geometry), title="Bank", probe=others[0]),
    ]
    path = tmp_path_factory.mktemp("live") / "live.html"
    return live.write(path, networks, clips, [TAGS, TAGS], precision="float32")


@pytest.fixture
def opened(chromium, page):
    return load(chromium, page)


def piece(seconds, sr=SR, channels=1):
    """Music that changes, so that windows and tags differ."""
    rng, t = np.random.default_rng(1), np.arange(round(seconds * sr)) / sr
    left = 0.3 * np.sin(2 * np.pi * (200 + 150 * t) * t) * (0.5 + 0.5 * np.sin(3 * t))
    sounds = [left + 0.05 * k * rng.standard_normal(len(t)) for k in range(1, channels + 1)]
    return np.stack(sounds, 1).astype(np.float32)


def words(browser):
    return browser.find_element(By.ID, "song-words").text


def drop(browser, path):
    """Give the page a file; returns what it says once it is done with it."""
    browser.execute_script("document.getElementById('song-words').textContent = ''")
    browser.find_element(By.ID, "file").send_keys(str(path))
    finished = """
        return !tagkit.live.microphone && document.getElementById("progress").hidden
          && !/^$|^Reading|heard\\.$/.test(document.getElementById("song-words").textContent)
          && !document.getElementById("main").hasAttribute("aria-busy");
    """
    until(lambda: browser.execute_script(finished), f"{path} was not done", 60)
    return words(browser)


def found_scores(browser):
    """Of each network, where its windows begin and their scores."""
    rows = browser.execute_script("""
        return tagkit.live.taggings.map(({rows}) => rows.map(({start, scores}) => [start, Array.from(scores)]));
    """)
    return [(np.array([start for start, _ in each]), np.array([scores for _, scores in each])) for each in rows]


def expected_scores(model, y):
    window = model.input_shape[1]
    starts = window_starts(len(y), window)
    y = np.resize(y, max(window, len(y))) / 32768
    logits = model(np.stack([y[start : start + window] for start in starts])[..., None].astype(np.float32))
    return starts, 1 / (1 + np.exp(-np.asarray(logits, np.float64)))


def compare(browser, models, path, tolerance):
    """The page's windows and scores of a file against Keras on what tagkit decodes."""
    y = audio.load_int16(path, SR)
    for model, (starts, scores) in zip(models, found_scores(browser), strict=True):
        expected_starts, expected = expected_scores(model, y)
        np.testing.assert_array_equal(starts, expected_starts)
        np.testing.assert_allclose(scores, expected, atol=tolerance)


def test_opens_from_disk_without_network_and_without_a_word_in_the_console(opened):
    assert opened.title == "Drop a song, and listen inside"
    loaded = opened.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in loaded if not name.startswith(("blob:", "data:"))] == []
    assert opened.get_log("browser") == []


@pytest.mark.parametrize(
    ("name", "seconds", "sr", "channels", "subtype", "tolerance"),
    [
        ("plain.wav", 7.3, SR, 1, "PCM_16", 1e-5),
        ("studio.wav", 8.0, 44_100, 2, "PCM_24", 2e-3),
        ("slow.wav", 3.0, 11_025, 1, "FLOAT", 2e-3),
        ("wide.mp3", 12.5, 44_100, 2, None, 4e-3),
        ("narrow.mp3", 11.0, 22_050, 1, None, 4e-3),
        ("free.flac", 4.0, 48_000, 1, None, 2e-3),
        ("short.wav", 0.5, SR, 1, "PCM_U8", 1e-5),
    ],
)
def test_tags_are_those_of_keras_on_what_tagkit_decodes(
    opened, models, tmp_path, name, seconds, sr, channels, subtype, tolerance
):
    path = tmp_path / name
    soundfile.write(path, piece(seconds, sr, channels), sr, subtype)
    said = drop(opened, path)
    compare(opened, models, path, tolerance)
    top = expected_scores(models[0], audio.load_int16(path, SR))[1].mean(0).argsort()[::-1][:3]
    assert f"Raw hears {', '.join(TAGS[k] for k in top)}" in said
    assert opened.get_log("browser") == []


def test_an_mp3_is_read_in_blocks_that_join_without_a_seam(opened, tmp_path):
    soundfile.write(tmp_path / "a.mp3", piece(12.5, 44_100), 44_100)
    opened.execute_script("""
        window.blocks = 0;
        const whole = OfflineAudioContext.prototype.decodeAudioData;
        OfflineAudioContext.prototype.decodeAudioData = function (bytes) {
          window.blocks++;
          return whole.call(this, bytes);
        };
    """)
    drop(opened, tmp_path / "a.mp3")
    assert opened.execute_script("return window.blocks") == 3
    found = opened.execute_script("return Array.from(tagkit.live.song.store.subarray(64000, 176000))")
    expected = audio.load_int16(tmp_path / "a.mp3", SR)
    assert opened.execute_script("return tagkit.live.song.filled") == len(expected)
    assert (
        np.abs(np.array(found) - expected[64_000:176_000].astype(float)).max() < 100
    )  # a seam of one sample: thousands


def test_the_stages_of_a_stretch_are_heard_as_python_makes_them_heard(opened, models, tmp_path):
    soundfile.write(tmp_path / "song.wav", piece(14.0), SR)
    drop(opened, tmp_path / "song.wav")
    opened.execute_script("document.getElementById('whole').currentTime = 3")
    until(lambda: "0:03" in opened.find_element(By.ID, "inside").text, "the player did not move")
    opened.find_element(By.ID, "inside").send_keys(Keys.ENTER)
    until(lambda: opened.execute_script("return tagkit.live.at") == 48_000, "the stretch did not move")
    until(lambda: not opened.execute_script("return document.getElementById('main').hasAttribute('aria-busy')"), "busy")
    y = audio.load_int16(tmp_path / "song.wav", SR)[48_000 : 48_000 + 10 * SR].astype(np.float32) / 32768
    maps = feature_maps.compute(models[0], y)
    header = opened.execute_script("return tagkit.header.models[0].stages")
    for number, mode in ((0, "raw"), (1, "carrier"), (2, "gated")):
        stage = header[number]
        channel = stage["channels"][1]
        tuned = sonify.Tuned(channel["centre_hz"], (channel["low_hz"], channel["high_hz"]))
        sound = opened.execute_script(
            "tagkit.select({shared: false, model: 0, stage: arguments[0], channel: 1, mode: arguments[1]});"
            "return [tagkit.mode(), Array.from(tagkit.player.sound)]",
            number,
            mode,
        )
        expected = sonify.sonify(maps, stage["name"], channel["index"], mode, probe=tuned)
        assert sound[0] == mode
        assert np.sqrt(np.mean((np.array(sound[1]) - expected) ** 2) / np.mean(expected**2)) < 1e-3
    assert opened.get_log("browser") == []


def test_a_dropped_song_is_walked_through_with_the_keyboard(opened, tmp_path):
    soundfile.write(tmp_path / "song.wav", piece(12.0), SR)
    drop(opened, tmp_path / "song.wav")
    state = "return [tagkit.state.stage, tagkit.state.channel, tagkit.mode(), tagkit.player.playing]"
    assert opened.execute_script(state)[3] is False
    opened.find_element(By.CSS_SELECTOR, "#stages [aria-checked=true]").send_keys(Keys.ARROW_RIGHT)
    before = opened.execute_script(state)
    assert before[0] == 1
    opened.find_element(By.CSS_SELECTOR, "#channels [aria-checked=true]").send_keys(Keys.ARROW_RIGHT, Keys.SPACE, "c")
    stage, channel, mode, playing = opened.execute_script(state)
    assert (stage, mode, playing) == (1, "carrier", True) and channel != before[1]
    heard = opened.execute_script("return Array.from(tagkit.player.sound)")
    assert np.square(heard).mean() > 0
    assert "before training" in opened.find_element(By.ID, "filter-words").text
    opened.switch_to.active_element.send_keys(Keys.SPACE)
    assert opened.execute_script(state)[3] is False
    opened.find_element(By.CSS_SELECTOR, "#models [aria-checked=true]").send_keys(Keys.ARROW_RIGHT)
    assert "before training" not in opened.find_element(By.ID, "filter-words").text
    assert opened.get_log("browser") == []


def test_what_is_wrong_with_a_file_is_said(opened, tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "words.mp3").write_text("no music at all " * 500)
    soundfile.write(tmp_path / "silent.wav", np.zeros(SR * 3), SR)
    soundfile.write(tmp_path / "blink.wav", piece(0.02), SR)
    soundfile.write(tmp_path / "loud.wav", np.clip(9 * piece(3), -1, 1), SR)
    soundfile.write(tmp_path / "brief.wav", piece(0.4), SR)
    for name, message in {
        "empty.wav": "empty.wav is empty (0 bytes): choose another file.",
        "words.mp3": "This browser cannot decode words.mp3",
        "silent.wav": "silent.wav is silent: its tags say nothing.",
        "blink.wav": "blink.wav lasts 0.02 s: at least 0.1 s are needed.",
        "loud.wav": "loud.wav is too loud",
        "brief.wav": "brief.wav is shorter than a window of 1.3 s: it is repeated to fill one.",
    }.items():
        assert message in drop(opened, tmp_path / name)
        assert "is-problem" in opened.find_element(By.ID, "song-words").get_attribute("class")
    assert opened.get_log("browser") == []


def test_a_cut_or_streamed_wav_and_joined_or_damaged_mp3s_are_read_as_far_as_they_go(opened, models, tmp_path):
    soundfile.write(tmp_path / "whole.wav", piece(4), SR)
    content = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[: len(content) // 2])
    piped = bytearray(content)
    piped[4:8] = piped[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "piped.wav").write_bytes(piped)
    soundfile.write(tmp_path / "one.mp3", piece(6, 44_100), 44_100)
    mp3 = (tmp_path / "one.mp3").read_bytes()
    (tmp_path / "tagged.mp3").write_bytes(b"ID3\x04\0\0\0\0\x02\0" + bytes(256) + mp3 + b"TAG" + bytes(125))
    (tmp_path / "damaged.mp3").write_bytes(mp3[:20_000] + bytes(300) + mp3[20_300:])
    for name, samples in {"cut.wav": 2 * SR, "piped.wav": 4 * SR, "tagged.mp3": 6 * SR, "damaged.mp3": 6 * SR}.items():
        assert "hears" in drop(opened, tmp_path / name), name
        assert abs(opened.execute_script("return tagkit.live.song.filled") - samples) < 0.1 * SR, name
        assert opened.execute_script("return tagkit.live.taggings.every((each) => each.complete)")
    assert opened.get_log("browser") == []


def test_a_long_file_can_be_stopped_and_another_takes_its_place(opened, models, tmp_path):
    soundfile.write(tmp_path / "long.wav", np.tile(piece(20), (30, 1)), SR)
    opened.find_element(By.ID, "file").send_keys(str(tmp_path / "long.wav"))
    until(
        lambda: opened.execute_script("return tagkit.live.taggings.length && tagkit.live.taggings[0].rows.length > 3"),
        "no tags",
    )
    opened.find_element(By.ID, "halt").send_keys(Keys.ENTER)
    assert re.match(r"Stopped after [0-8]:", words(opened)), words(opened)  # of 10 minutes
    assert opened.execute_script("return tagkit.live.pool.waiting.length") == 0
    soundfile.write(tmp_path / "next.wav", piece(5), SR)
    assert "hears" in drop(opened, tmp_path / "next.wav")
    compare(opened, models, tmp_path / "next.wav", 1e-5)


def test_the_tags_lie_under_the_players_line_and_a_click_moves_it(opened, tmp_path):
    soundfile.write(tmp_path / "song.wav", piece(8), SR)
    drop(opened, tmp_path / "song.wav")
    figures = opened.find_elements(By.CSS_SELECTOR, "#taggings .tagging")
    assert [figure.find_element(By.TAG_NAME, "b").text for figure in figures] == ["Raw", "Bank"]
    scores = [float(each.text) for each in figures[0].find_elements(By.CLASS_NAME, "tag-score")]
    assert scores == sorted(scores, reverse=True) and len(scores) == tiny.TAGS
    label = figures[0].find_element(By.TAG_NAME, "canvas").get_attribute("aria-label")
    assert label.startswith(figures[0].find_element(By.CLASS_NAME, "tag-name").text)
    until(lambda: opened.execute_script("return document.getElementById('whole').duration > 7"), "no player")
    strip = figures[1].find_element(By.CSS_SELECTOR, ".track")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", strip)
    strip.click()  # its middle
    until(
        lambda: abs(opened.execute_script("return document.getElementById('whole').currentTime") - 4) < 0.1, "it stays"
    )
    line = "return Number(document.getElementById('taggings').style.getPropertyValue('--at'))"
    until(lambda: abs(opened.execute_script(line) - 0.5) < 0.02, "the line stays")


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_sticks_out_sideways_and_everything_has_a_name(opened, tmp_path, width):
    soundfile.write(tmp_path / f"{'a_very_long_name_of_a_song_' * 5}.wav", piece(2), SR)
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        drop(opened, next(tmp_path.glob("*.wav")))
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    nameless = """
        const named = (each) => each.textContent.trim() || each.closest("label")
          || each.getAttribute("aria-label") || each.getAttribute("aria-labelledby");
        return [...document.querySelectorAll("button, input, audio, progress, canvas[role=img], [role=group]")]
          .filter((each) => each.checkVisibility() && !named(each)).map((each) => each.outerHTML);
    """
    assert opened.execute_script(nameless) == []


def odd_files(folder):
    """Files that are no ordinary music: formats that a browser does or does not know, and content that is wrong."""
    folder.mkdir()
    y = piece(3, 44_100)
    for name, options in {
        "telephone.wav": {"subtype": "ULAW"},
        "double.wav": {"subtype": "DOUBLE"},
        "large.wav": {"format": "RF64"},
        "apple.aiff": {},
        "sun.au": {},
        "wave64.w64": {},
        "core.caf": {},
        "voice.opus": {"format": "OGG", "subtype": "OPUS"},
        "<img src=x onerror=alert(1)> 🎵.wav": {"format": "WAV"},
    }.items():
        rate = 48_000 if name.endswith("opus") else 44_100
        soundfile.write(folder / name, y, rate, **options)
    spoilt = y.copy()
    spoilt[1000:1010] = np.nan
    spoilt[2000] = np.inf
    soundfile.write(folder / "nan.wav", spoilt, 44_100, "FLOAT")
    soundfile.write(folder / "offset.wav", 0.2 + 0.3 * y, 44_100)
    soundfile.write(folder / "strange_rate.wav", y, 37_123)
    soundfile.write(folder / "eight_channels.wav", np.tile(y, (1, 8)), 44_100)
    soundfile.write(folder / "old.mp3", piece(2, 8_000), 8_000)
    soundfile.write(folder / "cut.flac", y, 44_100)
    content = (folder / "cut.flac").read_bytes()
    (folder / "cut.flac").write_bytes(content[: len(content) // 3])
    (folder / "picture.mp3").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)
    (folder / "header.wav").write_bytes((folder / "double.wav").read_bytes()[:44])
    (folder / "no_sound.wav").write_bytes(b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\0\0" + bytes(20))
    return folder


def test_odd_files_are_read_or_explained(opened, tmp_path):
    files = sorted(odd_files(tmp_path / "odd").iterdir())
    said = {path.name: drop(opened, path) for path in files}
    print("\n".join(said.values()))
    assert all(name in text for name, text in said.items())
    assert opened.get_log("browser") == []
    read = {name for name, text in said.items() if "hears" in text}
    assert read >= {
        "telephone.wav",
        "double.wav",
        "large.wav",
        "voice.opus",
        "offset.wav",
        "strange_rate.wav",
        "old.mp3",
    }
    for name in ("apple.aiff", "sun.au", "picture.mp3", "no_sound.wav"):
        assert "cannot decode" in said[name]


@pytest.mark.real_data
def test_awkward_files_are_read_or_explained(opened, real_data):
    files = sorted(path for path in (real_data / "awkward").iterdir() if path.is_file())
    assert len(files) >= 9
    said = {path.name: drop(opened, path) for path in files}
    print("\n".join(said.values()))
    assert all(name in text for name, text in said.items())
    assert opened.get_log("browser") == []


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A Chromium whose microphone plays a WAV file."""
    from tests.browser.conftest import browser

    folder = tmp_path_factory.mktemp("spoken")
    soundfile.write(folder / "voice.wav", np.tile(piece(6, 48_000), (10, 1)), 48_000)
    flags = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={folder / 'voice.wav'}",
    )
    session = browser(folder / "profile", flags)
    yield session
    session.quit()
    shutil.rmtree(folder / "profile", ignore_errors=True)


def test_the_microphone_is_asked_for_at_a_click_and_tagged_as_it_goes(spoken, page, models):
    load(spoken, page)
    assert spoken.execute_script("return navigator.permissions === undefined || tagkit.live.microphone === null")
    spoken.find_element(By.ID, "record").send_keys(Keys.ENTER)
    enough = "return tagkit.live.taggings.length ? Math.min(...tagkit.live.taggings.map(({rows}) => rows.length)) : 0"
    until(lambda: spoken.execute_script(enough) >= 6, "the microphone gave no tags", 30)
    behind = spoken.execute_script("return tagkit.live.taggings.map(({behind}) => behind)")
    assert max(behind) < 1
    assert spoken.find_element(By.ID, "record").get_attribute("aria-pressed") == "true"
    spoken.find_element(By.ID, "record").send_keys(Keys.ENTER)
    until(lambda: "hears" in words(spoken), "the recording was not tagged")
    heard = np.array(spoken.execute_script("return Array.from(tagkit.live.song.store)"), np.int16)
    assert len(heard) > 2 * SR and np.abs(heard).max() > 1000
    for model, (starts, scores) in zip(models, found_scores(spoken), strict=True):
        expected_starts, expected = expected_scores(model, heard)
        np.testing.assert_array_equal(starts, expected_starts)
        np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert spoken.get_log("browser") == []
