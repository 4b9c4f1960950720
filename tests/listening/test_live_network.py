"""The walk over a Keras model for the live page; tests/browser/test_live_kernel.py runs what it writes."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from tagkit.analysis.geometry import GeometryError
from tagkit.graph.windowing import superpool
from tagkit.listening.live.layers import UnknownLayerError
from tagkit.listening.live.network import pack


def network(*stack, samples=64):
    sound = x = keras.Input((samples, 1), name="waveform")
    for layer in stack:
        x = layer(x)
    x = layers.Flatten(name="logits_flatten")(x)
    model = keras.Model(sound, layers.Dense(2, name="logits_dense")(x), name="hand-made")
    model.sr = 16_000
    return model


class Doubling(layers.Conv1D):
    """Looks like a convolution and is none."""

    def call(self, inputs):
        return 2 * super().call(inputs)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (layers.LeakyReLU(name="conv1_leaky"), "conv1_leaky is a layer of the kind LeakyReLU"),
        (Doubling(2, 3, name="conv1_conv"), "conv1_conv is a layer of the kind Doubling"),
        (layers.Conv1D(2, 3, activation="gelu", name="conv1_conv"), "conv1_conv has the activation gelu"),
        (layers.Conv1D(2, 3, padding="causal", name="conv1_conv"), "conv1_conv pads 'causal'"),
        (layers.GRU(2, activation="relu", return_sequences=True, name="gru1_gru"), "gru1_gru has activations other"),
        (
            layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="gru1_gru"),
            "gru1_gru is bidirectional, but not two GRUs",
        ),
    ],
)
def test_what_the_page_cannot_compute_is_refused_by_name(layer, message):
    with pytest.raises(UnknownLayerError, match=message):
        pack(network(layer))


def test_networks_that_merge_windows_or_have_no_length_are_refused():
    with pytest.raises(GeometryError, match="not one waveform"):
        pack(superpool("mkc_r", "mean", 2, 3))
    with pytest.raises(ValueError, match="build it for one length"):
        sound = keras.Input((None, 1), name="waveform")
        pack(keras.Model(sound, layers.GlobalMaxPooling1D(name="logits_max")(sound)))


def test_a_norm_goes_into_the_convolution_before_it_unless_another_layer_reads_that_too():
    conv, norm = layers.Conv1D(2, 3, name="conv1_conv"), layers.BatchNormalization(name="conv1_norm")
    nodes = pack(network(conv, norm)).graph["nodes"]
    assert [node["op"] for node in nodes] == ["input", "conv", "flatten", "dense"]
    assert set(nodes[1]["weights"]) == {"kernel", "bias", "scale", "offset"}

    sound = keras.Input((64, 1), name="waveform")
    x = layers.Conv1D(2, 3, name="conv1_conv")(sound)
    y = layers.Add(name="conv1_add")([x, layers.BatchNormalization(name="conv1_norm")(x)])
    model = keras.Model(sound, layers.GlobalMaxPooling1D(name="logits_max")(y))
    model.sr = 16_000
    assert [node["op"] for node in pack(model).graph["nodes"]] == ["input", "conv", "scale", "add", "reduce"]


def test_weights_are_read_back_as_they_were_rounded():
    model = network(layers.Conv1D(3, 5, name="conv1_conv"))
    kernel = np.asarray(model.get_layer("conv1_conv").kernel)
    for precision in ("float16", "float32"):
        packed = pack(model, precision)
        place = packed.graph["nodes"][1]["weights"]["kernel"]
        assert place["type"] == precision and place["shape"] == [1, 5, 1, 3]
        found = np.frombuffer(packed.weights, precision, kernel.size, place["at"]).reshape(kernel.shape)
        np.testing.assert_array_equal(found, kernel.astype(precision))
        places = [place for node in packed.graph["nodes"] for place in node["weights"].values()]
        assert all(place["at"] % 4 == 0 for place in places)
        assert [place["type"] for place in places if len(place["shape"]) == 1] == ["float32"] * 2
    assert json.loads(json.dumps(packed.graph, allow_nan=False)) == packed.graph


@pytest.mark.parametrize(
    ("value", "precision", "message"),
    [
        (np.nan, "float32", "conv1_conv hold NaN or infinity"),
        (1e5, "float16", "conv1_conv reach beyond float16; write the page with --weights float32"),
        (0.1, "int8", "float16 or float32, not 'int8'"),
    ],
)
def test_weights_that_cannot_be_written_are_named(value, precision, message):
    conv = layers.Conv1D(1, 3, name="conv1_conv")
    model = network(conv)
    conv.kernel.assign(np.full((3, 1, 1), value))
    with pytest.raises(ValueError, match=message):
        pack(model, precision)
