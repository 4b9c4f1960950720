import json
import shutil

import numpy as np
import pytest

from tagkit import cli
from tagkit.data.windows import window_starts
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
    embedded = embedder(y)
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
