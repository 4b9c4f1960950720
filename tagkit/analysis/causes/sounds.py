"""How faithful the sounds of a network's channels are, stage by stage, on pieces that it has not heard."""

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
import pandas as pd
from scipy.special import expit

from tagkit.analysis import sonify
from tagkit.analysis.causes import faithfulness
from tagkit.analysis.causes.faithfulness import MODES
from tagkit.analysis.causes.statistics import FEWEST_PIECES, effect
from tagkit.analysis.feature_maps import FeatureExtractor
from tagkit.analysis.feature_maps import run as outputs_of
from tagkit.analysis.portrait import Portrait
from tagkit.analysis.signals import CannotPlay
from tagkit.data.records import Records
from tagkit.data.windows import evaluation_windows
from tagkit.evaluation.compare import holm
from tagkit.system.progress import progress_bar
from tagkit.training.runs import Run

CHANNELS, CLIPS, DRAWS, SECONDS = 2, 9, 4, 5.0
MARGIN = 0.05  # of a clip, left out at its start


@dataclass(frozen=True)
class Heard:
    """One sound: the stage and channel, its mode and piece, what it and its controls carry, and the channel's own tag's
    probability for the clip and for the sound."""

    stage: str
    channel: int
    mode: str
    piece: str
    carried: float
    random: float
    energy: float
    tag_before: float
    tag_after: float


def measure(
    run: Run,
    portrait: Portrait,
    records: Records,
    *,
    channels: int = CHANNELS,
    clips: int = CLIPS,
    progress: bool = True,
) -> pd.DataFrame:
    """The faithfulness of the sounds of some channels of each stage.

    Parameters
    ----------
    portrait : Portrait
        Of the run.
    records : Records
        Hold the portrait's clips.
    channels : int
        Of each stage: those that tell a tag best.
    clips : int
        One held-out clip of so many pieces.

    Returns
    -------
    DataFrame
        A row for each sound, with the fields of `Heard`.

    Raises
    ------
    TrainingError
        The network merges windows.
    """
    run.needs_single_windows("playing sounds to it again")
    model = run.model()
    own = portrait.channel_tags()
    rows, chosen = [], portrait.once[:clips]
    bar = progress_bar(portrait.stages, "hear sounds again", unit="stage", disable=not progress)
    for stage in bar:
        extract = FeatureExtractor(model, [stage])
        best = sorted(range(len(own[stage])), key=lambda c, tags=own[stage]: (-tags[c].tested, -tags[c].auc))[:channels]
        for index in chosen:
            y = records.waveform(portrait.clips[index])
            start = round(MARGIN * len(y))
            y = y[start : start + round(SECONDS * records.sr)]
            for channel in best:
                tag = run.tags.index(own[stage][channel].tag) if own[stage][channel].tag in run.tags else None
                about = stage, channel, str(portrait.pieces[index])
                rows += list(_of_channel(model, extract, y, about, tag, portrait))
    return pd.DataFrame(rows)


def _of_channel(
    model: keras.Model,
    extract: FeatureExtractor,
    y: np.ndarray,
    about: tuple[str, int, str],
    tag: int | None,
    portrait: Portrait,
) -> Iterator[Heard]:
    stage, channel, piece = about
    maps, probe = extract(y), portrait.trained.probe
    before = _probability(model, y, tag)
    for mode in MODES:
        try:
            found = faithfulness.of_sound(model, maps, stage, channel, mode, probe, draws=DRAWS, extract=extract)
            sound = sonify.render(maps, stage, channel, mode, probe, model).y
        except CannotPlay:  # a channel that stays silent in this clip, or has no frequency, has no such sound
            continue
        after = _probability(model, faithfulness.as_loud(sound, y), tag)
        shares = found.carried, float(found.random.mean()), found.energy
        yield Heard(stage, channel, mode, piece, *shares, before, after)


def _probability(model: keras.Model, y: np.ndarray, tag: int | None) -> float:
    """A tag's probability for a clip, the mean over its windows; NaN without a tag."""
    if tag is None:
        return np.nan
    cut = evaluation_windows(y, model.input_shape[1])
    (logits,) = outputs_of(model, cut[..., None].astype(np.float32))
    return float(expit(logits[:, tag]).mean())


def table(sounds: pd.DataFrame) -> pd.DataFrame:
    """What sounds carry, by stage and mode.

    Returns
    -------
    DataFrame
        Means over pieces: `carried` and, of the controls, `random` and `energy`; `low` and `high` of carried - random,
        and `p`, adjusted by Holm's method; `drop` and `gain` of the tag (`faithfulness.drop_and_gain`); the number of
        `pieces`. Unknown values are NaN: fewer than 8 pieces tell nothing.
    """
    rows = {}
    for key, some in sounds.groupby(["stage", "mode"], sort=False):
        shares = some[["carried", "random", "energy"]].to_numpy()
        found = effect(np.column_stack([shares, shares[:, 0] - shares[:, 1]]), some["piece"].to_numpy())
        tagged = some.dropna(subset=["tag_before", "tag_after"])
        moved = faithfulness.drop_and_gain(tagged["tag_before"].to_numpy(), tagged["tag_after"].to_numpy())
        known = found.pieces >= FEWEST_PIECES
        bounds = (found.low[3], found.high[3], found.p[3]) if known else (np.nan,) * 3
        rows[key] = (*found.mean[:3], *bounds, *(moved if len(tagged) else (np.nan, np.nan)), found.pieces)
    columns = ["carried", "random", "energy", "low", "high", "p", "drop", "gain", "pieces"]
    found = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    found.index = pd.MultiIndex.from_tuples(found.index, names=["stage", "mode"])
    asked = found["p"].notna()
    found.loc[asked, "p"] = holm(found.loc[asked, "p"].to_numpy())
    return found
