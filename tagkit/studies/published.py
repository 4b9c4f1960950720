"""Published scores on MagnaTagATune, each with its split: what a comparison may stand beside, and what it may not."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """One published score.

    Attributes
    ----------
    model : str
        The model and, in brackets, who published this score of it.
    input : {"raw", "mel"}
    split : str
        As in `tagkit.data.magnatagatune`; "" where none of them.
    roc_auc, pr_auc : float or None
        Macro averages over the top 50 tags; None where it was not given.
    note : str
        What keeps it from being compared even on the same split.
    """

    model: str
    input: str
    split: str
    roc_auc: float
    pr_auc: float | None = None
    note: str = ""


SCORES = (
    Score("SampleCNN (Lee et al. 2017)", "raw", "lee", 0.9055),
    Score("ReSE-2 multi-level (Kim et al. 2018)", "raw", "clean", 0.9113, note="split not published; close to clean"),
    Score("SampleCNN (Won et al. 2020)", "raw", "clean", 0.9058, 0.4422),
    Score("SampleCNN + SE (Won et al. 2020)", "raw", "clean", 0.9103, 0.4520),
    Score("SampleCNN (CLMR, supervised)", "raw", "pons", 0.886, 0.344),
    Score("Waveform front-end (Pons et al. 2018)", "raw", "pons", 0.8905, 0.3492),
    Score("CRNN (Won et al. 2020)", "mel", "clean", 0.8722, 0.3625),
    Score("FCN (Won et al. 2020)", "mel", "clean", 0.9005, 0.4295),
    Score("MusiCNN (Won et al. 2020)", "mel", "clean", 0.9106, 0.4493),
    Score("Short-chunk CNN + Res (Won et al. 2020)", "mel", "clean", 0.9129, 0.4614),
    Score("MusiCNN (released weights)", "mel", "pons", 0.9067, 0.3831),
    Score("MusicFM (self-supervised)", "mel", "clean", 0.9235, 0.4883, note="pre-trained on far more music"),
)

PREDECESSOR_NOTE = "micro ROC-AUC of rounded predictions on a random split with clips of one song on both sides"
PREDECESSOR = tuple(
    Score(f"{name} (the predecessor)", kind, "predecessor", roc, note=PREDECESSOR_NOTE)
    for name, kind, roc in (
        ("no windowing", "raw", 0.6661),
        ("split windows averaged", "raw", 0.7117),
        ("best super-pooling", "raw", 0.7343),
        ("filterbank, split windows", "mel", 0.7948),
        ("dm8", "raw", 0.7675),
        ("dm16", "raw", 0.7531),
        ("dm64", "raw", 0.7171),
        ("dm128", "raw", 0.6912),
        ("dl16_16", "raw", 0.7382),
        ("dl16_8", "raw", 0.7313),
        ("dl16_4", "raw", 0.7459),
        ("mul16a", "raw", 0.7758),
        ("mul16b", "raw", 0.7642),
        ("mul16d", "raw", 0.7754),
        ("mul16e", "raw", 0.7740),
        ("mul16f", "raw", 0.7737),
        ("TPF 0, TB 0", "raw", 0.5424),
        ("TPF 10, TB 0", "raw", 0.6661),
        ("TPF 10, TB 10", "raw", 0.6451),
        ("TPF 10, TB 104", "raw", 0.6769),
    )
)


def find(model: str) -> Score:
    """The published score of this model; KeyError for one that is not here."""
    return {score.model: score for score in SCORES}[model]
