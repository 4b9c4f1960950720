import dataclasses
import json
import shutil

import numpy as np
import pytest

from tagkit import cli
from tagkit.data.windows import window_starts
from tagkit.evaluation import neighbours
from tagkit.evaluation.embed import Embedder, EmbeddingError, Embeddings


@pytest.fixture(scope="module")
def embedder(run) -> Embedder:
    return Embedder(run, batch_size=5)


@pytest.fixture(scope="module")
def collection(embedder, tone_catalog) -> Embeddings:
    ids = [i for i in tone_catalog.clips.index if i != "7"]
    embedded = list(embedder.each(tone_catalog.root / tone_catalog.clips.at[i, "path"] for i in ids))
    return Embeddings.collect(embedded, embedder.about())


def test_the_last_layer_makes_the_scores_of_the_embedding(embedder, run, tone_records):
    y = tone_records.read(0)
    embedded = embedder(y, sr=tone_records.sr)
    kernel, bias = run.model().get_layer("logits_dense").get_weights()
    starts = window_starts(len(y), embedder.window)
    cuts = np.stack([y[s : s + embedder.window] for s in starts]) / 32_768
    logits = run.model()(cuts[..., None].astype(np.float32), training=False).numpy()
    np.testing.assert_allclose(embedded.window_vectors @ kernel + bias, logits, atol=1e-4)
    np.testing.assert_allclose(embedded.vector, embedded.window_vectors.mean(0), atol=1e-5)
    assert embedded.window_vectors.shape == (len(starts), embedder.units)


def test_neighbours_have_the_same_tone(collection, tone_catalog):
    by_path = {str(tone_catalog.root / path): i for i, path in tone_catalog.clips["path"].items()}
    same = 0
    for k, path in enumerate(collection.paths):
        found = collection.nearest(collection.vectors[k], n=4)
        assert found["path"][0] == path and found["similarity"][0] == pytest.approx(1, abs=1e-5)
        assert (np.diff(found["similarity"]) <= 1e-9).all()
        tones = [tone_catalog.labels.loc[by_path[p]].to_numpy().argmax() for p in found["path"]]
        same += sum(tone == tones[0] for tone in tones[1:])
    assert same / (3 * len(collection.paths)) > 0.6  # a third by chance


def test_what_is_saved_is_read_again_and_needs_no_tagkit(collection, tmp_path):
    collection.save(tmp_path / "e.npz")
    again = Embeddings.load(tmp_path / "e.npz")
    assert again.paths == collection.paths and again.about == collection.about
    np.testing.assert_array_equal(again.vectors, collection.vectors)
    with np.load(tmp_path / "e.npz", allow_pickle=False) as stored:
        assert json.loads(str(stored["about"]))["model"] == "ds256ra"
        means = [stored["window_vectors"][stored["window_file"] == k].mean(0) for k in range(len(collection.paths))]
        np.testing.assert_allclose(means, stored["vectors"], atol=1e-5)


def test_what_is_no_embedding_says_so(collection, tmp_path):
    (tmp_path / "text.npz").write_text("text")
    np.savez(tmp_path / "other.npz", a=1)
    for name in ("text.npz", "other.npz"):
        with pytest.raises(EmbeddingError, match=f"{name} holds no embeddings"):
            Embeddings.load(tmp_path / name)
    with pytest.raises(EmbeddingError, match="another network"):
        collection.nearest(np.zeros(3))


def test_the_command_embeds_a_folder_and_names_what_failed(run, tone_catalog, tmp_path, capsys):
    music = tmp_path / "music"
    music.mkdir()
    for i in ("0", "1"):
        shutil.copy(tone_catalog.root / tone_catalog.clips.at[i, "path"], music)
    command = ["embed", str(music), "--run", str(run.root), "--out", str(tmp_path / "e.npz")]
    assert cli.main(command) == 0
    (music / "bad.mp3").write_bytes(b"")
    assert cli.main(command) == 3
    assert "bad.mp3 is empty" in capsys.readouterr().err
    assert len(Embeddings.load(tmp_path / "e.npz").paths) == 2
    assert cli.main(["embed", str(music / "bad.mp3"), "--run", str(run.root), "--out", str(tmp_path / "n.npz")]) == 1
    assert not (tmp_path / "n.npz").exists()


def test_similar_finds_the_same_tone_and_refuses_another_network(collection, run, tone_catalog, tmp_path, capsys):
    collection.save(tmp_path / "e.npz")
    song = tone_catalog.root / tone_catalog.clips.at["30", "path"]
    assert cli.main(["similar", str(song), "--in", str(tmp_path / "e.npz"), "--top", "3"]) == 0
    first, *found = capsys.readouterr().out.splitlines()
    assert first == str(song) and len(found) == 3
    paths = [line.split(maxsplit=1)[1] for line in found]
    assert str(song) not in paths
    assert paths == [p for p in collection.nearest(_vector(collection, song), 4)["path"] if p != str(song)]
    other = dataclasses.replace(collection, about=collection.about | {"weights": "0" * 16})
    other.save(tmp_path / "other.npz")
    assert cli.main(["similar", str(song), "--in", str(tmp_path / "other.npz")]) == 1
    assert "name the run that made them" in capsys.readouterr().err


def _vector(collection, path):
    return collection.vectors[collection.paths.index(str(path))]


def test_precision_of_neighbours_by_brute_force_and_at_chance():
    rng = np.random.default_rng(0)
    artists = np.repeat(np.arange(20), 3).astype(str)
    labels = rng.random((60, 4)) < 0.35
    told = neighbours.measure(labels + rng.normal(0, 0.2, (60, 4)), labels, "abcd", artists, neighbours=3)
    blind = neighbours.measure(rng.normal(size=(60, 4)), labels, "abcd", artists, neighbours=3)
    assert told.precision.value > 0.8 and told.p < 0.01 and told.precision.low > told.chance
    assert blind.precision.low < blind.chance < blind.precision.high and blind.p > 0.02
    assert told.chance == pytest.approx(labels.mean(), abs=0.03)


def test_neighbours_are_by_other_artists():
    """Vectors that name the artist alone: each clip's own artist is nearest, and may not be counted."""
    artists = np.repeat(np.arange(12), 4)
    vectors = np.eye(12)[artists] + np.random.default_rng(1).normal(0, 0.01, (48, 12))
    labels = np.stack([artists % 2 == 0, artists % 2 == 1], axis=1)  # of the artist, which no other shares by nature
    found = neighbours.measure(vectors, labels, "ab", artists.astype(str), neighbours=3)
    by_hand = []
    unit = vectors - vectors.mean(0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    for k in range(48):
        order = [j for j in np.argsort(-(unit @ unit[k])) if artists[j] != artists[k]][:3]
        by_hand.append(np.mean([labels[j].tolist() == labels[k].tolist() for j in order]))
    assert found.precision.value == pytest.approx(np.mean(by_hand), abs=1e-12)
    assert abs(found.precision.value - 0.5) < 0.2  # and not 1
    with pytest.raises(EmbeddingError, match="fewer neighbours"):
        neighbours.measure(vectors, labels, "ab", artists.astype(str), neighbours=45)


def test_neighbours_of_a_run(run, capsys):
    assert cli.main(["neighbours", str(run.root), "--part", "train", "--neighbours", "3"]) == 0
    assert "nearest clips by others" in capsys.readouterr().out
