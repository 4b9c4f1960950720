"""A map of a collection with a player: what sounds alike to a network lies together, and a click plays it."""

import html
import json
import os
from pathlib import Path
from urllib.parse import quote

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from tagkit.evaluation.embed import EmbeddingError, Embeddings
from tagkit.listening.html import fill, in_script, static
from tagkit.system.paths import printable

NEIGHBOURS = 5
FEWEST, MOST = 3, 20_000
FEWEST_TSNE = 30  # fewer have too few neighbours each for t-SNE
DIMENSIONS = 50  # t-SNE works on the first principal components


def places(vectors: np.ndarray) -> np.ndarray:
    """Where files lie on the map: (files, 2), from 0 to 1, the same for the same vectors.

    t-SNE of the first 50 principal components (van der Maaten and Hinton, JMLR 9, 2008); for fewer than 30 files the
    first two principal components.

    Parameters
    ----------
    vectors : ndarray (files, units)
    """
    few = len(vectors) < FEWEST_TSNE
    flat = PCA(2 if few else min(DIMENSIONS, *vectors.shape), random_state=0).fit_transform(vectors)
    if not few:
        flat = TSNE(perplexity=min(30, (len(vectors) - 1) / 3), init="pca", random_state=0).fit_transform(flat)
    flat = flat - flat.min(0)
    return flat / max(float(flat.max()), 1e-12)


def kept(nearest: np.ndarray, flat: np.ndarray) -> float:
    """The share of the nearest files that are also among as many nearest ones on the map, in [0, 1].

    Parameters
    ----------
    nearest : ndarray of int (files, neighbours)
    flat : ndarray (files, 2)
    """
    count, found = nearest.shape[1], 0
    for k, near in enumerate(nearest):
        distances = np.square(flat - flat[k]).sum(1)
        distances[k] = np.inf
        found += len(np.intersect1d(np.argsort(distances, kind="stable")[:count], near))
    return found / nearest.size


def map_data(embeddings: Embeddings, folder: Path) -> dict:
    """What map.js draws, as plain JSON types; sounds are named relative to the folder of the page.

    Raises
    ------
    EmbeddingError
        There are too few files for a map, or more than a page can draw.
    """
    count = len(embeddings.paths)
    if not FEWEST <= count <= MOST:
        raise EmbeddingError(
            f"A map shows {FEWEST} to {MOST:,} files, not {count:,}; embed more files, or a part of them."
        )
    flat = places(embeddings.vectors)
    unit = embeddings.vectors - embeddings.vectors.mean(0)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    neighbours = min(NEIGHBOURS, count - 1)
    nearest, similarity = np.zeros((count, neighbours), int), np.zeros((count, neighbours))
    for k in range(count):
        cosine = unit @ unit[k]
        cosine[k] = -np.inf
        nearest[k] = np.argsort(-cosine, kind="stable")[:neighbours]
        similarity[k] = cosine[nearest[k]]
    return {
        "names": [printable(Path(path).name) for path in embeddings.paths],
        "sounds": [_address(path, folder) for path in embeddings.paths],
        "places": np.round(flat, 4).tolist(),
        "nearest": nearest.tolist(),
        "similarity": np.round(similarity, 3).tolist(),
        "kept": kept(nearest, flat),
        "chance": neighbours / (count - 1),
    }


def map_page(embeddings: Embeddings, folder: Path, title: str) -> str:
    """The whole page as text: a file of its own, which plays the sound files from where they lie.

    Parameters
    ----------
    folder : Path
        Where the page will lie.
    title : str

    Raises
    ------
    EmbeddingError
        See `map_data`.
    """
    data = map_data(embeddings, folder)
    how = "t-SNE" if len(data["names"]) >= FEWEST_TSNE else "two principal components"
    facts = (
        f"{len(data['names'])} files, embedded by {embeddings.about['model']} and laid out by {how}. Of the files that "
        f"are nearest in the embedding, {data['kept']:.0%} are also nearest on the map (by chance "
        f"{data['chance']:.0%}): trust the list more than the picture, and distances between groups least."
    )
    return fill(
        "map.html",
        title=html.escape(title),
        facts=html.escape(facts),
        style=static("map.css"),
        data=in_script(json.dumps(data, allow_nan=False)),
        script=static("map.js"),
    )


def _address(path: str, folder: Path) -> str:
    """The address of a sound file as seen from the page; an absolute one where the page lies on another drive."""
    there = Path(path).absolute()
    try:
        return quote(os.fsencode(Path(os.path.relpath(there, folder.absolute())).as_posix()))
    except ValueError:
        return there.as_uri()
