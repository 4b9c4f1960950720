"""Settings of a training run, as frozen dataclasses that travel to and from JSON."""

from dataclasses import asdict, dataclass, fields, replace

OPTIMIZERS = ("adamw", "adam", "sgd")
LOSSES = ("sigmoid_cross_entropy", "predecessor_weighted", "weighted_cross_entropy", "focal")


@dataclass(frozen=True)
class Phase:
    """A stretch of training at a constant learning rate; the next one goes on from the best weights so far.

    Attributes
    ----------
    optimizer : {"adamw", "adam", "sgd"}
        SGD has Nesterov momentum .9.
    learning_rate, weight_decay : float
        The decay is part of the gradient (L2), and with "adamw" apart from it.
    validations : int
        Most validations that it lasts; 0: no limit.
    patience : int
        It ends after so many validations without a better score than any before; 0: never.
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
    model : str
        A row of `tagkit.graph.zoo.ROWS`.
    windowing : str or None
        What an example is, one of `WINDOWINGS`: "split" a window with its clip's tags, "none" the whole clip, the rest
        all windows of a clip, merged (see `tagkit.graph.windowing`). None takes the first that the row is for.
    loss : str
        One of `LOSSES`, in `tagkit.training.losses`.
    positive_factor, tag_balance : float
        TPF and TB of the weighted losses; tags are ordered by their frequency in the training part.
    focal_gamma : float
        Of the focal loss.
    init : str or None
        A run folder: the network starts with that run's best weights, all but those of its last layer.
    steps : int
        Optimizer steps in all.
    batch_size : int
        Examples in a step: windows, or clips where `windowing` makes an example of a clip.
    optimizer : {"adamw", "adam", "sgd"}
        SGD has Nesterov momentum .9.
    learning_rate : float
        The peak, reached after `warmup` and left along half a cosine to 0.
    warmup : float
        Share of the steps that warms up linearly.
    weight_decay : float
        Part of the gradient (L2), and with "adamw" apart from it. What suits the one is too much for the other.
    phases : tuple of Phase
        In place of `optimizer`, `learning_rate`, `warmup` and `weight_decay`, one after the other; training ends with
        the last of them, or after `steps`.
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
            raise ValueError(f"warmup is {self.warmup}; it is a share of the steps, from 0 to below 1.")

    def smoke(self) -> "TrainingConfig":
        """The same run, cut to seconds: to see that everything works, not to learn anything."""
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
