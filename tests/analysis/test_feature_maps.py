"""Feature maps of whole clips: the network's own values, at any length, in bounded memory."""

import keras
import numpy as np
import pytest
from known_networks import small_tagger
from test_geometry import with_memory

from tagkit import graph
from tagkit.analysis import feature_maps


@pytest.fixture(scope="module")
def tagger() -> keras.Model:
    return small_tagger()


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).normal(size=samples)).astype(np.float32)


def test_at_the_networks_own_length_they_are_the_networks_values(tagger):
    y = noise(4096)
    maps = feature_maps.compute(tagger, y)
    every = keras.Model(tagger.inputs[0], [graph.stages(tagger)[name] for name in maps.maps])
    for name, own in zip(maps.maps, every(y[None, :, None], training=False), strict=True):
        np.testing.assert_allclose(maps.maps[name], own[0], atol=1e-6)
        assert maps.maps[name].dtype == np.float32
        assert len(maps.times(name)) == maps.stage(name).frames == len(maps.maps[name])


def test_rebuilding_leaves_the_network_alone(tagger):
    before = [w.copy() for w in tagger.get_weights()]
    names = [layer.name for layer in tagger.layers]
    rebuilt = feature_maps.trunk(tagger, 10_000, ["conv2"])
    rebuilt.layers[1].set_weights([np.zeros_like(w) for w in rebuilt.layers[1].get_weights()])
    assert all(np.array_equal(a, b) for a, b in zip(before, tagger.get_weights(), strict=True))
    assert names == [layer.name for layer in tagger.layers]


def test_blocks_give_what_one_pass_gives(tagger, monkeypatch):
    y = noise(72 * 700)
    whole = feature_maps.compute(tagger, y)
    monkeypatch.setattr(feature_maps, "ONE_PASS", 72 * 200)
    blocks = feature_maps.compute(tagger, y)
    for name in whole.maps:
        np.testing.assert_allclose(blocks.maps[name], whole.maps[name], atol=1e-5)


@pytest.mark.parametrize("samples", [72 * 200 + 24, 72 * 201, 72 * 210, 72 * 300, 72 * 300 + 72, 72 * 301, 72 * 400])
def test_no_frame_comes_twice_where_a_clip_ends_within_a_margin(tagger, monkeypatch, samples):
    y = noise(samples)
    whole = feature_maps.compute(tagger, y)
    monkeypatch.setattr(feature_maps, "ONE_PASS", 72 * 200)
    blocks = feature_maps.compute(tagger, y)
    assert {name: len(maps) for name, maps in blocks.maps.items()} == {n: len(maps) for n, maps in whole.maps.items()}


def test_stages_with_memory_are_computed_window_by_window():
    model = with_memory()
    y = noise(3000)
    maps = feature_maps.compute(model, y)
    assert {name: len(m) for name, m in maps.maps.items()} == {"conv1": 300, "conv2": 300, "gru1": 300}
    states = keras.Model(model.inputs[0], graph.stages(model)["gru1"])
    own = states(y[None, 1200:2400, None], training=False)[0]
    np.testing.assert_allclose(maps.maps["gru1"][120:240], own, atol=1e-6)


def test_streaming_is_lazy(tagger):
    asked = []

    def clips():
        for i in range(3):
            asked.append(i)
            yield noise(5000 + i, i)

    stream = feature_maps.stream(tagger, clips(), ["conv4"])
    assert list(next(stream).maps) == ["conv4"]
    assert asked == [0]
    assert [maps.y.size for maps in stream] == [5001, 5002]


def test_saved_with_geometry(tagger, tmp_path):
    maps = feature_maps.compute(tagger, noise(5000), ["conv1", "conv3"])
    again = feature_maps.FeatureMaps.load(maps.save(tmp_path / "maps.npz"))
    assert again.geometry == maps.geometry
    assert again.model == "small_tagger"
    assert all(np.array_equal(again.maps[name], maps.maps[name]) for name in maps.maps)
    assert np.array_equal(again.y, maps.y)


def test_mistakes_are_named(tagger):
    with pytest.raises(ValueError, match=r"no stage 'conv9'.*conv1, conv2"):
        feature_maps.compute(tagger, noise(5000), ["conv9"])
    with pytest.raises(ValueError, match="int16"):
        feature_maps.compute(tagger, np.zeros(5000, np.int16))
    with pytest.raises(ValueError, match=r"40 samples.*too short"):
        feature_maps.compute(tagger, noise(40))
    maps = feature_maps.compute(tagger, noise(5000), ["conv1"])
    with pytest.raises(IndexError, match="channels 0 to 7"):
        maps.channel("conv1", 8)
    with pytest.raises(KeyError, match="conv2"):
        maps.channel("conv2", 0)
