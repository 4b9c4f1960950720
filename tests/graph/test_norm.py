import keras
import numpy as np
import pytest
import tensorflow as tf

from tagkit.graph.fast.norm import BatchNormalization


def trained(kind, x, **options):
    """Output, gradients (input, then weights) and moving statistics of one training step of a norm."""
    layer = kind(momentum=0.9, epsilon=1e-5, **options)
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    for weight in layer.trainable_variables:
        weight.assign(rng.normal(1, 0.3, weight.shape))
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(tf.sin(3 * y))
    gradients = tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])
    return [np.asarray(a) for a in (y, *gradients, layer.moving_mean, layer.moving_variance)]


@pytest.mark.parametrize("shape", [(4, 50, 6), (8, 1, 6), (3, 10, 7, 5)])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"scale": False, "center": False}])
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.3, 1e-2), (-40.0, 5.0)])
def test_a_training_step_is_that_of_keras(shape, options, mean, std):
    x = np.random.default_rng(0).normal(mean, std, shape).astype("float32")
    fused = trained(BatchNormalization, x, **options)
    for a, b in zip(fused, trained(keras.layers.BatchNormalization, x, **options), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * max(np.abs(b).max(), 1e-30))


@pytest.mark.parametrize(
    ("fused", "training", "options"),
    [(True, True, {}), (False, False, {}), (False, True, {"synchronized": True}), (False, True, {"axis": 1})],
)
def test_the_fused_kernel_runs_where_it_applies(fused, training, options):
    layer = BatchNormalization(**options)
    step = tf.function(lambda x: layer(x, training=training)).get_concrete_function(tf.zeros((2, 8, 3)))
    assert ("FusedBatchNormV3" in {op.type for op in step.graph.get_operations()}) is fused


def test_weights_of_a_plain_batch_norm_load_and_the_layer_survives_saving(tmp_path):
    def model(kind):
        source = keras.Input((16, 3))
        return keras.Model(source, kind(name="conv1_norm", scale=False)(source))

    plain = model(keras.layers.BatchNormalization)
    plain.layers[1].moving_mean.assign([1.0, 2.0, 3.0])
    plain.save_weights(tmp_path / "plain.weights.h5")
    fused = model(BatchNormalization)
    fused.load_weights(tmp_path / "plain.weights.h5")
    fused.save(tmp_path / "fused.keras")
    again = keras.models.load_model(tmp_path / "fused.keras")
    assert isinstance(again.layers[1], BatchNormalization)
    x = np.random.default_rng(0).normal(size=(2, 16, 3)).astype("float32")
    np.testing.assert_array_equal(again(x), plain(x))
