import keras
import numpy as np
import pytest
import tensorflow as tf

from tagkit.graph.fast.pooling import SHORTEST, MaxPooling1D
from tagkit.graph.layers.pooling import StochasticPooling


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def slow_mean(region):
    """The definition, for one region: the sum of probabilities times activations."""
    a = np.maximum(region, 0)
    return float(np.sum(a / a.sum() * a)) if a.sum() > 0 else 0.0


def test_inference_is_the_weighted_mean_of_each_region():
    x = np.random.default_rng(0).normal(size=(3, 11, 4)).astype("float32")
    out = numpy(StochasticPooling(3)(x, training=False))
    assert out.shape == (3, 3, 4)  # the last 2 of 11 frames fill no region
    for b, n, c in np.ndindex(out.shape):
        assert out[b, n, c] == pytest.approx(slow_mean(x[b, 3 * n : 3 * n + 3, c]), rel=1e-5)


def test_inference_in_two_dimensions():
    x = np.random.default_rng(1).normal(size=(2, 7, 9, 3)).astype("float32")
    out = numpy(StochasticPooling((3, 2))(x, training=False))
    assert out.shape == (2, 2, 4, 3)
    for b, n, f, c in np.ndindex(out.shape):
        region = x[b, 3 * n : 3 * n + 3, 2 * f : 2 * f + 2, c]
        assert out[b, n, f, c] == pytest.approx(slow_mean(region), rel=1e-5)


def test_training_draws_each_member_with_its_probability():
    region = np.array([0.0, 1.0, -5.0, 2.0, 5.0], "float32")
    n = 40_000
    x = np.broadcast_to(region[None, :, None], (n, 5, 1))
    drawn = numpy(StochasticPooling(5, seed=7)(x, training=True)).ravel()
    assert set(np.unique(drawn)) == {1.0, 2.0, 5.0}  # neither 0 nor a negative activation is ever drawn
    for value, p in ((1, 1 / 8), (2, 2 / 8), (5, 5 / 8)):
        assert np.mean(drawn == value) == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / n))
    # The expectation of training is the output of inference: 1/8 + 4/8 + 25/8.
    assert drawn.mean() == pytest.approx(30 / 8, abs=0.05)
    assert numpy(StochasticPooling(5)(x[:1], training=False)).item() == pytest.approx(30 / 8)


def test_members_of_neighbouring_regions_and_channels_are_drawn_independently():
    x = np.ones((1, 2, 20_000), "float32") * np.array([1.0, 2.0], "float32")[None, :, None]
    layer = StochasticPooling(2, seed=0)
    first, second = (numpy(layer(x, training=True)).ravel() for _ in range(2))
    assert np.mean(first == 2) == pytest.approx(2 / 3, abs=0.02)
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.03
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03  # the next call draws anew


def test_a_region_without_a_positive_activation_gives_zero_and_finite_gradients():
    x = tf.Variable(np.stack([np.zeros(6), -np.ones(6)])[..., None].astype("float32"))
    for training in (True, False):
        with tf.GradientTape() as tape:
            out = StochasticPooling(3)(x, training=training)
        np.testing.assert_array_equal(out.numpy(), 0)
        np.testing.assert_array_equal(tape.gradient(out, x).numpy(), 0)


def test_the_gradient_of_training_goes_to_the_drawn_member_alone():
    x = tf.Variable(np.random.default_rng(2).uniform(0.1, 1, (4, 12, 5)).astype("float32"))
    with tf.GradientTape() as tape:
        out = StochasticPooling(4, seed=3)(x, training=True)
    regions = x.numpy().reshape(4, 3, 4, 5)
    drawn = regions == out.numpy()[:, :, None, :]
    assert (drawn.sum(axis=2) == 1).all()
    np.testing.assert_array_equal(tape.gradient(out, x).numpy().reshape(regions.shape), drawn)


def test_the_gradient_of_inference_is_that_of_the_weighted_mean():
    # d/da_i of sum(a^2) / sum(a) is (2 a_i - out) / sum(a): for (1, 3), out = 2.5, that is -1/8 and 7/8.
    x = tf.Variable([[[1.0], [3.0]]])
    with tf.GradientTape() as tape:
        out = StochasticPooling(2)(x, training=False)
    np.testing.assert_allclose(tape.gradient(out, x).numpy().ravel(), [-1 / 8, 7 / 8], rtol=1e-6)


def test_the_same_seed_draws_the_same_also_after_loading(tmp_path):
    x = np.random.default_rng(0).uniform(size=(2, 300, 4)).astype("float32")
    inputs = keras.Input((300, 4))
    model = keras.Model(inputs, StochasticPooling(3, seed=5)(inputs))
    first = numpy(model(x, training=True))
    np.testing.assert_array_equal(first, numpy(StochasticPooling(3, seed=5)(x, training=True)))
    assert len(model.variables) == 1  # the state of the drawing, for checkpoints that resume exactly
    model.save(tmp_path / "m.keras")  # which, as with dropout, starts from the seed again
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(first, numpy(again(x, training=True)))


def pooled(kind, x, size):
    """Maxima, and the gradient of what is made of them."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = kind(size)(x)
        loss = tf.reduce_sum(tf.sin(3 * y))
    return numpy(y), numpy(tape.gradient(loss, x))


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("frames", [SHORTEST, SHORTEST + 1, SHORTEST + 3])
@pytest.mark.parametrize("steps", [None, 3])
def test_the_maximum_and_its_gradient_are_those_of_keras(size, frames, steps):
    """Also where several frames of a region are the greatest: the first of them has the gradient."""
    x = np.random.default_rng(0).normal(size=(2, frames, 3)).astype("float32")
    x = x if steps is None else np.round(x * steps) / steps
    for ours, theirs in zip(pooled(MaxPooling1D, x, size), pooled(keras.layers.MaxPooling1D, x, size), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("frames", [SHORTEST, SHORTEST - 1])
def test_the_gradient_is_compiled_on_long_maps(frames):
    x = tf.zeros((1, frames, 2))
    graph = tf.function(lambda x: tf.gradients(MaxPooling1D(3)(x), x)).get_concrete_function(x).graph
    assert ("MaxPoolGrad" in {op.type for op in graph.get_operations()}) is (frames < SHORTEST)


def test_max_pooling_survives_saving(tmp_path):
    source = keras.Input((SHORTEST, 2))
    keras.Model(source, MaxPooling1D(3)(source)).save(tmp_path / "pool.keras")
    assert isinstance(keras.models.load_model(tmp_path / "pool.keras").layers[1], MaxPooling1D)


def test_maps_of_many_lengths_raise_no_warning(caplog):
    """TensorFlow's, of a function that is traced again and again: analyses run on clips of any length."""
    for k in range(7):
        pooled(MaxPooling1D, np.zeros((1 + k % 2, SHORTEST + 3 * k, 1), "float32"), 3)
    assert not caplog.records
