"""Settings of a training run, as frozen dataclasses that travel to and from JSON."""

from dataclasses import asdict, dataclass, fields, replace


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained.

    Attributes
    ----------
    model : str
        A row of `tagkit.graph.zoo.ROWS`.
    steps : int
        Optimizer steps in all.
    batch_size : int
        Windows in a step.
    optimizer : {"adamw", "sgd"}
        SGD has Nesterov momentum .9.
    learning_rate : float
        The peak, reached after `warmup` and left along half a cosine to 0.
    warmup : float
        Share of the steps that warms up linearly.
    weight_decay : float
        AdamW only.
    speed_semitones, attenuation_db : float
        Augmentation of training windows: played faster or slower by up to so many semitones; softer by up to so many
        dB, with a random sign. 0 leaves them as they are.
    eval_every : int
        Steps between validations; each one also writes a checkpoint.
    patience : int
        Validations without a better score before training stops early; 0 never stops.
    seed : int
        Of the weights, the dropout masks and the order of the data.
    split, vocabulary : str or None
        Of the records; None takes the records' own default.
    """

    model: str = "dm16"
    steps: int = 1500
    batch_size: int = 16
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 1e-2
    speed_semitones: float = 2.0
    attenuation_db: float = 12.0
    eval_every: int = 100
    patience: int = 0
    seed: int = 0
    split: str | None = None
    vocabulary: str | None = None

    def __post_init__(self):
        if self.optimizer not in ("adamw", "sgd"):
            raise ValueError(f"optimizer is {self.optimizer!r}; choose adamw or sgd.")
        for name in ("steps", "batch_size", "eval_every", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0.")
        for name in ("speed_semitones", "attenuation_db", "weight_decay", "patience", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or above.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup}; it is a share of the steps, from 0 to below 1.")

    def smoke(self) -> "TrainingConfig":
        """The same run, cut to seconds: to see that everything works, not to learn anything."""
        return replace(self, steps=12, batch_size=8, eval_every=6)

    def to_dict(self) -> dict:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "TrainingConfig":
        """From `to_dict`; ValueError names a setting that does not exist."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"Unknown training settings: {', '.join(sorted(unknown))}.")
        return cls(**values)


# What `tagkit demo` trains: the raw-waveform network and its spectrogram reference, on equally many examples. Its tags
# include fast, slow, loud and quiet by exact measures, so its windows keep their speed and their level.
DEMO_RUNS = {
    name: TrainingConfig(model=name, steps=1250, eval_every=125, speed_semitones=0, attenuation_db=0)
    for name in ("dm16", "logmel")
}
