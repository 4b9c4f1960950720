"""Embeddings for finding similar music: a network's last hidden layer, for windows and for files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from tagkit.evaluation import familiar
from tagkit.evaluation.sweep import Rows, Sweep
from tagkit.system import files

FORMAT = 1


class EmbeddingError(ValueError):
    """Embeddings cannot be made, read or compared; the message says what to do."""


@dataclass(frozen=True)
class Embedded:
    """One file's embedding.

    Attributes
    ----------
    path : Path or None
        None where samples were given.
    duration_s : float
    vector : ndarray of float32 (units,)
        The mean over the windows.
    window_vectors : ndarray of float32 (windows, units)
    starts_s : ndarray (windows,)
        Where each window begins, in seconds.
    remarks : tuple of str
        What is unusual about the sound, each to be read after the file's name.
    """

    path: Path | None
    duration_s: float
    vector: np.ndarray = field(repr=False)
    window_vectors: np.ndarray = field(repr=False)
    starts_s: np.ndarray = field(repr=False)
    remarks: tuple[str, ...] = ()


class Embedder(Sweep[Embedded]):
    """A trained network without its last layer."""

    @property
    def output(self) -> keras.KerasTensor:
        """The input of the last layer."""
        return familiar.embedding(self.model)

    @property
    def units(self) -> int:
        """Length of an embedding."""
        return self.output.shape[-1]

    def describe(self, rows: Rows) -> Embedded:
        """Average the vectors of one file's windows."""
        starts_s = rows.starts / self.sr
        return Embedded(rows.path, rows.samples / self.sr, rows.mean, rows.rows, starts_s, rows.remarks)

    def about(self) -> dict:
        """What makes embeddings comparable: the network, its weights and its windows."""
        return {
            "format": FORMAT,
            "run": str(self.run.root),
            "model": self.run.config.model,
            "weights": self.run.weights_sha256[:16],
            "sample_rate": self.sr,
            "window": self.window,
        }


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of a collection, to save and search.

    Attributes
    ----------
    paths : tuple of str (files,)
    vectors : ndarray of float32 (files, units)
    durations_s : ndarray (files,)
    window_vectors : ndarray of float32 (windows, units)
        Of all files, one after the other.
    window_file : ndarray of int (windows,)
        Index of the file that each window belongs to.
    window_starts_s : ndarray (windows,)
    about : dict
        As from `Embedder.about`.
    """

    paths: tuple[str, ...]
    vectors: np.ndarray = field(repr=False)
    durations_s: np.ndarray = field(repr=False)
    window_vectors: np.ndarray = field(repr=False)
    window_file: np.ndarray = field(repr=False)
    window_starts_s: np.ndarray = field(repr=False)
    about: dict

    @classmethod
    def collect(cls, embedded: Sequence[Embedded], about: dict) -> "Embeddings":
        """Join the embeddings of several files; EmbeddingError if there are none."""
        if not embedded:
            raise EmbeddingError("There is nothing to collect: no file could be embedded.")
        return cls(
            tuple(str(e.path) for e in embedded),
            np.stack([e.vector for e in embedded]),
            np.array([e.duration_s for e in embedded]),
            np.concatenate([e.window_vectors for e in embedded]),
            np.repeat(np.arange(len(embedded)), [len(e.starts_s) for e in embedded]),
            np.concatenate([e.starts_s for e in embedded]),
            about,
        )

    def save(self, path: str | Path) -> None:
        """Write one .npz file, which `numpy.load` opens without tagkit; it holds `about` as JSON."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        with files.atomic(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, paths=np.array(self.paths), about=json.dumps(self.about), **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "Embeddings":
        """Read what `save` wrote; EmbeddingError if it is something else."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                about = json.loads(str(stored["about"]))
                arrays = {name: stored[name] for name in _ARRAYS}
                return cls(tuple(map(str, stored["paths"])), about=about, **arrays)
        except (ValueError, KeyError, EOFError) as error:
            raise EmbeddingError(f"{path} holds no embeddings ({error}); make them with `tagkit embed`.") from error

    def check(self, embedder: Embedder) -> None:
        """EmbeddingError if an embedder's vectors do not compare with these, being of another network or weights."""
        ours = embedder.about()
        for key in ("weights", "window", "sample_rate"):
            if self.about[key] != ours[key]:
                raise EmbeddingError(
                    f"{self.about['run']} made these embeddings with {key} {self.about[key]}, but {ours['run']} has "
                    f"{ours[key]}; name the run that made them, or embed the collection again."
                )

    def nearest(self, vector: np.ndarray, n: int = 5) -> pd.DataFrame:
        """The files whose embeddings point in the most similar direction, seen from the collection's mean.

        Parameters
        ----------
        vector : ndarray (units,)
            From the same network.
        n : int

        Returns
        -------
        DataFrame
            path and similarity (cosine, -1 to 1), the most similar first.

        Raises
        ------
        EmbeddingError
            The vector has another number of units.
        """
        if np.shape(vector) != self.vectors.shape[1:]:
            raise EmbeddingError(
                f"The vector has shape {np.shape(vector)} but the collection {self.vectors.shape[1:]}: it comes from "
                "another network; embed both with the same run."
            )
        mean = self.vectors.mean(0)
        search = NearestNeighbors(n_neighbors=min(n, len(self.paths)), metric="cosine").fit(self.vectors - mean)
        distances, found = search.kneighbors([vector - mean])
        return pd.DataFrame({"path": [self.paths[k] for k in found[0]], "similarity": 1 - distances[0]})


_ARRAYS = ("vectors", "durations_s", "window_vectors", "window_file", "window_starts_s")
