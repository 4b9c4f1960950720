import keras
import numpy as np
import pytest

from tagkit import graph
from tagkit.graph import windowing, zoo

WINDOWS = np.random.default_rng(0).normal(scale=0.1, size=(2, 12, 38_832, 1)).astype("float32")


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_variables)


# Trainable parameters of ds256ra: convolutions with bias and batch norm 128 (256 + 3), 32 (8 x 128 + 3) and
# 32 (8 x 32 + 3), then 7 frames x 32 -> dense 1000 -> dense 50. ds256rc stops before the dense layers.
TRUNK = 128 * (256 + 3) + 32 * (8 * 128 + 3) + 32 * (8 * 32 + 3)
RA = TRUNK + (7 * 32 + 1) * 1000 + 1001 * 50
RB = TRUNK + (7 * 32 + 1) * 1000 + 1001 * 200
MERGED = {
    ("ds256ra", "a"): RA + (12 * 50 + 1) * 600 + 601 * 600 + 601 * 50,
    ("ds256ra", "b"): RA + (12 * 50 + 1) * 600 + 601 * 600 + 601 * 50,
    ("ds256ra", "c"): RA + 32 * (3 * 12 + 3) + (48 * 32 + 1) * 1500 + 1501 * 50,
    ("ds256rb", "c"): RB + 32 * (3 * 12 + 3) + (198 * 32 + 1) * 1500 + 1501 * 50,
    ("ds256ra", "d"): RA + 50 * (3 * 50 + 3) + (10 * 50 + 1) * 500 + 501 * 50,
    ("ds256rc", "e"): TRUNK + 50 * (3 * 32 + 3) + (346 * 50 + 1) * 2500 + 2501 * 50,
    ("ds256rc", "f"): TRUNK + 32 * (3 * 32 + 3) + (346 * 32 + 1) * 1500 + 1501 * 50,
    ("ds256ra", "mean"): RA,
    ("ds256ra", "max"): RA,
    ("ds256ra", "attention"): RA + 1001 * 50,
    # dm16 has no dense layer but the last: 4 frames x 512; attention scores come from the same vector.
    ("dm16", "attention"): 1_137_074 + (4 * 512 + 1) * 50,
}


@pytest.mark.parametrize(("row", "method"), MERGED, ids=lambda value: value if isinstance(value, str) else "")
def test_every_head_has_its_size_trains_and_survives_saving(row, method, tmp_path):
    model = windowing.superpool(row, method)
    assert trainable(model) == MERGED[row, method]
    assert model.output_shape == (None, 50)
    before = model.get_layer("conv1_conv").kernel.numpy()
    model.compile(keras.optimizers.SGD(0.1), keras.losses.BinaryCrossentropy(from_logits=True), run_eagerly=True)
    assert np.isfinite(model.train_on_batch(WINDOWS, np.eye(50, dtype="float32")[:2]))
    assert not np.array_equal(before, model.get_layer("conv1_conv").kernel.numpy())
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(model(WINDOWS)), numpy(again(WINDOWS)), atol=1e-5)
    assert list(graph.stages(again)) == list(graph.stages(model))


def test_maps_are_joined_in_the_order_of_time():
    model = windowing.superpool("ds256rc", "e")
    joined = keras.Model(model.input, [model.get_layer("conv3_elu").output, model.get_layer("merge1_join").output])
    maps, together = map(numpy, joined(WINDOWS))
    assert together.shape == (2, 348, 32)
    np.testing.assert_array_equal(together, maps.reshape(2, 348, 32))


@pytest.mark.parametrize("method", ["mean", "max", "attention"])
def test_aggregation_by_definition_on_the_windows_of_the_row_alone(method):
    # The same seed gives the same window network; attention starts as a plain mean (scores of zero).
    alone, merged = zoo.build("ds256ra", seed=3), windowing.superpool("ds256ra", method, windows=None, seed=3)
    clips = WINDOWS[:, :5]
    logits = numpy(alone(clips.reshape(-1, 38_832, 1))).reshape(2, 5, 50)
    out = numpy(merged(clips))
    if method == "max":
        np.testing.assert_allclose(out, logits.max(axis=1), atol=1e-5)
    else:
        np.testing.assert_allclose(1 / (1 + np.exp(-out)), (1 / (1 + np.exp(-logits))).mean(axis=1), atol=1e-5)


def test_attention_weighs_each_tags_windows_by_softmax():
    rng = np.random.default_rng(1)
    logits, scores = rng.normal(size=(2, 3, 7, 4)).astype("float32")
    weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = (weights / (1 + np.exp(-logits))).sum(axis=1)
    out = numpy(windowing.MeanProbability()([logits, scores]))
    np.testing.assert_allclose(1 / (1 + np.exp(-out)), expected, atol=1e-5)


def test_mean_probability_is_finite_where_probabilities_round_to_one():
    out = numpy(windowing.MeanProbability()(np.array([[[200.0], [180.0]], [[-300.0], [-300.0]]], "float32")))
    np.testing.assert_allclose(out[1], -300, rtol=1e-5)
    np.testing.assert_allclose(out[0], 180 + np.log(2), rtol=1e-5)  # 1 - mean p = (e^-200 + e^-180) / 2


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match=r"No super-pooling is called 'split'"):
        windowing.superpool("dm16", "split")
    with pytest.raises(ValueError, match="say how many windows"):
        windowing.superpool("dm16", "c", windows=None)
    with pytest.raises(ValueError, match="logmel ends in"):
        windowing.superpool("logmel", "e")
