"""The listening page in a real browser, opened from disk with the network off."""

import base64
import io

import numpy as np
import pytest
import soundfile
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tagkit.analysis import feature_maps, sonify
from tagkit.listening import html
from tagkit.listening.packing import dequantise
from tests.browser.conftest import load

SR = 16000


def choose(browser, group, value):
    click(browser, f"#{group} [data-value='{value}']")


def click(browser, selector):
    """Click where a reader would: not under the player that floats over the page's end."""
    element = browser.find_element(By.CSS_SELECTOR, selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def heard(browser, change=None):
    """What the player holds, after a change of the choice."""
    script = """
        if (arguments[0]) tagkit.select(arguments[0]);
        const bytes = new Uint8Array(tagkit.player.sound.buffer);
        let text = "";
        for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
        return btoa(text);
    """
    return np.frombuffer(base64.b64decode(browser.execute_script(script, change)), np.float32)


def stored(listening_page):
    packed = html.unpack(listening_page.read_text(encoding="utf-8"))
    return packed.header, packed.bytes()


def decoded_clip(header, blob, clip):
    mp3 = header["clips"][clip]["mp3"]
    return soundfile.read(io.BytesIO(blob[mp3["at"] : mp3["at"] + mp3["bytes"]]))[0][:: mp3["step"]]


def stored_maps(header, blob, clip, network, number=0):
    """FeatureMaps as the page holds them: rounded to int8, and only the channels that it kept."""
    stages = header["models"][number]["stages"]
    maps = {}
    for stage in stages:
        place, channels = stage["maps"][clip], len(stage["channels"])
        steps = np.frombuffer(blob, np.int8, channels * place["frames"], place["at"]).reshape(channels, -1)
        maps[stage["name"]] = dequantise(steps, place["range"])
    exact = feature_maps.compute(network, decoded_clip(header, blob, clip).astype(np.float32))
    return feature_maps.FeatureMaps(maps, exact.geometry, decoded_clip(header, blob, clip), SR)


def test_opens_without_network_and_without_a_word_in_the_console(opened, listening_page):
    assert opened.title == "Listen inside a network"
    assert opened.get_log("browser") == []
    loaded = opened.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in loaded if not name.startswith(("blob:", "data:"))] == []
    assert listening_page.stat().st_size < 2_000_000


def test_a_click_on_stage_channel_and_mode_plays_the_carrier_at_its_frequency(opened, listening_page):
    header, _ = stored(listening_page)
    choose(opened, "stages", 2)
    channel = next(i for i, c in enumerate(header["models"][0]["stages"][2]["channels"]) if (c["centre_hz"] or 0) > 100)
    choose(opened, "channels", channel)
    choose(opened, "modes", "carrier")
    sound = heard(opened)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    peak_hz = np.argmax(spectrum) * SR / len(sound)
    assert peak_hz == pytest.approx(header["models"][0]["stages"][2]["channels"][channel]["centre_hz"], abs=1)
    assert opened.get_log("browser") == []


# The browser and Python decode the MP3 differently in the last bits, which only the gated mode hears.
TOLERANCE = {"raw": 1e-6, "carrier": 1e-6, "gated": 1e-3}


@pytest.mark.parametrize("clip", [0, 1])
def test_the_browser_makes_the_sounds_that_python_makes(opened, listening_page, network, clip):
    header, blob = stored(listening_page)
    maps = stored_maps(header, blob, clip, network)
    errors = {mode: [] for mode in sonify.MAP_MODES}
    for number, stage in enumerate(header["models"][0]["stages"]):
        for position in (0, len(stage["channels"]) // 2, len(stage["channels"]) - 1):
            channel = stage["channels"][position]
            centre_hz = np.nan if channel["centre_hz"] is None else channel["centre_hz"]
            tuned = sonify.Tuned(centre_hz, (channel["low_hz"], channel["high_hz"]))
            for mode in set(sonify.MAP_MODES) - set(stage["refused"]) - set(channel["refused"]):
                sound = heard(opened, {"clip": clip, "stage": number, "channel": position, "mode": mode})
                try:
                    expected = sonify.sonify(maps, stage["name"], position, mode, probe=tuned)
                except sonify.CannotPlay:  # a map with nothing but dips
                    assert not sound.any()
                    continue
                errors[mode].append(np.sqrt(np.mean((sound - expected) ** 2) / np.mean(expected**2)))
    assert len(errors["raw"]) == 6 and len(errors["carrier"]) >= 8 and len(errors["gated"]) >= 12
    for mode, values in errors.items():
        assert max(values) < TOLERANCE[mode], mode


def test_a_refused_mode_is_greyed_out_and_says_why(opened, listening_page):
    header, _ = stored(listening_page)
    slow = next(i for i, s in enumerate(header["models"][0]["stages"]) if "raw" in s["refused"])
    choose(opened, "modes", "raw")
    choose(opened, "stages", slow)
    button = opened.find_element(By.CSS_SELECTOR, "#modes [data-value='raw']")
    assert button.get_attribute("aria-disabled") == "true"
    assert opened.execute_script("return tagkit.mode()") == "gated"
    words = opened.find_element(By.ID, "mode-words").text
    assert "Raw is not offered here" in words
    assert "too low to be heard" in words
    button.click()
    assert opened.execute_script("return tagkit.mode()") == "gated"


def test_everything_can_be_reached_with_the_keyboard(opened):
    chosen = "return document.querySelector('#channels [aria-checked=true]').dataset.value"
    before = opened.execute_script(chosen)
    opened.find_element(By.CSS_SELECTOR, "#channels [aria-checked=true]").send_keys(Keys.ARROW_RIGHT)
    after = opened.execute_script(chosen)
    assert after != before
    assert opened.switch_to.active_element.get_attribute("data-value") == after
    opened.switch_to.active_element.send_keys(Keys.SPACE)
    assert opened.find_element(By.ID, "play").get_attribute("aria-pressed") == "true"
    opened.switch_to.active_element.send_keys("c")
    assert opened.execute_script("return tagkit.mode()") == "carrier"
    assert opened.execute_script("return tagkit.player.playing")
    opened.switch_to.active_element.send_keys(Keys.SPACE)
    assert opened.find_element(By.ID, "play").get_attribute("aria-pressed") == "false"
    assert opened.get_log("browser") == []


def test_the_address_remembers_the_choice(opened, listening_page):
    choose(opened, "clips", 1)
    choose(opened, "stages", 1)
    choose(opened, "modes", "carrier")
    chosen = "[tagkit.state.clip, tagkit.state.stage, tagkit.state.channel, tagkit.mode()]"
    state = opened.execute_script(f"return {chosen}")
    address = opened.current_url
    opened.get("about:blank")
    opened.get(address)
    again = (
        "return tagkit.ready.then(() => [tagkit.state.clip, tagkit.state.stage, tagkit.state.channel, tagkit.mode()])"
    )
    assert opened.execute_script(again) == state


def test_sorting_by_energy_puts_the_strongest_channel_first(opened, listening_page):
    header, _ = stored(listening_page)
    opened.find_element(By.CSS_SELECTOR, "#sorting [value='energy']").click()
    order = opened.execute_script("return tagkit.order()")
    energies = [header["models"][0]["stages"][0]["channels"][i]["energy"] for i in order]
    assert energies == sorted(energies, reverse=True)


@pytest.mark.parametrize("width", [360, 820, 1600])
def test_nothing_sticks_out_sideways(opened, width):
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_networks_stand_side_by_side_and_follow_each_other(opened_two, page_of_two):
    assert page_of_two.stat().st_size < 2_000_000
    assert opened_two.get_log("browser") == []
    columns = opened_two.find_elements(By.CSS_SELECTOR, "#networks .network")
    assert [c.find_element(By.CSS_SELECTOR, ".beside b").text for c in columns] == ["One", "Other"]
    tops = [c.find_elements(By.CSS_SELECTOR, "canvas")[1].rect["y"] for c in columns]
    assert tops[0] == tops[1]
    choose(opened_two, "stages", 1)
    header, _ = stored(page_of_two)
    here, there = (opened_two.execute_script(f"return [tagkit.view({m}).s, tagkit.view({m}).c]") for m in (0, 1))
    centres = [[c["centre_hz"] for c in m["stages"][1]["channels"]] for m in header["models"]]
    assert there[0] == 1
    assert there[1] == np.argmin(np.abs(np.log(np.array(centres[1]) / centres[0][here[1]])))
    click(opened_two, "#follow")
    choose(opened_two, "stages", 0)
    assert opened_two.execute_script("return tagkit.view(1).s") == 1  # it stays where it is now


def test_networks_side_by_side_share_one_gain(opened_two, page_of_two, network, other_network):
    header, blob = stored(page_of_two)
    maps = [stored_maps(header, blob, 0, each, m) for m, each in enumerate((network, other_network))]
    opened_two.execute_script("tagkit.select({clip: 0, stage: 1, channel: 2, mode: 'raw'})")
    channels = [opened_two.execute_script(f"return tagkit.view({m}).c") for m in (0, 1)]
    expected = sonify.side_by_side(maps, "conv2", channels, "raw")
    for number, sound in enumerate(expected):
        found = heard(opened_two, {"model": number})
        assert np.sqrt(np.mean((found - sound) ** 2) / np.mean(sound**2)) < 1e-6
    click(opened_two, "#shared")
    alone = heard(opened_two)
    np.testing.assert_allclose(alone, sonify.sonify(maps[1], "conv2", channels[1], "raw"), atol=1e-5)


def test_a_number_changes_the_network_while_it_plays(opened_two):
    opened_two.execute_script("tagkit.toggle(true)")
    opened_two.find_element(By.TAG_NAME, "body").send_keys("2")
    assert opened_two.execute_script("return [tagkit.state.model, tagkit.player.playing]") == [1, True]
    click(opened_two, "#networks .beside")
    assert opened_two.execute_script("return tagkit.state.model") == 0
    opened_two.execute_script("tagkit.toggle(false)")


def test_the_untrained_curve_and_the_channels_that_tell_a_tag(opened_two, page_of_two):
    header, _ = stored(page_of_two)
    stage = header["models"][0]["stages"][1]
    kept = [c["index"] for c in stage["channels"]]
    assert 5 in kept and header["models"][1]["stages"][1]["control"] is None
    (find,) = opened_two.find_elements(By.CSS_SELECTOR, "#finds-list .find")
    assert find.text.split() == ["plucked", "0.90"]
    assert find.get_attribute("title") == "conv2, channel 5"
    click(opened_two, "#finds-list .find")
    assert opened_two.execute_script("return [tagkit.state.stage, tagkit.state.channel]") == [1, kept.index(5)]
    assert "before training" in opened_two.find_element(By.ID, "filter-words").text
    choose(opened_two, "models", 1)
    assert not opened_two.find_element(By.ID, "finds").is_displayed()
    assert "before training" not in opened_two.find_element(By.ID, "filter-words").text
    assert opened_two.get_log("browser") == []


@pytest.fixture
def opened_pool(chromium, network, probe, clips, tmp_path_factory):
    """The page of one network whose channels point into a pool of two excerpts, and that opens with a channel."""
    from tagkit.listening import packing, pool
    from tagkit.listening import page as listen

    seen = listen.network(network, clips, title="A raw network", probe=probe)
    packed = packing.pack(clips, [seen], max_channels=4)
    mp3s = [pool.encode(clip.y[: round(1.5 * SR)], SR) for clip in clips]
    starts, blob = packing.extended(packed, mp3s)
    pooled = [
        {"title": clip.title, "tags": ["harp"], "start_s": 61.5, "mp3": {"at": at, "bytes": len(mp3)}}
        for clip, at, mp3 in zip(clips, starts, mp3s, strict=True)
    ]
    header = packed.header | {"pool": pooled, "pool_pieces": 40}
    header["opening"] = {"model": 0, "stage": 2, "channel": 1, "clip": 1}
    for stage in header["models"][0]["stages"]:
        for channel in stage["channels"]:
            channel["moments"] = {"most": [[0, 1], [1, 4]], "median": [[1, 20]], "least": []}
            channel["carried"] = {"gated": [[0.5, 0.1], [0.83, 0.24]]}
    path = tmp_path_factory.mktemp("pool") / "listen.html"
    path.write_text(html.render(packing.Packed(header, blob), title="T", lead="L", facts="F"), encoding="utf-8")
    return load(chromium, path)


def test_it_opens_with_the_most_telling_sound_and_says_how_telling(opened_pool):
    state = opened_pool.execute_script("return tagkit.state")
    assert (state["stage"], state["channel"], state["clip"]) == (2, 1, 1)
    assert "carries 83 % of the channel's answer" in opened_pool.find_element(By.ID, "mode-words").text.replace(
        "\xa0", " "
    )
    assert "83" in opened_pool.find_element(By.CSS_SELECTOR, "#modes [data-value=gated]").text


def test_moments_of_other_music_are_played_in_turn(opened_pool):
    assert opened_pool.execute_script("return [...document.querySelectorAll('#moments-list button')].length") == 2
    played = opened_pool.execute_async_script(
        "const done = arguments[0];"
        "Moments.play('most').then(async (one) => { const other = await Moments.play('most');"
        "  done([one.title, other.title, one.sound.duration, document.getElementById('moment-words').textContent]); })"
    )
    assert played[:2] == ["A scale", "Noise"]
    assert played[2] == pytest.approx(1.5, abs=0.2)
    assert (
        played[3]
        == "Noise, from 1:01 (harp). Rank 4 of 40 pieces by how much the strongest moment excites this channel."
    )
    click(opened_pool, "#moments-list [data-kind=median]")
    assert opened_pool.find_element(By.ID, "moment-words").text.startswith("Noise, from 1:01")


def test_numbers_on_tiles_are_not_cut_off(opened_two):
    texts = "[...document.querySelectorAll('.channel .tag, .channel .tag span, .channel .name span')]"
    cut = "each.clientWidth > 0 && each.scrollWidth > each.clientWidth + 1"
    assert opened_two.execute_script(f"return {texts}.filter((each) => {cut}).map((each) => each.textContent)") == []
