"""Predictions for clips as a table that any tool can write, and their scores: whoever made them is scored alike.

The table has a row for each clip, with the columns ``clip``, ``part``, ``artist`` (or ``song``, or ``cluster``), and
two for each tag: ``label:guitar``, 0 or 1, and ``score:guitar``, the higher the surer.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from tagkit.evaluation import intervals, metrics
from tagkit.evaluation.classes import score_classes
from tagkit.evaluation.compare import holm
from tagkit.evaluation.result import Scores, TagScore
from tagkit.system import files

AREAS = {"roc_auc": "roc", "pr_auc": "pr"}  # names of scores in Scores, and in TagScores
CLUSTERS = ("artist", "song", "cluster")  # columns that say which clips are not independent; the first one counts
LABEL, SCORE = "label:", "score:"


class PredictionsError(ValueError):
    """A table of predictions cannot be used; the message says what is wrong and what to do."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Labels and scores of some clips.

    Attributes
    ----------
    clips : ndarray of str (clips,)
        Their ids, each once.
    part : ndarray of str (clips,)
        Train, valid or test; "" where it is not told.
    clusters : ndarray of str (clips,)
        Intervals resample whole clusters.
    cluster_by : {"artist", "song", "cluster", "clip"}
        What a cluster is.
    tags : tuple of str
    labels : ndarray of bool (clips, tags)
    scores : ndarray (clips, tags)
        Probabilities, or any number that is higher the surer.
    exclusive : bool
        Whether the tags are classes, of which every clip has one.
    """

    clips: np.ndarray
    part: np.ndarray
    clusters: np.ndarray
    cluster_by: str
    tags: tuple[str, ...]
    labels: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    exclusive: bool = False

    def save(self, path: str | Path) -> None:
        """Write the table: Parquet where the name ends in .parquet (which needs pyarrow), else CSV."""
        path = check_format(path)
        columns = {"clip": self.clips, "part": self.part}
        if self.cluster_by in CLUSTERS:
            columns[self.cluster_by] = self.clusters
        for k, tag in enumerate(self.tags):
            columns |= {LABEL + tag: self.labels[:, k].astype(np.int8), SCORE + tag: self.scores[:, k]}
        with files.atomic(path) as temporary:
            if _is_parquet(path):
                pd.DataFrame(columns).to_parquet(temporary, index=False)
            else:
                pd.DataFrame(columns).to_csv(temporary, index=False)

    @classmethod
    def read(cls, path: str | Path, task: str | None = None) -> "Predictions":
        """Read a table that `save` or anybody else wrote.

        Columns of other names are left alone. Without a column of artists, songs or clusters, every clip is a cluster
        of its own; so is a clip whose cluster is empty. Without a `task`, tags are exclusive classes
        where every clip has one.

        Raises
        ------
        PredictionsError
            There is no such table, a column is missing, a clip occurs twice, a label is not 0 or 1, or a score is not a
            finite number.
        """
        path = Path(path)
        table = _table(path)
        clips = _texts(table, "clip")
        if len(repeated := clips[pd.Index(clips).duplicated()]):
            raise PredictionsError(f"{path} has clip {repeated[0]!r} more than once; keep one row for each clip.")
        tags = tuple(name.removeprefix(SCORE) for name in table.columns if name.startswith(SCORE))
        cluster_by = next((name for name in CLUSTERS if name in table), "clip")
        clusters = _texts(table, cluster_by)
        labels = np.column_stack([_labels(path, table, LABEL + tag, clips) for tag in tags])
        one_each = bool((labels.sum(1) == 1).all())
        if task == "exclusive" and not one_each:
            clip = clips[np.flatnonzero(labels.sum(1) != 1)[0]]
            raise PredictionsError(f"{path}: clip {clip!r} has no tag or several; score it as multi-label.")
        return cls(
            clips,
            _texts(table, "part") if "part" in table else np.full(len(clips), "", object),
            np.where(clusters == "", "clip " + clips, clusters),
            cluster_by,
            tags,
            labels,
            np.column_stack([_numbers(path, table, SCORE + tag, clips) for tag in tags]),
            exclusive=len(tags) > 1 and one_each if task is None else task == "exclusive",
        )

    def of(self, part: str | None) -> "Predictions":
        """The clips of one part; None takes all, if they are of one part. PredictionsError names the parts."""
        parts = sorted(set(self.part))
        if part is None and len(parts) > 1:
            raise PredictionsError(f"These predictions are for the parts {', '.join(parts)}; choose one with --part.")
        if part is not None and part not in parts:
            raise PredictionsError(f"There are no predictions for the part {part!r}, only for {', '.join(parts)}.")
        kept = self.part == (parts[0] if part is None else part)
        rows = {name: getattr(self, name)[kept] for name in ("clips", "part", "clusters", "labels", "scores")}
        return replace(self, **rows)

    def scored(self, min_positives: int = 1, resamples: int = 1000, seed: int = 0) -> Scores:
        """Score them, all clips together.

        Parameters
        ----------
        min_positives
            Tags with fewer positive clips are left out.
        resamples
            Bootstrap resamples of whole clusters.
        seed
            Of the resamples. Predictions for the same clips are compared by resamples of the same seed.

        Raises
        ------
        ValueError
            No tag has enough positives, or a score is not finite.
        """
        s = metrics.score_tags(self.labels, self.scores, self.tags, self.clusters, min_positives, resamples, seed)
        resampled = {key: s.macro_resamples(metric) for key, metric in AREAS.items()}
        classes = None
        if self.exclusive:
            classes, more = score_classes(self.labels, self.scores, self.tags, self.clusters, resamples, seed)
            resampled |= more
        return Scores(
            **{key: s.macro(metric) for key, metric in AREAS.items()},
            resamples={key: values.round(4) for key, values in resampled.items()},
            incomplete_resamples=s.incomplete_resamples,
            tags={tag: _tag_score(s, k) for k, tag in enumerate(s.tags)},
            part=str(self.part[0]),
            clips=len(self.clips),
            min_positives=min_positives,
            clusters=s.clusters,
            interval=_describe_intervals(s.clusters, f"{len(set(self.clusters))} {self.cluster_by}s", resamples),
            classes=classes,
        )


def compared(predictions: Mapping[str, Predictions], scores: Mapping[str, Scores]) -> pd.DataFrame:
    """How far some predictions are ahead of the first: paired over the bootstrap resamples of the clips.

    Parameters
    ----------
    predictions, scores
        By name; the scores of these predictions.

    Returns
    -------
    DataFrame (names,)
        Best first. `roc_auc`, `pr_auc` and, for exclusive classes, `accuracy` and `balanced_accuracy` (Interval);
        `difference` (`Difference`, of ROC-AUC or accuracy, to the first; None for the first itself) and `p`, adjusted
        by Holm's method.

    Raises
    ------
    PredictionsError
        They are not for the same clips, labels, clusters and tags.
    """
    first, *others = predictions
    for name in others:
        _check_same(first, predictions[first], name, predictions[name])
    base = scores[first]
    metric = base.metrics[0]
    differences = {
        name: intervals.difference(
            [s.score(metric).value],
            [base.score(metric).value],
            s.resamples[metric],
            base.resamples[metric],
            base.clusters,
        )
        for name, s in scores.items()
        if name != first
    }
    p = dict(zip(differences, holm([d.p for d in differences.values()]), strict=True))
    rows = {
        name: {m: s.score(m) for m in s.metrics} | {"difference": differences.get(name), "p": p.get(name, np.nan)}
        for name, s in scores.items()
    }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    return frame.sort_values(metric, key=lambda column: [s.value for s in column], ascending=False)


def _check_same(name: str, one: Predictions, other_name: str, other: Predictions) -> None:
    if (one.tags, one.exclusive) != (other.tags, other.exclusive):
        raise PredictionsError(f"{name} and {other_name} predict different tags; compare files with the same columns.")
    if len(apart := set(one.clips) ^ set(other.clips)):
        raise PredictionsError(f"{name} and {other_name} are not for the same clips: only one has {min(apart)!r}.")
    here, there = (np.argsort(p.clips, kind="stable") for p in (one, other))
    for key in ("labels", "clusters"):
        differ = getattr(one, key)[here] != getattr(other, key)[there]
        if differ.any():
            clip = one.clips[here][differ.reshape(len(here), -1).any(1)][0]
            raise PredictionsError(f"{name} and {other_name} have different {key} for clip {clip!r}; correct one.")


def _tag_score(scored: metrics.TagScores, k: int) -> TagScore:
    return TagScore(int(scored.positives[k]), **{key: scored.tag(metric, k) for key, metric in AREAS.items()})


def _describe_intervals(effective: float, clusters: str, resamples: int) -> str:
    """How the intervals were made, or why there are none."""
    if effective < intervals.FEWEST_CLUSTERS:
        as_many = f"{clusters} tell no more than {effective:.1f} of equal size"
        return f"no intervals: {as_many}, and {intervals.FEWEST_CLUSTERS} are needed"
    return f"95 % bootstrap-t intervals over {clusters}, {resamples} resamples"


def check_format(path: str | Path) -> Path:
    """The path, if a table can be written and read there; PredictionsError if it is Parquet and pyarrow is missing."""
    if _is_parquet(Path(path)) and importlib.util.find_spec("pyarrow") is None:
        raise PredictionsError(f"{path}: Parquet needs pyarrow; `pip install pyarrow`, or name a .csv file.")
    return Path(path)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _table(path: Path) -> pd.DataFrame:
    """The table as it is, with all that predictions need; texts of a CSV file are not guessed to be numbers."""
    if not path.is_file():
        raise PredictionsError(f"{path} is not a file; write one with `tagkit evaluate RUN --predictions {path}`.")
    if _is_parquet(check_format(path)):
        table = pd.read_parquet(path)
    else:
        try:
            table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise PredictionsError(f"{path} is not a table with commas in UTF-8 ({error}); write it again.") from error
    tags = {kind: {c.removeprefix(kind) for c in table.columns if c.startswith(kind)} for kind in (LABEL, SCORE)}
    if "clip" not in table:
        raise PredictionsError(f"{path} has no column clip; its columns are {', '.join(table.columns)[:200]}.")
    if not tags[SCORE]:
        raise PredictionsError(f"{path} has no columns {LABEL}TAG and {SCORE}TAG; write two for each tag.")
    if lonely := sorted(tags[LABEL] ^ tags[SCORE]):
        lacking = LABEL if lonely[0] in tags[SCORE] else SCORE
        raise PredictionsError(f"{path} has no column {lacking}{lonely[0]}; write a label and a score for each tag.")
    if not len(table):
        raise PredictionsError(f"{path} has no rows; write one for each clip.")
    return table


def _texts(table: pd.DataFrame, column: str) -> np.ndarray:
    return table[column].astype(str).to_numpy(object)


def _numbers(path: Path, table: pd.DataFrame, column: str, clips: np.ndarray) -> np.ndarray:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(float)
    if len(bad := np.flatnonzero(~np.isfinite(values))):
        raise PredictionsError(
            f"{path}: {column} of clip {clips[bad[0]]!r} is {table[column].iloc[bad[0]]!r}; it must be a finite number."
        )
    return values


def _labels(path: Path, table: pd.DataFrame, column: str, clips: np.ndarray) -> np.ndarray:
    values = _numbers(path, table, column, clips)
    if len(bad := np.flatnonzero((values != 0) & (values != 1))):
        raise PredictionsError(f"{path}: {column} of clip {clips[bad[0]]!r} is {values[bad[0]]:g}; it must be 0 or 1.")
    return values == 1
