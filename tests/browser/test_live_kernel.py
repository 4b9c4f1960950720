"""Networks in a real Chromium against Keras: every stage of one row of each family, and the tags."""

import keras
import numpy as np
import pytest
import tiny
from keras import layers

from tagkit.analysis import feature_maps
from tagkit.listening import html
from tagkit.listening.live import network as live

BYTES = """
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const back = ({ buffer, byteOffset, byteLength }) => {
  const all = new Uint8Array(buffer, byteOffset, byteLength);
  let text = "";
  for (let i = 0; i < all.length; i += 4096) text += String.fromCharCode(...all.subarray(i, i + 4096));
  return btoa(text);
};
const [graph, weights, sound] = arguments;
const network = Graph.open(graph, bytes(weights));
const y = new Float32Array(bytes(sound).buffer);
"""
WINDOW = """
const found = Graph.run(network, y, network.stages.map((stage) => stage.node));
return network.stages.map(({ name, node }) => [name, found.get(node).shape, back(found.get(node).data)]);
"""
MAPS = """
const found = Graph.maps(network, y);
return Object.entries(found).map(([name, { frames, channels, data }]) => [name, [frames, channels], back(data)]);
"""


@pytest.fixture(scope="module")
def kernel(chromium, tmp_path_factory):
    """Runs a script in a page that holds the kernel alone."""
    path = tmp_path_factory.mktemp("kernel") / "kernel.html"
    files = (*html.KERNEL, "synthesis.js", "live/resample.js")
    scripts = "".join(f"<script>{html.static(name)}</script>" for name in files)
    path.write_text(
        f"<!doctype html><title>kernel</title><script>const SHARED = {{}};</script>{scripts}", encoding="utf-8"
    )
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get(path.as_uri())

    def run(script, packed, y):
        found = chromium.execute_script(BYTES + script, packed.graph, tiny.text(packed.weights), tiny.text(y))
        assert chromium.get_log("browser") == []
        return {name: tiny.numbers(text).reshape(shape) for name, shape, text in found}

    return run


def worst(found, expected):
    """The largest error of all stages, in parts of a stage's peak."""
    assert list(found) == list(expected)
    errors = {}
    for name, values in expected.items():
        assert found[name].shape == values.shape, name
        errors[name] = np.abs(found[name] - values).max() / np.abs(values).max()
    return max(errors.values())


def scores(logits):
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


@pytest.mark.parametrize("name", tiny.FAMILIES)
def test_every_stage_is_what_keras_computes(kernel, name):
    model, y = tiny.network(name), tiny.sound(tiny.FAMILIES[name])
    expected = tiny.golden(model, y)
    error = worst(kernel(WINDOW, live.pack(model, "float32"), y), expected)
    print(name, error)
    assert error < 1e-4
    rounded = kernel(WINDOW, live.pack(model, "float16"), y)["logits"]
    assert np.abs(scores(rounded) - scores(expected["logits"])).max() < 2e-3


@pytest.mark.parametrize("name", ["dm16", "samplecnn_se", "crnn_bi", "logmel"])
def test_maps_of_a_longer_sound_are_those_of_the_analysis(kernel, name):
    model = tiny.network(name)
    y = tiny.sound(round(1.4 * tiny.FAMILIES[name]))
    expected = feature_maps.compute(model, y)
    assert worst(kernel(MAPS, live.pack(model, "float32"), y), expected.maps) < 1e-4


def test_groups_strides_dilations_paddings_and_every_activation(kernel):
    sound = keras.Input((600, 1), name="waveform")
    x = layers.Conv1D(8, 5, strides=3, padding="same", activation="tanh", name="conv1_conv")(sound)
    x = layers.ZeroPadding1D((2, 3), name="conv2_pad")(x)
    x = layers.Conv1D(12, 3, groups=4, dilation_rate=3, activation="elu", name="conv2_conv")(x)
    x = layers.BatchNormalization(name="conv2_norm")(x)
    x = layers.MaxPooling1D(3, strides=2, padding="same", name="conv2_pool")(x)
    x = layers.AveragePooling1D(3, strides=2, padding="same", name="conv3_pool")(x)
    x = layers.Conv1D(10, 4, padding="same", groups=2, activation="sigmoid", name="conv3_conv")(x)
    x = layers.GRU(6, return_sequences=True, go_backwards=True, name="gru1_gru")(x)
    x = layers.GlobalMaxPooling1D(name="dense1_max")(x)
    x = layers.Dense(7, activation="softmax", name="dense1_dense")(x)
    model = keras.Model(sound, layers.Dense(3, name="logits_dense")(x), name="odd")
    model.sr = tiny.SR
    y = tiny.sound(600)
    assert worst(kernel(WINDOW, live.pack(tiny.shaken(model), "float32"), y), tiny.golden(model, y)) < 1e-4


def test_a_wrong_weight_is_seen(kernel):
    model, y = tiny.network("dm16"), tiny.sound(tiny.FAMILIES["dm16"])
    expected = tiny.golden(model, y)
    weight = model.get_layer("conv3_conv").kernel
    weight.assign(weight + 1e-2)
    assert worst(kernel(WINDOW, live.pack(model, "float32"), y), expected) > 1e-4


RESAMPLED = """
const [rate, to, frequency] = arguments;
const resampler = new Resampler(rate, to);
const found = [];
let begin = 0;
for (const length of [1000, 1, 4096, 30_000, 777, 5000]) {
  const block = Float32Array.from({ length }, (_, n) => Math.sin((2 * Math.PI * frequency * (begin + n)) / rate));
  begin += length;
  found.push(...resampler.push(block));
}
found.push(...resampler.end());
return [begin, found];
"""


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 37_124, 44_100, 48_000])
def test_tones_keep_their_place_at_another_rate_and_nothing_folds_back(kernel, chromium, rate):
    for frequency in (100, 3_000, 7_000, 8_700):
        if frequency > 0.45 * rate:
            continue
        samples, found = chromium.execute_script(RESAMPLED, rate, tiny.SR, frequency)
        assert len(found) == round(samples * tiny.SR / rate)
        expected = np.sin(2 * np.pi * frequency * np.arange(len(found)) / tiny.SR) * (frequency < tiny.SR / 2)
        inside = slice(400, -400)  # where the tone begins and ends, it is no tone
        assert np.abs(np.array(found) - expected)[inside].max() < 1e-5
