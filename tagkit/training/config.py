"""Settings of a training run, as frozen dataclasses that travel to and from JSON."""

from dataclasses import asdict, dataclass, fields, replace

from tagkit.graph.specs import Row
from tagkit.system import code

OPTIMIZERS = ("adamw", "adam", "sgd")
TASKS = ("multi-label", "exclusive")
OF_TASK = dict(zip(TASKS, ("sigmoid_cross_entropy", "softmax_cross_entropy"), strict=True))  # the usual loss
LOSSES = (*OF_TASK.values(), "predecessor_weighted", "weighted_cross_entropy", "focal")


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
        The name of a row of `tagkit.graph.zoo.ROWS`, or a Row. Runs hold the name here and the row beside it.
    windowing
        What an example is, one of `WINDOWINGS`: "split" a window with its clip's tags, "none" the whole clip, the rest
        all windows of a clip, merged (see `tagkit.graph.windowing`). None takes the first that the row allows.
    task
        "multi-label", or "exclusive": the tags are classes, of which a clip has one. None takes the vocabulary's.
    loss
        One of `LOSSES`, in `tagkit.training.losses`, or one of your own as ``FILE.py:NAME``: a function of labels and
        logits, both (batch, tags) float32, to one number for each example (batch,), or a class of which an object is
        such a function. None takes the task's usual one, sigmoid or softmax cross entropy.
    positive_factor, tag_balance
        TPF and TB of the weighted losses; tags are ranked by their frequency in the training part.
    focal_gamma
        Gamma of the focal loss.
    init
        A run folder: start from that run's best weights, except for its last layer.
    freeze
        A stage: it and all before it keep the weights of `init`, and their norms the statistics.
    teacher
        A run folder, or the name of a published network: learn its tags from its scores.
    teacher_weight
        Share of the teacher's scores in what is learned, above 0 and at most 1; the clips' labels have the rest for the
        tags that they know.
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
    augmentation
        One of your own as ``FILE.py:NAME``, applied after the two above: a function of a window (samples,), float32 in
        [-1, 1), its sampling rate in Hz and a `numpy.random.Generator`, to a window of the same length; or a class of
        which an object is such a function. It draws from the generator alone, so that training resumes exactly.
    eval_every
        Steps between validations; each one also writes a checkpoint.
    patience
        Stop after this many validations without a better score; 0 never stops.
    seed
        Seeds the weights, the dropout masks and the order of the data.
    split, vocabulary
        Of the records; None takes their default.
    """

    model: str | Row = "dm16"
    windowing: str | None = None
    task: str | None = None
    loss: str | None = None
    positive_factor: float = 1.0
    tag_balance: float = 0.0
    focal_gamma: float = 2.0
    init: str | None = None
    freeze: str | None = None
    teacher: str | None = None
    teacher_weight: float = 1.0
    steps: int = 1500
    batch_size: int = 16
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 1e-2
    phases: tuple[Phase, ...] = ()
    speed_semitones: float = 2.0
    attenuation_db: float = 12.0
    augmentation: str | None = None
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
        if not (self.loss is None or self.loss in LOSSES or code.is_reference(self.loss)):
            raise ValueError(f"loss is {self.loss!r}; choose one of {', '.join(LOSSES)}, or your own as FILE.py:NAME.")
        if not (self.augmentation is None or code.is_reference(self.augmentation)):
            raise ValueError(f"augmentation is {self.augmentation!r}; name your own as FILE.py:NAME.")
        if self.task is not None and self.task not in TASKS:
            raise ValueError(f"task is {self.task!r}; choose {' or '.join(TASKS)}.")
        if self.task == "multi-label" and self.loss == "softmax_cross_entropy":
            raise ValueError("loss is 'softmax_cross_entropy', which is for exclusive classes; choose another one.")
        for name in ("steps", "batch_size", "eval_every", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0.")
        for name in (
            *("speed_semitones", "attenuation_db", "weight_decay", "patience", "seed"),
            *("positive_factor", "tag_balance", "focal_gamma"),
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or above.")
        if not 0 < self.teacher_weight <= 1:
            raise ValueError(f"teacher_weight is {self.teacher_weight}; it is a share above 0 and at most 1.")
        if self.teacher and (self.loss not in (None, "sigmoid_cross_entropy") or self.task == "exclusive"):
            raise ValueError(
                f"task is {self.task} and loss is {self.loss}, but a teacher's scores need sigmoid_cross_entropy."
            )
        if self.teacher and self.vocabulary:
            raise ValueError(
                f"vocabulary is {self.vocabulary!r}, but a student learns its teacher's tags; leave it out."
            )
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup}; it is a share of the steps and must be at least 0 and below 1.")

    @property
    def network(self) -> str:
        """The name of the network."""
        return self.model.name if isinstance(self.model, Row) else self.model

    def settled(self, task: str) -> "TrainingConfig":
        """As a run holds them: the network by its name, and the task and its usual loss where they are left open."""
        task = self.task or task
        return replace(self, model=self.network, task=task, loss=self.loss or OF_TASK[task])

    def smoke(self) -> "TrainingConfig":
        """The same run cut to a few seconds: it checks that everything works and learns nothing."""
        return replace(self, steps=6, batch_size=4, eval_every=3)

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
        values = asdict(replace(self, model=self.network))
        return {"stages" if name == "phases" else name: value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict) -> "TrainingConfig":
        """From `to_dict`; ValueError names a setting that does not exist."""
        settings = {"task": "multi-label"} | values  # files that name no task are older than exclusive classes
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
