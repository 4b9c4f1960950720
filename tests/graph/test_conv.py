import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tagkit.graph import zoo
from tagkit.graph.fast.conv import Conv1D


def trained(kind, x, **options):
    """Maps of a convolution, and gradients of its input and its weights."""
    layer = kind(**{"filters": 6} | options)
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    for weight in layer.trainable_variables:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(tf.sin(3 * y))
    return [np.asarray(a) for a in (y, *tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)]))]


@pytest.mark.parametrize("frames", [1024, 2187, 65 * 17])
@pytest.mark.parametrize(
    "options", [{"kernel_size": k} for k in (1, 2, 3, 4, 8, 150)] + [{"kernel_size": 3, "use_bias": 0}]
)
def test_a_training_step_is_that_of_keras(frames, options):
    x = np.random.default_rng(0).normal(0, 1, (3, frames, 5)).astype("float32")
    options = options | {"padding": "same"}
    ours = trained(Conv1D, x, **options)
    for a, b in zip(ours, trained(keras.layers.Conv1D, x, **options), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize(
    ("piece", "frames", "options"),
    [
        (81, 19_683, {}),
        (81, 2_187, {"kernel_size": 4}),
        (128, 1_024, {"kernel_size": 100}),
        (None, 1_024, {"kernel_size": 300}),
        (None, 729, {}),
        (None, 2_427, {}),
        (None, None, {}),
        (None, 19_683, {"strides": 3}),
        (None, 19_683, {"dilation_rate": 2}),
        (None, 19_683, {"padding": "valid"}),
    ],
)
def test_long_maps_that_can_be_cut_evenly_are_cut(piece, frames, options):
    layer = Conv1D(8, **{"kernel_size": 3, "padding": "same"} | options)
    assert layer.piece(frames) == piece


def test_samplecnn_learns_in_pieces():
    model = zoo.build("samplecnn")
    cut = [layer.name for layer in model.layers if isinstance(layer, Conv1D) and layer.piece(layer.input.shape[1])]
    assert cut == ["conv2_conv", "conv3_conv", "conv4_conv"]
    layer = model.get_layer("conv4_conv")
    step = tf.function(lambda x: tf.gradients(layer(x), layer.kernel.value)).get_concrete_function(
        tf.zeros((2, 2187, 128))
    )
    shapes = [op.inputs[0].shape for op in step.graph.get_operations() if op.type == "Conv2DBackpropFilter"]
    assert shapes == [(2 * 27, 1, 81, 128)]


@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"activation": "relu"}])
@pytest.mark.parametrize(("taps", "frames", "padding"), [(4, 64, "same"), (4, 64, "valid"), (1, 30, "same")])
def test_taps_that_meet_edge_to_edge_are_one_product(taps, frames, padding, options):
    x = np.random.default_rng(0).normal(0, 1, (3, frames, 5)).astype("float32")
    options = {"kernel_size": taps, "strides": taps, "padding": padding} | options
    for a, b in zip(trained(Conv1D, x, **options), trained(keras.layers.Conv1D, x, **options), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())
    layer = Conv1D(6, **options)
    graph = tf.function(layer).get_concrete_function(tf.constant(x)).graph
    assert {"MatMul", "Conv2D"} & {op.type for op in graph.get_operations()} == {"MatMul"}


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 4, "strides": 4, "padding": "same"},  # 65 frames leave a gap
        {"kernel_size": 5, "strides": 3},
        {"kernel_size": 5, "dilation_rate": 2, "padding": "same"},
        {"kernel_size": 3, "padding": "causal"},
        {"kernel_size": 3, "groups": 5, "filters": 10},
    ],
)
def test_all_other_convolutions_are_those_of_keras(options):
    x = np.random.default_rng(0).normal(0, 1, (3, 65, 5)).astype("float32")
    for a, b in zip(trained(Conv1D, x, **options), trained(keras.layers.Conv1D, x, **options), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("kernel", [{"kernel_size": 3}, {"kernel_size": 4, "strides": 4}])
def test_a_bias_ahead_of_a_norm_has_the_gradient_that_it_has_anyway(kernel):
    """Of a loss of about 1, the bias' gradient would be rounding, from which Adam makes whole steps."""

    def gradients(**options):
        keras.utils.set_random_seed(0)
        source = keras.Input((1024, 2))
        y = Conv1D(4, padding="same", kernel_initializer="he_normal", **kernel, **options)(source)
        model = keras.Model(source, keras.layers.BatchNormalization()(y))
        x = np.random.default_rng(0).normal(size=(2, 1024, 2)).astype("float32")
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.sin(model(x, training=True))))
        return [np.asarray(g) for g in tape.gradient(loss, [v.value for v in model.trainable_variables])]

    learns, still = gradients(), gradients(bias_learns=False)
    for a, b in zip(learns, still, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert not still[1].any()


@pytest.mark.parametrize("norm_last", [False, True])
def test_biases_learn_where_no_norm_takes_them_out(norm_last):
    row = dataclasses.replace(zoo.find("ds256ra"), norm_last=norm_last)
    flags = {layer.bias_learns for layer in zoo.build(row).layers if isinstance(layer, Conv1D)}
    assert flags == {norm_last}


def test_weights_of_a_plain_convolution_load_and_the_layer_survives_saving(tmp_path):
    def model(kind):
        source = keras.Input((2048, 3))
        return keras.Model(source, kind(4, 3, padding="same", name="conv1_conv")(source))

    plain = model(keras.layers.Conv1D)
    plain.save_weights(tmp_path / "plain.weights.h5")
    ours = model(Conv1D)
    ours.load_weights(tmp_path / "plain.weights.h5")
    ours.save(tmp_path / "ours.keras")
    again = keras.models.load_model(tmp_path / "ours.keras")
    assert isinstance(again.layers[1], Conv1D)
    x = np.random.default_rng(0).normal(size=(2, 2048, 3)).astype("float32")
    np.testing.assert_array_equal(again(x), plain(x))
