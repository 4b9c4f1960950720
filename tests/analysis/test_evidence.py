import keras
import numpy as np
import pytest
from keras import layers
from known_networks import sampled

from tagkit.analysis.evidence import evidence
from tagkit.graph import zoo


def linear(window=64, channels=3, tags=2):
    """A convolution, a mean over time and a dense layer: linear from end to end."""
    x = keras.Input((window, 1), name="waveform")
    maps = layers.Conv1D(channels, 4, strides=4, use_bias=False, name="conv1_conv")(x)
    pooled = layers.GlobalAveragePooling1D(name="logits_mean")(maps)
    logits = layers.Dense(tags, bias_initializer="ones", name="logits_dense")(pooled)
    return sampled(x, logits, name="linear")


def test_in_a_linear_network_the_channels_add_up_to_the_logit():
    model = linear()
    y = np.random.default_rng(0).normal(0, 0.3, 64 * 3).astype(np.float32)
    logits = model(y.reshape(3, 64, 1)).numpy().mean(0)
    for tag in (0, 1):
        assert evidence(model, y, tag)["conv1"].sum() == pytest.approx(logits[tag] - 1, abs=1e-5)


def test_a_channel_that_cannot_reach_the_tag_says_nothing():
    model = linear()
    kernel, bias = model.get_layer("logits_dense").get_weights()
    kernel[1, 0] = 0
    model.get_layer("logits_dense").set_weights([kernel, bias])
    found = evidence(model, np.ones(64, np.float32), 0)["conv1"]
    assert found[1] == 0 and (found[[0, 2]] != 0).all()


def test_silencing_what_speaks_for_a_tag_lowers_its_logit():
    """The measure against the thing itself: each channel's map set to zero, one at a time."""
    model = zoo.build("ds256ra", n_tags=4, seed=3)
    y = np.random.default_rng(1).normal(0, 0.1, model.input_shape[1]).astype(np.float32)
    said = evidence(model, y, 2, ["conv3"])["conv3"]
    (head, tail) = _split(model, "conv3")
    maps = head(y[None, :, None]).numpy()
    silenced = np.repeat(maps, maps.shape[-1], axis=0)
    for channel in range(maps.shape[-1]):
        silenced[channel, ..., channel] = 0
    lost = tail(maps).numpy()[0, 2] - tail(silenced).numpy()[:, 2]
    assert np.corrcoef(said, lost)[0, 1] > 0.7
    assert lost[said.argmax()] > np.quantile(lost, 0.8)


@pytest.mark.parametrize("name", ["logmel", "musicnn"])
def test_a_spectrogram_networks_bands_are_its_channels(name):
    model = zoo.build(name, n_tags=2)
    found = evidence(model, np.random.default_rng(0).normal(0, 0.1, model.input_shape[1]).astype(np.float32), 0)
    assert len(found["logmel"]) == 96
    assert all(np.isfinite(values).all() for values in found.values())


def _split(model, stage):
    from tagkit.graph import stages

    middle = stages(model)[stage]
    return keras.Model(model.inputs[0], middle), keras.Model(middle, model.outputs[0])
