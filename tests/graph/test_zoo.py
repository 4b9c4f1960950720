import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tagkit import graph
from tagkit.graph import fast, zoo
from tagkit.graph.specs import Bank, Conv, Head, Row, Standardize

from .sizes import FRAMES, PARAMETERS


def waveforms(model, seed=0):
    shape = (2, *model.input_shape[1:])
    return np.random.default_rng(seed).normal(scale=0.1, size=shape).astype("float32")


def frames(model):
    """Frames of every stage that has time, in order."""
    return [out.shape[1] for out in graph.stages(model).values() if len(out.shape) > 2]


def test_every_row_has_its_expected_size_here():
    assert set(zoo.ROWS) == set(PARAMETERS) == set(FRAMES)


@pytest.mark.parametrize("name", zoo.ROWS)
def test_row_is_built_as_drawn_trains_survives_saving_and_can_be_tapped(name, tmp_path):
    """One test for all of it, since building a network of 20 million parameters is what takes the time."""
    model = zoo.build(name)
    assert model.name == name
    assert sum(int(np.prod(w.shape)) for w in model.trainable_variables) == PARAMETERS[name]
    assert frames(model) == FRAMES[name]

    y = waveforms(model)
    first = next(w for w in model.trainable_variables if w.path.endswith("kernel"))
    before = first.numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(np.eye(50, dtype="f4")[:2], model(y, training=True))
        )
    gradients = tape.gradient(loss, model.trainable_variables)
    keras.optimizers.SGD(0.1).apply(gradients, model.trainable_variables)
    assert np.isfinite(loss)
    assert all(np.isfinite(g).all() for g in gradients)
    assert not np.array_equal(before, first.numpy())

    model.save_weights(tmp_path / "m.weights.h5")
    again = keras.Model.from_config(json.loads(json.dumps(model.get_config())))
    again.load_weights(tmp_path / "m.weights.h5")
    taps = [keras.Model(m.input, graph.stages(m)) for m in (model, again)]
    outputs, reloaded = (tap(y[:1], training=False) for tap in taps)
    assert list(outputs) == list(reloaded)
    for stage in outputs:
        np.testing.assert_allclose(outputs[stage], reloaded[stage], atol=1e-5, rtol=1e-4, err_msg=stage)


@pytest.mark.parametrize("name", ["ds256ra", "dm16_relu", "res13", "mul16a"])
def test_pooling_ahead_of_the_activation_changes_nothing(name):
    """The maximum of activations that rise is the activation of the maximum."""

    def step():
        model = zoo.build(name)
        with tf.GradientTape() as tape:
            logits = model(waveforms(model), training=True)
        gradients = tape.gradient(logits, model.trainable_variables)
        return model.layers, [np.asarray(a) for a in (logits, *gradients)]

    first, ours = step()
    with fast.without("pooling_first"):
        last, theirs = step()
    assert [layer.name for layer in first] != [layer.name for layer in last]
    files = [[layer.name for layer in layers if layer.weights] for layers in (first, last)]
    assert files[0] == files[1], "weights are filed in the order of the layers"
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize("name", ["dm16_stochastic", "crnn_dm16", "logmel", "mul16c", "ds256fa"])
def test_the_keras_file_format_needs_no_code_of_the_callers(name, tmp_path):
    model = zoo.build(name, n_tags=5)
    y = waveforms(model)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(model(y, training=False), again(y, training=False), atol=1e-5)
    assert frames(again) == FRAMES[name]


def test_rows_survive_json():
    for row in zoo.ROWS.values():
        assert Row.from_dict(json.loads(json.dumps(row.to_dict()))) == row


def test_a_seed_gives_the_same_weights_and_another_seed_others():
    def kernels(**options):
        return [
            w.numpy() for w in zoo.build("crnn_dm16", n_tags=5, **options).trainable_variables if "kernel" in w.path
        ]

    one, same, synchronized, other = (
        kernels(seed=1),
        kernels(seed=1),
        kernels(seed=1, synchronized=True),
        kernels(seed=2),
    )
    for a, b, c, d in zip(one, same, synchronized, other, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
        assert not np.array_equal(a, d)


def test_layers_of_the_same_shape_do_not_share_their_weights():
    model = zoo.build("samplecnn", n_tags=5)
    a, b = (model.get_layer(f"{stage}_conv").kernel.numpy() for stage in ("conv2", "conv3"))
    assert a.shape == b.shape
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.05
    back, forth = (w.numpy() for w in zoo.build("crnn_bi", 5).get_layer("gru2_gru").trainable_variables[::3])
    assert back.shape == forth.shape
    assert abs(np.corrcoef(back.ravel(), forth.ravel())[0, 1]) < 0.05


def test_synchronized_batch_norm_changes_nothing_on_one_replica():
    y = waveforms(zoo.build("ds256ra", 5))
    plain, synchronized = (zoo.build("ds256ra", 5, synchronized=s)(y, training=True) for s in (False, True))
    np.testing.assert_allclose(plain, synchronized, rtol=1e-5, atol=1e-5)


def test_describe_counts_by_hand():
    description = zoo.describe("ds256ra")
    assert json.loads(json.dumps(description)) == description
    # frames x taps x channels in x channels out, then the dense layers
    macs = 151 * 256 * 128 + (151 - 7) * 8 * 128 * 32 + (36 - 7) * 8 * 32 * 32 + 224 * 1000 + 1000 * 50
    assert description == {
        "name": "ds256ra",
        "input_samples": 38_832,
        "parameters": 349_354,
        "macs": macs,
        "stages": [
            {"name": "conv1", "shape": [151, 128]},
            {"name": "conv2", "shape": [36, 32]},
            {"name": "conv3", "shape": [7, 32]},
            {"name": "dense1", "shape": [1000]},
            {"name": "logits", "shape": [50]},
        ],
        "source": zoo.ROWS["ds256ra"].source,
    }


def test_describe_counts_recurrent_layers_by_frame():
    dm16 = 2427 * 16 * 64 + 2427 * 4 * 64 * 64 + 606 * 4 * 64 * 128 + 151 * 4 * 128 * 128
    assert zoo.describe("crnn_dm16")["macs"] == dm16 + 2 * 37 * 3 * (128 * 128 + 128 * 128) + 128 * 50


def test_stochastic_rows_differ_in_pooling_and_activation_alone():
    layers = {type(layer).__name__ for layer in zoo.build("dm16_stochastic").layers}
    assert "StochasticPooling" in layers
    assert "MaxPooling1D" not in layers
    assert zoo.ROWS["dm16_stochastic"].activation == "relu"
    branches = zoo.with_pooling(zoo.ROWS["mul16a"], "stochastic", "x", "test").stages[1].branches
    assert [branch[0].pooling for branch in branches] == ["stochastic", "mean"]


def test_another_input_length_and_what_is_too_short():
    model = zoo.build("dm16", n_tags=7, samples=80_000)
    assert frames(model) == [5000, 1250, 312, 78, 39, 19, 9]
    with pytest.raises(ValueError, match=r"mkc_f cannot be built for 38,832 samples \(it is drawn for 465,984\)"):
        zoo.build("mkc_f", samples=38_832)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="no model 'dm32'"):
        zoo.build("dm32")
    with pytest.raises(ValueError, match="Unknown table 'Convolution'"):
        Row.from_dict({"table": "Convolution"})
    with pytest.raises(ValueError, match="Conv has no field 'size'"):
        Row.from_dict({"table": "Conv", "size": 3})
    with pytest.raises(ValueError, match="no pooling is called 'median'"):
        zoo.build(Row("x", 1000, (Conv(4, 4, pool=4, pooling="median"),), Head(), "test"))


def test_a_row_says_whether_it_reads_the_waveform_and_a_network_at_which_rate():
    reads = {name: row.reads_waveform for name, row in zoo.ROWS.items()}
    assert reads["dm16"] and not reads["logmel"]
    assert {zoo.ROWS[name].frontend for name, raw in reads.items() if raw and zoo.ROWS[name].frontend} == {
        Bank(),
        Standardize(),
    }
    assert graph.sampling_rate(zoo.build("dm16")) == 16_000
    with pytest.raises(ValueError, match="elsewhere does not say its sampling rate"):
        graph.sampling_rate(keras.Sequential(name="elsewhere"))
