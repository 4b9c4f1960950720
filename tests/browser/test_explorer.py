"""The widgets in a real JupyterLab: another choice in a dropdown, another sound in the player, and the right one."""

import jupyter
import numpy as np
import pytest

from tagkit.listening import widgets

SR = jupyter.SR
MADE = """
import numpy as np
from tagkit.listening import widgets
from tagkit.graph import zoo
noise = 0.1 * np.random.default_rng(0).standard_normal(16000)
seen = widgets.network(zoo.build("dm16"), {"noise": noise}, stages=["conv1", "conv2"])
"""
OTHER = """
other = widgets.network(zoo.build("dm16", seed=1), {"noise": noise}, title="other", stages=["conv1"])
"""
NOTEBOOKS = {
    "explorer": MADE + "widgets.explorer([seen])",
    "ab": MADE + OTHER + "widgets.ab([seen, other])",
    "grid": MADE + 'widgets.nine_players(seen, "noise", "conv1", "gated")',
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with jupyter.lab(tmp_path_factory.mktemp("lab"), NOTEBOOKS) as address:
        yield address


@pytest.fixture(scope="module")
def networks():
    """What the cells hold, made here."""
    namespace: dict = {}
    exec(MADE + OTHER, namespace)
    return namespace["seen"], namespace["other"]


def alike(text, expected):
    heard = jupyter.decoded(text)
    return np.corrcoef(heard, expected[: len(heard)])[0, 1]


def test_another_channel_is_another_sound(lab_chromium, lab, networks):
    browser, (seen, _) = lab_chromium, networks
    before = jupyter.run_cell(browser, lab, "explorer", 1)
    channel = widgets.channel_order(seen, "conv1")[-1]
    jupyter.dropdowns(browser, "channel")[0].select_by_index(63)
    after = jupyter.changed(browser, before)
    assert alike(after[0], widgets.hear(seen, "noise", "conv1", channel, "carrier")) > 0.95

    jupyter.dropdowns(browser, "stage")[0].select_by_visible_text("conv2")
    (in_conv2,) = jupyter.changed(browser, after)
    spectrum = np.abs(np.fft.rfft(jupyter.decoded(in_conv2)))
    chosen = jupyter.dropdowns(browser, "channel")[0].first_selected_option.text
    number = int(chosen.split(",")[0].removeprefix("channel "))
    assert np.argmax(spectrum) == pytest.approx(seen.probe.tuning("conv2").centre_hz[number], abs=2)


def test_a_and_b_are_two_networks_with_one_gain(lab_chromium, lab, networks):
    browser, (seen, other) = lab_chromium, networks
    before = jupyter.run_cell(browser, lab, "ab", 2)
    jupyter.dropdowns(browser, "mode")[0].select_by_visible_text("raw")
    raw = jupyter.changed(browser, before)
    first = [widgets.channel_order(each, "conv1")[0] for each in (seen, other)]
    jupyter.dropdowns(browser, "channel")[1].select_by_index(63)
    both = jupyter.changed(browser, raw)
    last = widgets.channel_order(other, "conv1")[63]
    expected = widgets.compare((seen, "conv1", first[0]), (other, "conv1", last), "noise", "raw")
    for text, sound in zip(both, expected, strict=True):
        assert alike(text, sound) > 0.95
        assert np.std(jupyter.decoded(text)) == pytest.approx(np.std(sound), rel=0.1)  # the gain is in it


def test_the_grid_plays_nine_channels(lab_chromium, lab, networks):
    seen, _ = networks
    texts = jupyter.run_cell(lab_chromium, lab, "grid", 9)
    for channel, text in zip(widgets.nine(seen, "noise", "conv1"), texts, strict=True):
        assert alike(text, widgets.hear(seen, "noise", "conv1", channel, "gated")) > 0.95, channel
