"""Geometry against clicks: what a frame sees, and when, is what the arithmetic says."""

import keras
import numpy as np
import pytest
from keras import layers
from known_networks import SR, layer, sampled, small_tagger

from tagkit.analysis import feature_maps, geometry
from tagkit.graph import windowing, zoo


def clicks_heard(network: keras.Model, positions: list[int], samples: int) -> list[np.ndarray]:
    """For every output of a network (clicks, frames) of bool: whether a click at a position changes a frame."""
    x = np.zeros((len(positions), samples, 1), np.float32)
    silence = [np.asarray(output) for output in keras.tree.flatten(network(x, training=False))]
    x[np.arange(len(positions)), positions, 0] = 0.9
    clicked = keras.tree.flatten(network(x, training=False))
    heard = []
    for stage, before, after in zip(geometry.stages(network), silence, clicked, strict=True):
        changed = np.moveaxis(before != np.asarray(after), stage.axis, 1)
        heard.append(changed.any(axis=tuple(range(2, changed.ndim))))
    return heard


def has_holes(model: keras.Model) -> bool:
    """Whether dilated kernels leave samples out inside a receptive field."""
    return any(np.max(getattr(item, "dilation_rate", 1)) > 1 for item in model.layers)


# Their first layer looks at the whole window: at its mean level, or at gates from the mean of the maps.
EACH_FRAME_SEES_ALL = ("won_samplecnn_se", "crepe_tiny")


def assert_aligned(model: keras.Model, samples: int, steps=(0, 1, 7, 100, 1001)) -> None:
    """Every exact stage hears a click in the frames that its geometry names, and in no other."""
    names = [stage.name for stage in geometry.stages(model) if stage.exact]
    network = feature_maps.trunk(model, samples, names)
    positions = [samples // 2 + step for step in steps]
    for stage, heard in zip(geometry.stages(network), clicks_heard(network, positions, samples), strict=True):
        first = stage.offset - (stage.receptive_field - 1) / 2
        starts = first + stage.stride * np.arange(stage.frames)
        for position, frames in zip(positions, heard, strict=True):
            expected = (starts <= position) & (position <= starts + stage.receptive_field - 1)
            assert not (frames & ~expected).any(), f"{model.name} {stage.name} hears clicks that it should not see"
            reach = np.flatnonzero(frames)
            assert np.ptp(reach) + 1 >= expected.sum() - 2, f"{model.name} {stage.name} hears a click too briefly"
            inner = expected & np.roll(expected, 1) & np.roll(expected, -1)
            assert has_holes(model) or frames[inner].all(), f"{model.name} {stage.name} misses a click"


def test_arithmetic_of_a_small_network():
    stages = {stage.name: stage for stage in geometry.stages(small_tagger())}
    assert list(stages) == ["conv1", "conv2", "conv3", "conv4"]  # dense stages have no time axis
    assert [stage.stride for stage in stages.values()] == [4, 12, 36, 72]
    # conv1: k 16 s 4 'same', 6 samples of padding before; conv2: k 3 d 2 pool 3, and its skip sees less
    assert (stages["conv1"].receptive_field, stages["conv1"].offset) == (16, 1.5)
    assert (stages["conv2"].receptive_field, stages["conv2"].offset) == (16 + 4 * 4 + 2 * 4, 1.5 + 4)
    assert stages["conv3"].nyquist_hz == pytest.approx(16000 / 72)
    assert stages["conv4"].time(2) == pytest.approx((2 * 72 + stages["conv4"].offset) / SR)


@pytest.mark.parametrize("samples", [4096, 4099, 5003])
def test_clicks_in_a_small_network(samples):
    assert_aligned(small_tagger(), samples)


def test_parallel_branches_are_joined():
    source = keras.Input((2048, 1), name="waveform")
    short = layer(layers.Conv1D, "conv1", "a_conv", 4, 16, strides=16, padding="same")(source)
    wide = layer(layers.Conv1D, "conv1", "b_conv", 4, 64, strides=16, padding="same")(source)
    x = layer(layers.Concatenate, "conv1", "join")([short, wide])
    a = layer(layers.MaxPooling1D, "conv2", "a_pool", 4)(layer(layers.Conv1D, "conv2", "a_conv", 4, 4)(x))
    b = layer(layers.Conv1D, "conv2", "b_conv", 4, 2, padding="causal", dilation_rate=3)(x)
    b = layer(layers.AveragePooling1D, "conv2", "b_pool", 4)(layer(layers.Cropping1D, "conv2", "b_crop", (0, 3))(b))
    model = sampled(source, layer(layers.Concatenate, "conv2", "join")([a, b]), name="parallel")
    first, second = geometry.stages(model)
    assert (first.channels, first.stride, first.receptive_field, first.offset) == (8, 16, 64, 7.5)
    assert (second.channels, second.stride) == (8, 64)
    assert_aligned(model, 2048)


def test_spectrogram_axis_is_followed():
    source = keras.Input((4000, 1), name="waveform")
    x = layer(layers.Conv1D, "bands", "conv", 12, 400, strides=160)(source)
    x = layer(layers.Reshape, "bands", "image", (-1, 12, 1))(x)
    x = layer(layers.ZeroPadding2D, "conv1", "fill", ((3, 0), (0, 0)))(x)
    x = layer(layers.Conv2D, "conv1", "conv", 5, (4, 3), padding="valid")(x)
    x = layer(layers.MaxPooling2D, "conv1", "pool", (2, 2))(x)
    x = layer(layers.Permute, "conv2", "turn", (2, 1, 3))(x)
    x = layer(layers.Conv2D, "conv2", "conv", 6, (5, 3), padding="same", strides=(5, 1))(x)
    model = sampled(source, layer(layers.Conv2D, "conv2", "again", 7, 1)(x), name="spectrogram")
    bands, first, second = geometry.stages(model)
    assert (bands.channels, bands.stride, bands.axis) == (12, 160, 1)
    assert (first.channels, first.stride, first.axis) == (5, 320, 1)
    assert (second.channels, second.stride, second.axis) == (7, 320, 2)
    assert_aligned(model, 4000)
    maps = feature_maps.compute(model, np.ones(4000, np.float32)).maps
    assert [maps[name].shape for name in maps] == [(23, 12), (11, 5), (11, 7)]


def with_memory(samples: int = 1200) -> keras.Model:
    source = keras.Input((samples, 1), name="waveform")
    x = trunk = layer(layers.Conv1D, "conv1", "conv", 4, 10, strides=10)(source)
    squeezed = layer(layers.Dense, "conv2", "excite", 4)(layer(layers.GlobalAveragePooling1D, "conv2", "squeeze")(x))
    squeezed = layer(layers.Reshape, "conv2", "wide", (1, 4))(squeezed)
    x = layer(layers.Multiply, "conv2", "scale")([trunk, squeezed])
    x = layer(layers.Bidirectional, "gru1", "gru", layers.GRU(3, return_sequences=True))(x)
    x = layer(layers.GRU, "gru2", "gru", 5)(x)
    return sampled(source, layer(layers.Dense, "logits", "dense", 2)(x), name="with_memory")


def test_memory_is_marked():
    first, scaled, states = geometry.stages(with_memory())
    assert first.exact
    assert not scaled.exact
    assert not states.exact
    assert (states.stride, states.offset, states.channels) == (10, 4.5, 6)


def test_branches_without_common_frames_are_refused():
    source = keras.Input((64, 1), name="waveform")
    a = layer(layers.Conv1D, "conv1", "a", 4, 2, strides=2)(source)
    b = layer(layers.MaxPooling1D, "conv1", "b", 2)(layer(layers.Conv1D, "conv1", "c", 4, 2, strides=1)(source))
    b = layer(layers.Conv1D, "conv1", "d", 4, 2, strides=2)(layer(layers.UpSampling1D, "conv1", "up", 2)(b))
    model = sampled(source, layer(layers.Concatenate, "conv1", "join", axis=1)([a, b]))
    with pytest.raises(geometry.GeometryError, match=r"conv1_up.*frame_geometry"):
        geometry.stages(model)
    a = layer(layers.Conv1D, "conv2", "a", 4, 1, strides=2)(source)
    b = layer(layers.Cropping1D, "conv2", "b", 16)(source)
    model = sampled(source, layer(layers.Concatenate, "conv2", "join")([a, b]))
    with pytest.raises(geometry.GeometryError, match=r"conv2_join joins branches with strides of 2, 1 samples"):
        geometry.stages(model)


@pytest.mark.parametrize("row", zoo.ROWS)
def test_check_12_clicks_in_every_row_of_the_zoo(row):
    model = zoo.build(row)
    if row in EACH_FRAME_SEES_ALL:
        assert not any(stage.exact for stage in geometry.stages(model))
    else:
        assert_aligned(model, zoo.ROWS[row].samples, steps=(0, 101))


def test_a_network_inside_a_network_is_named():
    inner = small_tagger()
    source = keras.Input((4096, 1), name="waveform")
    with pytest.raises(geometry.GeometryError, match=r"get_layer\('small_tagger'\)"):
        geometry.stages(sampled(source, inner(source), name="windows"))


def test_a_network_of_many_windows_is_refused():
    with pytest.raises(geometry.GeometryError, match=r"ds256ra_mean takes .*not one waveform.*zoo.build"):
        geometry.stages(windowing.superpool("ds256ra", "mean"))
