"""The map of a collection: groups stay together, addresses lead to the files, and the page says how true it is."""

import json
from urllib.parse import unquote

import numpy as np
import pytest

from tagkit.evaluation.embed import EmbeddingError, Embeddings
from tagkit.listening import embedding_map

GROUPS = 3


def collection(root, count, units=16):
    """Files in three groups, whose vectors point three ways."""
    rng = np.random.default_rng(0)
    vectors = np.eye(units)[np.arange(count) % GROUPS] + rng.normal(0, 0.05, (count, units))
    paths = tuple(str(root / "music" / f"{k % GROUPS} 50% #{k} Lied?.wav") for k in range(count))
    return Embeddings(
        paths, vectors.astype(np.float32), np.ones(count), vectors, np.arange(count), np.zeros(count), {"model": "dm16"}
    )


@pytest.mark.parametrize("count", [9, 60])
def test_what_is_alike_lies_together_and_is_listed(tmp_path, count):
    data = embedding_map.map_data(collection(tmp_path, count), tmp_path / "pages")
    group, places = np.arange(count) % GROUPS, np.array(data["places"])
    assert places.min() >= 0 and places.max() == 1
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(count)
    assert (group[distances.argmin(1)] == group).all()
    listed = min(embedding_map.NEIGHBOURS, count // GROUPS - 1)
    assert (group[np.array(data["nearest"])[:, :listed]] == group[:, None]).all()
    assert all(k not in near for k, near in enumerate(data["nearest"]))
    assert data["kept"] > data["chance"]
    again = embedding_map.map_data(collection(tmp_path, count), tmp_path / "pages")
    assert again == data


def test_similarities_are_those_of_the_search(tmp_path):
    found = collection(tmp_path, 12)
    data = embedding_map.map_data(found, tmp_path)
    table = found.nearest(found.vectors[4], 6)[1:]
    assert [found.paths[k] for k in data["nearest"][4]] == list(table["path"])
    np.testing.assert_allclose(data["similarity"][4], table["similarity"], atol=1e-3)


def test_addresses_lead_from_the_page_to_the_files(tmp_path):
    found = collection(tmp_path, 4)
    data = embedding_map.map_data(found, tmp_path / "pages")
    assert data["sounds"][1] == "../music/1%2050%25%20%231%20Lied%3F.wav"
    assert all(
        (tmp_path / "pages" / unquote(sound)).resolve() == tmp_path / "music" / name
        for sound, name in zip(data["sounds"], data["names"], strict=True)
    )


def test_the_share_that_is_kept_counts_pairs():
    flat = np.array([[0, 0], [0.1, 0], [1, 0], [1.1, 0]])
    assert embedding_map.kept(np.array([[1], [0], [3], [0]]), flat) == 3 / 4


def test_names_cannot_end_the_script_and_too_few_files_are_refused(tmp_path):
    found = collection(tmp_path, 5)
    evil = Embeddings(
        ("</script><b>", *found.paths[1:]), found.vectors, found.durations_s, *[found.window_vectors] * 3, found.about
    )
    page = embedding_map.map_page(evil, tmp_path, "Five <b>files</b>")
    assert "</script><b>" not in page and "Five &lt;b&gt;files" in page
    content = page.split('id="data">')[1].split("</script>")[0]
    assert json.loads(content.replace("<\\/", "</"))["names"][0] == "script><b>"
    with pytest.raises(EmbeddingError, match="A map shows 3 to 20,000 files, not 2"):
        embedding_map.map_data(collection(tmp_path, 2), tmp_path)
