"""The listening page: one HTML file in which one clicks through stages and channels of networks and hears them.

The page needs no network, no kernel and no Python: it carries the excerpts as MP3, the feature maps as int8 and the
filter curves, and makes the sounds in the browser, as `tagkit.analysis.sonify` makes them here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

import tagkit
from tagkit import audio
from tagkit.analysis import feature_maps, signals, spectra
from tagkit.analysis.geometry import Stage
from tagkit.analysis.selectivity import ChannelTag
from tagkit.data.catalog import Clip
from tagkit.listening import html
from tagkit.listening.packing import pack
from tagkit.listening.parts import PageClip, PageModel, PageStage, PageTooLargeError
from tagkit.system import files

__all__ = ["Measured", "PageClip", "PageModel", "PageStage", "PageTooLargeError", "excerpt", "pack", "view", "write"]

TITLE = "Listen inside a network"
LEAD = (
    "A neural network learned to tag music from the bare waveform. Step inside: choose a piece, walk through the "
    "stages, and listen to what each channel responds to."
)


@dataclass(frozen=True)
class Measured:
    """What is known of the networks of a page already, each by the network's title; what is missing is left out.

    Attributes
    ----------
    probes : dict of str -> ToneProbe
        Measured at -20 dBFS where they are missing.
    twins : dict of str -> ToneProbe or None
        Of the untrained networks: their curves stand behind those of the trained ones.
    scores : dict of str -> one dict of tag -> score for each clip
        What the network says about each clip, in the order to show.
    channel_tags : dict of str -> dict of stage -> ChannelTag of each channel
        The tag that is each channel's own.
    """

    probes: Mapping[str, spectra.ToneProbe] = field(default_factory=dict)
    twins: Mapping[str, spectra.ToneProbe | None] = field(default_factory=dict)
    scores: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    channel_tags: Mapping[str, Mapping[str, Sequence[ChannelTag]]] = field(default_factory=dict)


def write(
    path: Path | str,
    models: Mapping[str, keras.Model] | Sequence[keras.Model],
    clips: Sequence[Clip | PageClip],
    *,
    stages: Sequence[str] | None = None,
    measured: Measured | None = None,
    seconds: float = 7.0,
    max_channels: int = 32,
    sr: int = 16000,
    title: str = TITLE,
    lead: str = LEAD,
) -> Path:
    """Write the listening page of one or several networks for a few clips.

    Parameters
    ----------
    path : path
        The HTML file.
    models : dict of str -> keras.Model, or sequence of keras.Model
        Networks by the title that a listener reads (by default the network's name).
    clips : sequence of Clip or PageClip
        Three or four. Of a Clip the liveliest `seconds` are taken (`excerpt`).
    stages : sequence of str, optional
        Stages to show; by default all that have a time axis.
    measured : Measured, optional
    seconds : float
        Length of an excerpt.
    max_channels : int
        Channels kept of a stage, at most; fewer where the page would grow too large.
    sr : int
    title, lead : str
        Heading and opening sentence.

    Returns
    -------
    Path

    Raises
    ------
    PageTooLargeError
        If the page would take 2 MB or more even with the fewest channels.
    """
    named = dict(models) if isinstance(models, Mapping) else {model.name: model for model in models}
    pieces = [clip if isinstance(clip, PageClip) else excerpt(clip, seconds, sr=sr) for clip in clips]
    known = measured or Measured()
    views = [view(model, pieces, title=name, stages=stages, measured=known, sr=sr) for name, model in named.items()]
    packed = pack(pieces, views, sr=sr, max_channels=max_channels, max_bytes=html.data_budget())
    text = html.render(packed, title=title, lead=lead, facts=_facts(named))
    with files.atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def excerpt(
    clip: Clip, seconds: float = 7.0, *, y: np.ndarray | None = None, start_s: float | None = None, sr: int = 16000
) -> PageClip:
    """Cut an excerpt out of a clip of a Catalog.

    Parameters
    ----------
    clip : Clip
    seconds : float
    y : array (samples,), optional
        The clip's samples at `sr`, where they are at hand; by default its file is decoded.
    start_s : float, optional
        By default the excerpt starts where the `seconds` with the most onsets do, in steps of half a second.
    sr : int

    Returns
    -------
    PageClip
    """
    y = audio.load(clip.path, sr=sr) if y is None else y
    length = min(round(seconds * sr), len(y))
    start = _liveliest(y, length, sr) if start_s is None else min(round(start_s * sr), len(y) - length)
    name = ": ".join(part for part in (clip.artist, clip.title) if part) or clip.clip_id
    return PageClip(name, y[start : start + length], clip.tags)


def view(
    model: keras.Model,
    clips: Sequence[PageClip],
    *,
    title: str | None = None,
    stages: Sequence[str] | None = None,
    measured: Measured | None = None,
    sr: int = 16000,
) -> PageModel:
    """Feature maps and filter curves of one network, ready to be packed; parameters as in `write`."""
    title, known = title or model.name, measured or Measured()
    probe = known.probes.get(title) or spectra.tone_probe(model, stages, sr=sr, levels_dbfs=(-20.0,))
    twin, tags = known.twins.get(title), known.channel_tags.get(title, {})
    maps = list(feature_maps.stream(model, [clip.y for clip in clips], stages, sr=sr))
    seen = tuple(
        _stage(place, [each.maps[name] for each in maps], probe, twin, tags.get(name, ()), sr)
        for name, place in maps[0].geometry.items()
    )
    return PageModel(model.name, title, seen, tuple(dict(each) for each in known.scores.get(title, ())))


def _stage(
    stage: Stage,
    maps: list[np.ndarray],
    probe: spectra.ToneProbe,
    twin: spectra.ToneProbe | None,
    tags: Sequence[ChannelTag],
    sr: int,
) -> PageStage:
    tuning = probe.tuning(stage.name)
    return PageStage(
        name=stage.name,
        stride=stage.stride,
        receptive_field=stage.receptive_field,
        offset=stage.offset,
        maps=tuple(maps),
        frequencies_hz=probe.frequencies,
        responses=probe.curve(stage.name),
        centre_hz=tuning.centre_hz,
        low_hz=tuning.low_hz,
        high_hz=tuning.high_hz,
        refused=_refused(stage, sr),
        notes=tuple(tuning.caution(channel) for channel in range(stage.channels)),
        channel_tags=tuple(tags),
        untrained=None if twin is None else twin.curve(stage.name),
    )


def _refused(stage: Stage, sr: int) -> dict[str, str]:
    """Reasons for a listener; `signals.raw` refuses the same stages with advice for a programmer."""
    if stage.stride <= signals.LARGEST_RAW_STRIDE:
        return {}
    return {
        "raw": f"{stage.name} gives {stage.frame_rate(sr):.3g} values per second, so nothing above "
        f"{stage.nyquist_hz(sr):.3g} Hz is left in them, which is too low to be heard as sound."
    }


def _liveliest(y: np.ndarray, length: int, sr: int) -> int:
    """Start of the stretch with the largest sum of rises in loudness, in decibels between blocks of 50 ms."""
    block = sr // 20
    power = np.square(y[: len(y) // block * block].astype(np.float64)).reshape(-1, block).mean(1)
    rises = np.maximum(np.diff(10 * np.log10(power + 1e-6), prepend=-60.0), 0)
    starts = np.arange(0, max(len(y) - length, 0) + 1, sr // 2)
    return int(max(starts, key=lambda start: rises[start // block + 1 : (start + length) // block].sum()))


def _facts(models: Mapping[str, keras.Model]) -> str:
    sizes = ", ".join(f"{name} ({model.count_params():,} parameters)" for name, model in models.items())
    return f"Made with tagkit {tagkit.__version__} from {sizes}. Filter curves were measured with tones at -20 dBFS."
