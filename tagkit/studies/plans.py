"""What each study trains, as data."""

from dataclasses import dataclass, field, replace

from tagkit.graph.literature import LEARNED_BANK
from tagkit.graph.specs import WINDOWINGS, Bank, Row
from tagkit.training.config import TrainingConfig


def slug(label: str) -> str:
    """A network's name as part of a file's name."""
    return label.replace(" ", "-").replace(",", "")


@dataclass(frozen=True)
class Pretraining:
    """Training on rendered music before the training that is scored.

    Attributes
    ----------
    clips : int
        Rendered clips, 13 in 20 of them for training.
    budget_s : float
        CPU seconds of training steps.
    settings : dict
        Fields of TrainingConfig that differ from plain training.
    """

    clips: int
    budget_s: float
    settings: dict = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """Its part of the names of run folders."""
        return f"rendered-{self.clips}" + ("-varied" if self.settings else "")


@dataclass(frozen=True)
class Entry:
    """One network of a study.

    Attributes
    ----------
    model : str or Row
        A row of the zoo, or one of the study's own, which then has a name here.
    family : str
        The question it belongs to, by which results are grouped.
    settings : dict
        Fields of TrainingConfig that differ from the plan's.
    name : str
        What tables call it. Default: the model and its windowing.
    budget_s : float, optional
        Replaces the plan's.
    pretraining : Pretraining, optional
    """

    model: str | Row
    family: str
    settings: dict = field(default_factory=dict)
    name: str = ""
    budget_s: float | None = None
    pretraining: Pretraining | None = None

    @property
    def label(self) -> str:
        """`name`, or the model and its windowing."""
        return self.name or " ".join([self.model, *filter(None, [self.settings.get("windowing")])])

    @property
    def slug(self) -> str:
        """The label as part of a file's name."""
        return slug(self.label)


@dataclass(frozen=True)
class Plan:
    """A study.

    Attributes
    ----------
    name : str
    dataset : str
        What its records hold; see `tagkit.workspace.records`.
    entries : tuple of Entry
    budget_s : float
        CPU seconds on one core that each network gets for training steps; validation is not counted.
    seeds : int
        Trainings of each entry.
    base : TrainingConfig
        Settings of all entries; `steps` and `eval_every` follow from the budget.
    validations : int
        In each training.
    min_positives : int
        Tags with fewer positive test clips are left out.
    finalists : int or None
        Number of entries that get more than one seed: the best by validation score, so that the test part decides
        nothing. None: all.
    best_of : tuple of str
        Kinds of input (as `Result.network` names them) whose best entry is a finalist, too.
    """

    name: str
    dataset: str
    entries: tuple[Entry, ...]
    budget_s: float
    seeds: int
    base: TrainingConfig
    validations: int = 4
    min_positives: int = 1
    finalists: int | None = None
    best_of: tuple[str, ...] = ()

    def budget(self, entry: Entry) -> float:
        """CPU seconds of training steps for an entry."""
        return (entry.budget_s or self.budget_s) if self.budget_s else 0

    def smoke(self) -> "Plan":
        """The same study at a tiny size on the demo, under another name: it shows that everything works."""
        entries = tuple(
            replace(e, pretraining=e.pretraining and replace(e.pretraining, clips=20)) for e in self.entries
        )
        small = {"dataset": "demo", "budget_s": 0, "seeds": 1, "validations": 2, "min_positives": 1, "finalists": None}
        base = replace(self.base, batch_size=4, split=None)
        return replace(self, name=f"{self.name}-smoke", entries=entries, base=base, **small)


KERNELS = ("dm8", "dm16", "dm64", "dm128", "mkc_r", "mkc_f", "ds256ra", "ds256fa", "ds256rb", "ds256rc", "dm16_clip")
DILATION = ("dl16_16", "dl16_8", "dl16_4")
MULTIPLE = ("mul16a", "mul16b", "mul16c", "mul16d", "mul16ds", "mul16e", "mul16f", "multiscale")
SAMPLECNN = ("samplecnn", "samplecnn_se", "samplecnn_res", "samplecnn_rese", "samplecnn_rese_multi")
DEPTH = ("res13", "res25", "dilated_res", "dm16_relu", "dm16_stochastic", "ds256ra_stochastic")
RECURRENT = ("crnn", "crnn_dm16", "crnn_mel")
SPECTROGRAM = ("logmel", "tdfbank", "musicnn", "shortchunk", "shortchunk_res")
WHOLE_CLIPS = {"batch_size": 4}  # an example is a clip, twelve times a window


def rows(family: str, names: tuple[str, ...]) -> tuple[Entry, ...]:
    """An entry for each row, with the row's own windowing."""
    whole = ("mkc_f", "dm16_clip", "crnn_mel")
    return tuple(Entry(name, family, WHOLE_CLIPS if name in whole else {}) for name in names)


def windowings(model: str) -> tuple[Entry, ...]:
    """A row with every windowing but its own, `split`: whole clips, and all ways of super-pooling."""
    others = (name for name in WINDOWINGS if name != "split")
    return tuple(Entry(model, "windowing", {"windowing": name} | WHOLE_CLIPS) for name in others)


LOSS_ENTRIES = (
    Entry("dm16", "losses", {"loss": "predecessor_weighted", "positive_factor": 10.0}, "dm16 TPF 10 TB 0"),
    Entry(
        "dm16",
        "losses",
        {"loss": "predecessor_weighted", "positive_factor": 10.0, "tag_balance": 10.0},
        "dm16 TPF 10 TB 10",
    ),
    Entry("dm16", "losses", {"loss": "weighted_cross_entropy", "positive_factor": 10.0}, "dm16 true weight 10"),
    Entry("dm16", "losses", {"loss": "focal"}, "dm16 focal"),
)

# The demo's tags include fast, slow, loud and quiet, measured exactly, so its windows keep their speed and level.
PLAIN = TrainingConfig(speed_semitones=0, attenuation_db=0)

ZOO = Plan(
    "zoo",
    "demo",
    (
        *rows("kernel sizes", KERNELS),
        *rows("spectrogram", SPECTROGRAM),
        *rows("dilation", DILATION),
        *rows("multiple kernels", MULTIPLE),
        *rows("residual, deeper, stochastic", DEPTH),
        *rows("recurrent", RECURRENT),
        *rows("SampleCNN", SAMPLECNN),
        *windowings("dm16"),
        *windowings("ds256ra"),
        Entry("ds256rb", "windowing", {"windowing": "superpool_c"} | WHOLE_CLIPS),
        Entry("ds256rc", "windowing", {"windowing": "superpool_e"} | WHOLE_CLIPS),
        *LOSS_ENTRIES,
    ),
    budget_s=60,
    seeds=3,
    base=PLAIN,
)

RECORDED = ("dm16", "dm16_stochastic", "res13", "multiscale", "crnn_dm16", "mul16f", "ds256ra", "tdfbank", "logmel")
RECORDINGS = Plan(
    "recordings",
    "magnatagatune",
    rows("recordings", RECORDED),
    budget_s=300,
    seeds=3,
    base=TrainingConfig(),
    min_positives=5,
    finalists=4,
)

FINE, BEFORE = 100, 140  # CPU seconds of training on the recordings, and on rendered music before
AUGMENTED = {"speed_semitones": 2.0, "attenuation_db": 12.0}
PRETRAINING = Plan(
    "pretraining",
    "magnatagatune",
    (
        Entry("dm16", "pretraining", name="dm16 from scratch"),
        Entry("dm16", "pretraining", name="dm16 from scratch, longer", budget_s=BEFORE + FINE),
        Entry("dm16", "pretraining", name="dm16 after 500 rendered", pretraining=Pretraining(500, BEFORE)),
        Entry("dm16", "pretraining", name="dm16 after 2000 rendered", pretraining=Pretraining(2_000, BEFORE)),
        Entry(
            "dm16",
            "pretraining",
            name="dm16 after 2000 rendered, varied",
            pretraining=Pretraining(2_000, BEFORE, AUGMENTED),
        ),
    ),
    budget_s=FINE,
    seeds=3,
    base=TrainingConfig(),
    min_positives=5,
)

WAYS = {"tags": {}, "teacher": {"teacher": "musicnn-mtat"}, "both": {"teacher": "musicnn-mtat", "teacher_weight": 0.5}}
TEACHER = Plan(
    "teacher",
    "magnatagatune",
    tuple(
        Entry(model, model, settings, f"{model} by {way}")
        for model in ("dm16", "ds256rc", "tdfbank", "logmel")
        for way, settings in WAYS.items()
    )
    + tuple(
        Entry("tdfbank", "tdfbank, trained longer", WAYS[way], f"tdfbank by {way}, longer", budget_s=1_200)
        for way in ("tags", "teacher")
    ),
    budget_s=300,
    seeds=3,
    base=TrainingConfig(),
    min_positives=5,
)

# The same networks with ten and sixty times the training, on more music than the zoo had: 64 pieces, 1,004 clips.
SPANS = {"minute": 60, "ten minutes": 600, "hour": 3_600}
TRAINED_LONG = (
    *("dm16", "tdfbank", "logmel", "crnn_dm16", "ds256rc", "mul16f", "res13", "dilated_res", "dm16_stochastic"),
    *("samplecnn", "samplecnn_se", "shortchunk_res"),
)
HOUR = Plan(
    "hour",
    "rendered",
    tuple(
        Entry(model, span, name=f"{model}, {span}", budget_s=budget_s)
        for span, budget_s in SPANS.items()
        for model in TRAINED_LONG
    ),
    budget_s=3_600,
    seeds=3,
    base=replace(PLAIN, split="piece_64"),
    finalists=3,
    best_of=("raw",),
)


def bank(name: str, **changes: object) -> Row:
    """tdfbank with another bank, under another name; `changes` are fields of `specs.Bank`."""
    return replace(LEARNED_BANK[0], name=name, frontend=Bank(**changes))


BANKS = {
    "filters trained, log": bank("bank_log"),
    "filters fixed, log": bank("bank_fixed_log", trained=False),
    "filters trained, PCEN trained": bank("bank_pcen", compression="pcen"),
    "filters trained, PCEN fixed": bank("bank_pcen_fixed", compression="pcen_fixed"),
    "filters fixed, PCEN trained": bank("bank_fixed_pcen", trained=False, compression="pcen"),
    "filters trained from peak 1, log": bank("bank_low_log", peak=1.0),
    "filters trained from noise, log": bank("bank_noise_log", start="noise", peak=1.0),
}
BANK = Plan(
    "bank",
    "demo",
    tuple(Entry(row, "bank", name=name) for name, row in BANKS.items()),
    budget_s=60,
    seeds=3,
    base=PLAIN,
)

PLANS = {plan.name: plan for plan in (ZOO, RECORDINGS, PRETRAINING, TEACHER, HOUR, BANK)}
