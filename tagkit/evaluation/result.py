"""Scores of one part of a split, for a network or for anybody's predictions: what comparisons and tables need."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from tagkit.evaluation import classes
from tagkit.evaluation.classes import Classes
from tagkit.evaluation.intervals import Interval
from tagkit.system import files
from tagkit.training.config import OF_TASK, TrainingConfig

METRICS = ("roc_auc", "pr_auc")
STUDY = ("name", "family", "budget_s")  # fields that only a study fills
STEPS = 10_000  # resampled scores are kept in ten-thousandths


@dataclass(frozen=True)
class TagScore:
    """One tag's scores; `positives` counts the clips that have it."""

    positives: int
    roc_auc: Interval
    pr_auc: Interval


@dataclass(frozen=True)
class Network:
    """What a network takes and what it costs.

    Attributes
    ----------
    input : {"raw", "learned bank", "mel", "own"}
    windowing : str
    samples : int
        Length of a window.
    parameters : int
    macs_per_second : int
        Multiply-accumulates for one second of sound.
    usual_windowing : bool
        Whether the windowing is the one that the network's row asks for.
    """

    input: str
    windowing: str
    samples: int
    parameters: int
    macs_per_second: int
    usual_windowing: bool = True


@dataclass(frozen=True)
class Validation:
    """Scores on the validation part after `step` steps; `loss` is the mean training loss since the one before."""

    step: int
    loss: float
    valid_roc_auc: float


@dataclass(frozen=True)
class Training:
    """How a network was trained.

    Attributes
    ----------
    config : TrainingConfig
        Without `init` and `teacher`, which are paths of the machine that trained.
    steps_done, cpu_seconds : number or None
        None while the training is unfinished.
    init : dict or None
        Model, data and weights of the run whose weights it started from.
    best_valid_roc_auc : float or None
    history : tuple of Validation
    teacher : dict or None
        Name, data and weights of the run whose scores it learned, and their share.
    """

    config: TrainingConfig
    steps_done: int | None
    cpu_seconds: float | None
    init: dict[str, object] | None
    best_valid_roc_auc: float | None
    history: tuple[Validation, ...]
    teacher: dict[str, object] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Scores:
    """Scores of predictions for some clips, whoever made them, with all that is needed to quote and compare them.

    Attributes
    ----------
    roc_auc, pr_auc : Interval
        Macro averages over the tags.
    resamples : dict of str -> ndarray (resamples,)
        By metric, the macro score in each bootstrap resample, rounded to 0.0001. Predictions for the same clips share
        their resamples, so differences are a paired bootstrap (`tagkit.evaluation.compare`).
    incomplete_resamples : float
        Share of the resamples that lack a positive or a negative clip of at least one tag.
    tags : dict of str -> TagScore
    part : str
        The part of the split that was scored.
    clips, min_positives : int
        Clips scored; tags with fewer positive clips were left out.
    clusters : float
        Effective number of clusters of these clips, on which intervals rest.
    interval : str
        How the intervals were made.
    classes : Classes or None
        Where the tags are exclusive classes: accuracies and confusion. `resamples` then has the accuracies, too.
    """

    roc_auc: Interval
    pr_auc: Interval
    resamples: Mapping[str, np.ndarray] = field(repr=False)
    incomplete_resamples: float
    tags: Mapping[str, TagScore] = field(repr=False)
    part: str
    clips: int
    min_positives: int
    clusters: float
    interval: str
    classes: Classes | None = field(default=None, repr=False)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The scores that there are; the first one is what networks are ranked by."""
        return (*classes.METRICS, *METRICS) if self.classes else METRICS

    def score(self, metric: str) -> Interval:
        """One of `metrics`, over all tags or classes."""
        return getattr(self.classes if metric in classes.METRICS else self, metric)

    def save(self, path: str | Path) -> None:
        """Write it as JSON, after removing what a killed process left of the file."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.sweep(path.parent, path.name)
        files.write_json(path, self.to_json())

    def to_json(self) -> dict:
        """Plain JSON types."""
        content = {f.name: getattr(self, f.name) for f in fields(self)}
        del content["resamples"], content["classes"]
        if self.classes:
            content["classes"] = self.classes.to_json()
        return content | {
            **_scores_to_json(self),
            "resampled": {metric: _packed(self.resamples[metric]) for metric in self.metrics},
            "tags": {tag: {"positives": s.positives} | _scores_to_json(s) for tag, s in self.tags.items()},
        }

    def tag_table(self) -> str:
        """A plain-text table of the tags, best ROC-AUC first."""
        rows = [
            f"{tag:<16} {s.positives:>9}  {s.roc_auc!s:<22} {s.pr_auc!s:<22}"
            for tag, s in sorted(self.tags.items(), key=lambda item: -item[1].roc_auc.value)
        ]
        return "\n".join([f"{'tag':<16} {'positives':>9}  {'ROC-AUC':<22} {'PR-AUC':<22}", *rows])


@dataclass(frozen=True, eq=False, kw_only=True)
class Result(Scores):
    """Scores of one network.

    Attributes
    ----------
    model : str
        A row of the zoo.
    network : Network
    training : Training
    dataset, split : str
        What it was scored on.
    split_sizes : dict of str -> int
        Clips in each part.
    seed : int
    data : str
        Fingerprint of the records.
    code : dict of str -> str
        Versions.
    decoding : int or None
        Version of the decoder that made the records; None for results that do not say.
    agreement : float or None
        Of a student with its teacher: the correlation of their scores over the clips, the mean over tags.
    moved : dict of str -> float, or None
        Of a learned filter bank in a study: how far training moved its filters (`tagkit.analysis.banks.moved`).
    name, family, budget_s
        Name (an imported network has one, too), question and budget in CPU seconds that a study gave it; else empty.
    """

    model: str
    network: Network
    training: Training = field(repr=False)
    dataset: str
    split: str
    split_sizes: Mapping[str, int]
    seed: int
    data: str
    code: Mapping[str, str] = field(repr=False)
    decoding: int | None = None
    agreement: float | None = None
    moved: Mapping[str, float] | None = None
    name: str = ""
    family: str = ""
    budget_s: float | None = None

    @property
    def label(self) -> str:
        """Its study's name for the network, or the row and what departs from it, such as ``dm16 superpool_c focal``."""
        if self.name:
            return self.name
        config, words = self.training.config, [self.model]
        if not self.network.usual_windowing:
            words.append(self.network.windowing)
        if config.loss not in (None, *OF_TASK.values()):
            weighted = config.loss.endswith(("_weighted", "weighted_cross_entropy"))
            factors = f" TPF {config.positive_factor:g} TB {config.tag_balance:g}" if weighted else ""
            words.append(config.loss + factors)
        if config.augmentation:
            words.append(config.augmentation)
        if self.training.init:
            words.append(f"from {self.training.init['dataset']}")
        if config.freeze:
            words.append(f"frozen up to {config.freeze}")
        if self.training.teacher:
            words.append(f"taught by {self.training.teacher['name']}")
        return " ".join(words)

    def to_json(self) -> dict:
        """Plain JSON types; `from_json` reads them."""
        training = asdict(self.training) | {"config": self.training.config.to_dict()}
        del training["config"]["init"], training["config"]["teacher"]
        content = {key: value for key, value in super().to_json().items() if self.name or key not in STUDY}
        for measured in ("agreement", "moved"):
            if content[measured] is None:
                del content[measured]
        return content | {"network": asdict(self.network), "training": training}

    @classmethod
    def from_json(cls, content: dict) -> "Result":
        """From `to_json`; ValueError if it is something else."""
        try:
            training = dict(content["training"])
            training["config"] = TrainingConfig.from_dict(training["config"])
            training["history"] = tuple(Validation(**row) for row in training["history"])
            plain = {f.name: content[f.name] for f in fields(cls) if f.name in content}
            typed = {
                **_scores_from_json(content),
                "network": Network(**content["network"]),
                "training": Training(**training),
                "resamples": {metric: _unpacked(text) for metric, text in content["resampled"].items()},
                "classes": Classes.from_json(content["classes"]) if "classes" in content else None,
                "tags": {t: TagScore(s["positives"], **_scores_from_json(s)) for t, s in content["tags"].items()},
            }
            return cls(**plain | typed)
        except (KeyError, TypeError) as error:
            raise ValueError(f"This is not the result of an evaluation ({error}); evaluate the run again.") from error


def _scores_to_json(scored: Scores | TagScore) -> dict:
    intervals = {metric: getattr(scored, metric) for metric in METRICS}
    bounds = {f"{m}_ci": [i.low, i.high] if i.known else None for m, i in intervals.items()}
    return {m: i.value for m, i in intervals.items()} | bounds


def _scores_from_json(content: dict) -> dict[str, Interval]:
    return {metric: Interval(content[metric], *(content[f"{metric}_ci"] or (np.nan, np.nan))) for metric in METRICS}


def _packed(resamples: np.ndarray) -> str:
    """Ten-thousandths, separated by spaces: a third of the size of a list of floats."""
    return " ".join("nan" if np.isnan(value) else str(round(STEPS * value)) for value in resamples)


def _unpacked(text: str) -> np.ndarray:
    return np.array(text.split(), float) / STEPS
