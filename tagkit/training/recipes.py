"""Training recipes: settings under names, each the counterpart of a published score or this project's own."""

from dataclasses import dataclass

from tagkit.training.config import Phase, TrainingConfig

LEE, WON = "Lee et al. 2017", "Won et al. 2020"


@dataclass(frozen=True)
class Recipe:
    """Settings with their origin.

    Attributes
    ----------
    config : TrainingConfig
    source : str
        Where the settings come from, and what was decided where the source is silent.
    expected : str
        Model and split of the published score in `tagkit.studies.published.SCORES`; "" where nobody has published one.
    """

    config: TrainingConfig
    source: str
    expected: str = ""


def five_phases(model: str, split: str) -> TrainingConfig:
    """Lee's SGD: .01, divided by 5 four times; an epoch is ten windows of each clip, batches of 23."""
    return TrainingConfig(
        model=model,
        split=split,
        batch_size=23,
        phases=tuple(Phase("sgd", 0.01 / 5**k, patience=3) for k in range(5)),
        steps=1_000_000,
        eval_every=6_628,
        speed_semitones=0,
        attenuation_db=0,
    )


def adam_then_sgd(model: str, batch_size: int = 16) -> TrainingConfig:
    """Won's 80 epochs of Adam and 120 of SGD at three rates; an epoch is one window of each of 15,247 clips."""
    epoch = -(-15_247 // batch_size)
    phases = (
        Phase("adam", 1e-4, weight_decay=1e-4, validations=80),
        Phase("sgd", 1e-3, weight_decay=1e-4, validations=20),
        Phase("sgd", 1e-4, weight_decay=1e-4, validations=20),
        Phase("sgd", 1e-5, weight_decay=1e-4, validations=80),
    )
    return TrainingConfig(
        model=model,
        split="clean",
        batch_size=batch_size,
        phases=phases,
        steps=200 * epoch,
        eval_every=epoch,
        speed_semitones=0,
        attenuation_db=0,
    )


_FIVE = "five phases of SGD, each from the best weights once three epochs bring nothing better"
_TWO = "Adam, then SGD from the best weights; best by ROC-AUC (its code: by loss)"

RECIPES: dict[str, Recipe] = {
    "lee2017_samplecnn": Recipe(five_phases("samplecnn", "lee"), f"{LEE}: {_FIVE}", f"SampleCNN ({LEE})"),
    "kim2018_rese": Recipe(
        five_phases("samplecnn_rese_multi", "clean"),
        f"Kim et al. 2018, with Lee's recipe: {_FIVE}",
        "ReSE-2 multi-level (Kim et al. 2018)",
    ),
    "won2020_samplecnn": Recipe(adam_then_sgd("samplecnn"), f"{WON}: {_TWO}", f"SampleCNN ({WON})"),
    "won2020_samplecnn_se": Recipe(adam_then_sgd("samplecnn_se"), f"{WON}: {_TWO}", f"SampleCNN + SE ({WON})"),
    "won2020_crnn": Recipe(adam_then_sgd("crnn_mel"), f"{WON}: {_TWO}", f"CRNN ({WON})"),
    "won2020_musicnn": Recipe(adam_then_sgd("musicnn"), f"{WON}: {_TWO}", f"MusiCNN ({WON})"),
    "won2020_shortchunk_res": Recipe(
        adam_then_sgd("shortchunk_res"), f"{WON}: {_TWO}", f"Short-chunk CNN + Res ({WON})"
    ),
    "adamw_cosine": Recipe(
        TrainingConfig(model="samplecnn_rese", split="pons", batch_size=64, steps=60_000, eval_every=1_000),
        "this project: AdamW, linear warm-up over a tenth of the steps, cosine decay, speed and level augmentation",
    ),
}


def find(name: str) -> Recipe:
    """The recipe of this name; ValueError lists those that there are."""
    if name not in RECIPES:
        raise ValueError(f"There is no recipe {name!r}: take one of {', '.join(RECIPES)}.")
    return RECIPES[name]
