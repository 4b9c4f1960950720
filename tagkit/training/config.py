"""Settings of a training run, as frozen dataclasses that travel to and from JSON."""

from dataclasses import asdict, dataclass, fields, replace

OPTIMIZERS = ("adamw", "adam", "sgd")
LOSSES = ("sigmoid_cross_entropy", "predecessor_weighted", "weighted_cross_entropy", "focal")


@dataclass(frozen=True)
class Phase:
    """A stretch of training at a constant learning rate; the next one starts from the best weights so far.

    Attributes
    ----------
    optimizer
        One of `OPTIMIZERS`; SGD has Nesterov momentum .9.
    weight_decay
        Added to the gradient (L2); with "adamw", decoupled from it.
    validations
        End after this many validations; 0 sets no limit.
    patience
        End after this many validations without a better score than any before; 0 never ends it.
    """

    optimizer: str
    learning_rate: float
    weight_decay: float = 0.0
    validations: int = 0
    patience: int = 0

    def __post_init__(self):
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is {self.optimizer!r}; choose {' or '.join(OPTIMIZERS)}.")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate of a phase is {self.learning_rate}; it must be above 0.")
        for name in ("weight_decay", "validations", "patience"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} of a phase is {getattr(self, name)}; it must be 0 or above.")


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained.

    Attributes
    ----------
    model
        A row of `tagkit.graph.zoo.ROWS`.
    windowing
        What an example is, one of `WINDOWINGS`: "split" a window with its clip's tags, "none" the whole clip, the rest
        all windows of a clip, merged (see `tagkit.graph.windowing`). None takes the first that the row allows.
    loss
        One of `LOSSES`, in `tagkit.training.losses`.
    positive_factor, tag_balance
        TPF and TB of the weighted losses; tags are ranked by their frequency in the training part.
    focal_gamma
        Gamma of the focal loss.
    init
        A run folder: start from that run's best weights, except for its last layer.
    steps
        Total number of optimizer steps.
    batch_size
        Examples per step: windows, or clips where `windowing` makes an example of a clip.
    optimizer
        One of `OPTIMIZERS`; SGD has Nesterov momentum .9.
    learning_rate
        The peak, reached after `warmup`; it then decays to 0 along half a cosine.
    warmup
        Share of the steps with linear warm-up, in [0, 1).
    weight_decay
        Added to the gradient (L2); with "adamw", decoupled from it. A value that suits one is too large for the other.
    phases
        Run these one after the other, in place of `optimizer`, `learning_rate`, `warmup` and `weight_decay`. Training
        ends with the last of them, or after `steps`.
    speed_semitones, attenuation_db
        Augmentation of training windows: play them up to this much faster or slower, and up to this much softer with a
        random sign. 0 turns it off.
    eval_every
        Steps between validations; each one also writes a checkpoint.
    patience
        Stop after this many validations without a better score; 0 never stops.
    seed
        Seeds the weights, the dropout masks and the order of the data.
    split, vocabulary
        Of the records; None takes their default.
    """

    model: str = "dm16"
    windowing: str | None = None
    loss: str = "sigmoid_cross_entropy"
    positive_factor: float = 1.0
    tag_balance: float = 0.0
    focal_gamma: float = 2.0
    init: str | None = None
    steps: int = 1500
    batch_size: int = 16
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 1e-2
    phases: tuple[Phase, ...] = ()
    speed_semitones: float = 2.0
    attenuation_db: float = 12.0
    eval_every: int = 100
    patience: int = 0
    seed: int = 0
    split: str | None = None
    vocabulary: str | None = None

    def __post_init__(self):
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is {self.optimizer!r}; choose {' or '.join(OPTIMIZERS)}.")
        if any(not (phase.validations or phase.patience) for phase in self.phases[:-1]):
            raise ValueError("A phase before the last needs validations or patience, or it never ends.")
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}; choose one of {', '.join(LOSSES)}.")
        for name in ("steps", "batch_size", "eval_every", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0.")
        for name in (
            *("speed_semitones", "attenuation_db", "weight_decay", "patience", "seed"),
            *("positive_factor", "tag_balance", "focal_gamma"),
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or above.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup}; it is a share of the steps and must be at least 0 and below 1.")

    def smoke(self) -> "TrainingConfig":
        """The same run cut to a few seconds: it checks that everything works and learns nothing."""
        return replace(self, steps=12, batch_size=8, eval_every=6)

    @property
    def schedule(self) -> tuple[Phase, ...]:
        """The phases; without any in the settings, a single one, which warms up and decays."""
        single = Phase(self.optimizer, self.learning_rate, self.weight_decay, patience=self.patience)
        return self.phases or (single,)

    @property
    def windows(self) -> dict:
        """Which windows a run draws: settings of `tagkit.data.windows.TrainingWindows.of`."""
        names = ("split", "batch_size", "seed", "speed_semitones", "attenuation_db")
        return {name: getattr(self, name) for name in names}

    def scaled(self, factor: int) -> "TrainingConfig":
        """Multiply batch size and learning rates by `factor` and divide the steps by it: equally many examples.

        References
        ----------
        Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017.
        """
        return replace(
            self,
            batch_size=self.batch_size * factor,
            learning_rate=self.learning_rate * factor,
            phases=tuple(replace(phase, learning_rate=phase.learning_rate * factor) for phase in self.phases),
            steps=-(-self.steps // factor),
            eval_every=-(-self.eval_every // factor),
        )

    def to_dict(self) -> dict:
        """Plain JSON types."""
        # Files call phases "stages", as they did before those were the stages of a network: old runs open.
        return {"stages" if name == "phases" else name: value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict) -> "TrainingConfig":
        """From `to_dict`; ValueError names a setting that does not exist."""
        settings = dict(values)
        phases = tuple(Phase(**phase) for phase in settings.pop("stages", ()))
        if unknown := settings.keys() - {f.name for f in fields(cls)}:
            raise ValueError(f"Unknown training settings: {', '.join(sorted(unknown))}.")
        return cls(**settings, phases=phases)


# What `tagkit demo` trains: the raw-waveform network and its spectrogram reference, on equally many examples. Its tags
# include fast, slow, loud and quiet by exact measures, so its windows keep their speed and their level.
DEMO_RUNS = {
    name: TrainingConfig(model=name, steps=1250, eval_every=125, speed_semitones=0, attenuation_db=0)
    for name in ("dm16", "logmel")
}
