"""How far a sound lies from what a network was trained on, as the network hears it.

Scores, calibration and tags hold for music like the training clips. A sound whose embedding lies farther from all of
them than held-out clips do is something else, whatever the scores say. This is measured once for each run and kept
beside its weights (familiar.npz); docs/trust.md states how often the warning is right.
"""

import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
from sklearn.neighbors import NearestNeighbors

from tagkit import audio
from tagkit.data.records import Records
from tagkit.graph.scorer import Scorer
from tagkit.system import files
from tagkit.training.runs import Run, TrainingError

FILE, FORMAT = "familiar.npz", 1
MOST_CLIPS = 1000  # of each part
ALPHA = 0.05  # of held-out clips at most are called unlike the training clips
FEWEST_HELD_OUT = 19  # 1 / (1 + 19) = 0.05


@dataclass(frozen=True)
class Familiar:
    """What a network heard in training.

    Attributes
    ----------
    vectors : ndarray of float32 (clips, units)
        Embeddings of training clips: the input of the last layer, the mean over a clip's windows.
    distances : ndarray (held-out clips,)
        From clips of the validation part to the nearest training clip, rising.
    levels_db : ndarray (2,)
        RMS levels of the softest and the loudest training clip, dBFS.
    record : dict
        Of what: dataset, split, data, weights.
    """

    vectors: np.ndarray = field(repr=False)
    distances: np.ndarray = field(repr=False)
    levels_db: np.ndarray
    record: dict

    def likeness(self, vector: np.ndarray) -> float:
        """The share of held-out clips, and this one, that lie as far from the training clips or farther, in (0, 1].

        Of music like the training clips it is at most .05 for one clip in twenty.

        Parameters
        ----------
        vector : ndarray (units,)
        """
        distance = nearest(self.vectors, vector[None])[0]
        farther = len(self.distances) - np.searchsorted(self.distances, distance)
        return float(1 + farther) / (1 + len(self.distances))

    def remark(self, likeness: float, level_db: float) -> str | None:
        """What to say of a sound that is unlike the training clips, to be read after its name; None of others."""
        if likeness > ALPHA:
            return None
        low, high = self.levels_db
        level = ""
        if not low <= level_db <= high:
            level = f" ({'louder' if level_db > high else 'softer'} than all of them, at {level_db:.0f} dBFS)"
        return (
            f"is unlike the {len(self.vectors)} clips that the network was trained on{level}, farther from them than "
            f"95 of 100 held-out clips: do not rely on its tags"
        )

    @property
    def false_alarms(self) -> float:
        """The share of clips like the training clips that come with the remark."""
        return int(ALPHA * (1 + len(self.distances))) / (1 + len(self.distances))

    def save(self, path: Path) -> None:
        """Write one .npz file."""
        arrays = {"vectors": self.vectors, "distances": self.distances, "levels_db": self.levels_db}
        with files.atomic(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, about=json.dumps(self.record), **arrays)


def embedding(model: keras.Model) -> keras.KerasTensor:
    """What a network makes of a window before its last layer: (batch, units)."""
    return model.get_layer("logits_dense").input


def stored(run: Run) -> Familiar | None:
    """What is kept beside a run's weights; None where nothing is, or it is of other weights.

    Raises
    ------
    TrainingError
        The file is damaged.
    """
    path = run.root / FILE
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as content:
            record = json.loads(str(content["about"]))
            found = Familiar(content["vectors"], content["distances"], content["levels_db"], record)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} is damaged ({error}); remove it, and it will be made anew.") from error
    current = record.get("format") == FORMAT and record["weights"] == run.weights_sha256[:16]
    current &= record.get("decoding") == audio.DECODING
    return found if current else None


def of_run(run: Run, records: Records | None = None) -> Familiar:
    """What is stored beside a run's weights; if there is nothing, it is measured now and stored.

    Parameters
    ----------
    run : Run
    records : Records, optional
        Default: those that the run was trained on.

    Raises
    ------
    TrainingError
        The records are not those that the run was trained on, were decoded by another version, or hold too few
        validation clips.
    RecordsError
        There are no records.
    """
    if found := stored(run):
        return found
    if run.imported:
        raise TrainingError(f"{run.root} was imported without the clips that it was trained on.")
    records = run.open_records(records)
    if records.decoding != audio.DECODING:
        raise TrainingError(
            f"{records.root} holds clips as an older tagkit decoded them (version {records.decoding or 'unknown'}, not "
            f"{audio.DECODING}), unlike files as they are read now; prepare it and train again."
        )
    split = run.record["split"] or records.catalog.default_split
    train, valid = (_some(records.part(part, split)) for part in ("train", "valid"))
    if len(valid) < FEWEST_HELD_OUT:
        raise TrainingError(
            f"{records.root} has {len(valid)} validation clips in its split {split!r}, and {FEWEST_HELD_OUT} are "
            "needed to tell."
        )
    model = run.model()
    scorer = Scorer(model, output=embedding(model))
    vectors = scorer(records, train)
    distances = np.sort(nearest(vectors, scorer(records, valid)))
    levels = records.levels_db(train)
    record = {"format": FORMAT, "dataset": records.catalog.name, "split": split, "data": records.fingerprint}
    record |= {"weights": run.weights_sha256[:16], "decoding": records.decoding}
    found = Familiar(vectors, distances, np.array([levels.min(), levels.max()]), record)
    if os.access(run.root, os.W_OK):
        found.save(run.root / FILE)
    return found


def _some(indices: np.ndarray) -> np.ndarray:
    """At most `MOST_CLIPS` of them, evenly spread."""
    chosen = np.linspace(0, len(indices) - 1, min(len(indices), MOST_CLIPS)).round().astype(int)
    return indices[chosen]


def nearest(vectors: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Euclidean distance of each of the others to the nearest of the vectors."""
    return NearestNeighbors(n_neighbors=1).fit(vectors).kneighbors(others)[0][:, 0]
