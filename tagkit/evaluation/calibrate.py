"""How far a run's scores can be taken as probabilities: their reliability on the validation part of its split.

Of the tags that a calibrated network scores .8, 80 % are right. This is measured once for each run, on clips that it
was not trained on, and kept beside its weights (calibration.json).
"""

import os
from dataclasses import dataclass

import numpy as np

from tagkit.data.records import Records
from tagkit.graph.scorer import Scorer
from tagkit.system import files
from tagkit.training.runs import Run

FILE = "calibration.json"
BINS = 10
FEWEST_PAIRS = 10  # a share of fewer says nothing


@dataclass(frozen=True)
class Calibration:
    """Reliability of scores: the share of right tags in each tenth of the scale.

    Attributes
    ----------
    pairs : ndarray of int (bins,)
        Pairs of clip and tag whose score fell into each bin; bin k holds scores from k / bins to (k + 1) / bins.
    mean_score, share : ndarray (bins,)
        The mean score of a bin's pairs, and the share of them that are right; NaN in a bin without pairs.
    record : dict
        What it was measured on: data, split, part, clips, weights.
    """

    pairs: np.ndarray
    mean_score: np.ndarray
    share: np.ndarray
    record: dict

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap between score and share, over all pairs (Naeini et al. 2015)."""
        there = self.pairs > 0
        gaps = np.abs(self.mean_score - self.share)[there]
        return float((gaps * self.pairs[there]).sum() / self.pairs.sum())

    def shares(self, scores: np.ndarray) -> np.ndarray:
        """For each score, the share of right tags in its bin; NaN if the bin holds fewer than 10 pairs."""
        bins = _bins(scores, len(self.pairs))
        return np.where(self.pairs[bins] >= FEWEST_PAIRS, self.share[bins], np.nan)

    def to_dict(self) -> dict:
        """Plain JSON types."""
        edges = np.linspace(0, 1, len(self.pairs) + 1).round(4).tolist()
        columns = (each.tolist() for each in (self.pairs, self.mean_score, self.share))
        rows = [
            {"from": low, "to": high, "pairs": n, "mean_score": mean if n else None, "share": share if n else None}
            for low, high, n, mean, share in zip(edges[:-1], edges[1:], *columns, strict=True)
        ]
        return self.record | {"expected_calibration_error": self.error, "bins": rows}

    @classmethod
    def from_dict(cls, content: dict) -> "Calibration":
        """From `to_dict`."""
        rows = content["bins"]
        columns = (np.array([r[k] for r in rows], float) for k in ("mean_score", "share"))
        record = {k: v for k, v in content.items() if k not in ("bins", "expected_calibration_error")}
        return cls(np.array([r["pairs"] for r in rows]), *columns, record)

    def sentences(self) -> str:
        """Three short lines for people to read."""
        r, there = self.record, np.flatnonzero(self.pairs >= FEWEST_PAIRS)
        scores = "".join(f"{f'{k / BINS:.1f}-{(k + 1) / BINS:.1f}':>9}" for k in there)
        shares = "".join(f"{f'{round(100 * self.share[k])} %':>9}" for k in there)
        return (
            f"Calibration, on the {r['clips']} clips of the {r['part']} part (split {r['split']}, {r['dataset']}): "
            f"score and share of right tags are\n{self.error:.3f} apart on average. This holds for similar music.\n"
            f"  scored{scores}\n  right {shares}"
        )


def reliability(labels: np.ndarray, scores: np.ndarray, record: dict | None = None, bins: int = BINS) -> Calibration:
    """Measure the reliability of scores over all pairs of clip and tag.

    Parameters
    ----------
    labels : ndarray of bool (clips, tags)
    scores : ndarray (clips, tags)
        In [0, 1].
    record : dict, optional
    bins : int
        Equal parts of the scale.
    """
    chosen, right, value = _bins(scores, bins).ravel(), np.asarray(labels).ravel(), np.asarray(scores, float).ravel()
    pairs = np.bincount(chosen, minlength=bins)
    sums = (np.bincount(chosen, weights, minlength=bins) for weights in (value, right.astype(float)))
    means = [np.divide(s, pairs, out=np.full(bins, np.nan), where=pairs > 0) for s in sums]
    return Calibration(pairs, *means, dict(record or {}))


def of_run(run: Run, records: Records | None = None) -> Calibration:
    """The calibration stored beside a run's weights; if there is none, it is measured now and stored.

    Parameters
    ----------
    run : Run
    records : Records, optional
        Default: those that the run was trained on.

    Raises
    ------
    TrainingError
        The records are not those that the run was trained on.
    RecordsError
        There are no records.
    """
    weights = run.weights_sha256[:16]
    path = run.root / FILE
    if path.is_file():
        stored = Calibration.from_dict(files.read_json(path))
        if stored.record["weights"] == weights:
            return stored
    records = run.open_records(records)
    indices = records.part("valid", run.record["split"])
    split = run.record["split"] or records.catalog.default_split
    record = {"dataset": records.catalog.name, "data": records.fingerprint, "split": split}
    record |= {"part": "valid", "clips": len(indices), "weights": weights}
    tags = run.tags_in(records)
    scorer = Scorer(run.model(), exclusive=run.exclusive)
    scores = scorer(records, indices)[:, [run.tags.index(tag) for tag in tags]]
    measured = reliability(records.labels(indices, tags), scores, record)
    if os.access(run.root, os.W_OK):
        files.write_json(path, measured.to_dict())
    return measured


def _bins(scores: np.ndarray, bins: int) -> np.ndarray:
    return np.minimum((np.asarray(scores) * bins).astype(int), bins - 1)
