"""A network with what it made of a few clips: what the listening page and the widgets show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np

from tagkit.analysis import excerpts, feature_maps, spectra
from tagkit.analysis.excerpts import Moment
from tagkit.analysis.feature_maps import FeatureMaps
from tagkit.analysis.portrait import Portrait
from tagkit.analysis.selectivity import ChannelTag
from tagkit.analysis.spectra import ToneProbe
from tagkit.data.records import Records


@dataclass(frozen=True)
class Excerpt:
    """A part of a clip that is listened to.

    Attributes
    ----------
    title : str
        What a listener reads, for example ``"Bach: Prelude in C"``.
    y : ndarray (samples,)
        Float samples in [-1, 1).
    sr : int
        Hz.
    tags : tuple of str
        What the clip was tagged with.
    """

    title: str
    y: np.ndarray = field(repr=False)
    sr: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Library:
    """The music behind a network's portrait, in which its channels have moments that excite them most.

    Attributes
    ----------
    portrait : Portrait
    records : Records
        Hold the portrait's clips.
    """

    portrait: Portrait = field(repr=False)
    records: Records = field(repr=False)

    def moments(self, stage: str, channel: int, kind: str, n: int = 3) -> list[tuple[Excerpt, Moment]]:
        """Excerpts of 1.5 s around the moments that excite a channel "most", "median" or "least".

        Errors as for `excerpts.moments`.
        """
        found = []
        for moment in excerpts.moments(self.portrait, stage, channel, kind, n):
            clip, sr = self.records.catalog[moment.clip_id], self.records.sr
            y = excerpts.cut(self.records.waveform(moment.clip_id), sr, moment.time_s)
            found.append((Excerpt(clip.name, y, sr, clip.tags), moment))
        return found


@dataclass(frozen=True, eq=False)
class Network:
    """A network with what it made of a few clips; from `network`.

    Attributes
    ----------
    title : str
    maps : dict of str -> FeatureMaps
        By the clip's title.
    probe : ToneProbe
    control : ToneProbe, optional
        Of the random-initialisation control.
    channel_tags : dict of str -> sequence of ChannelTag
        For some stages: the tag that is each channel's own.
    scores : dict of str -> dict of str -> float
        By the clip's title: the tags that the network gives it, in the order to show.
    model : keras.Model, optional
        Needed by the modes that go through the network.
    library : Library, optional
        The music that its channels were measured on.
    """

    title: str
    maps: Mapping[str, FeatureMaps] = field(repr=False)
    probe: ToneProbe = field(repr=False)
    control: ToneProbe | None = field(default=None, repr=False)
    channel_tags: Mapping[str, Sequence[ChannelTag]] = field(default_factory=dict, repr=False)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict, repr=False)
    model: keras.Model | None = field(default=None, repr=False)
    library: Library | None = field(default=None, repr=False)

    @property
    def clips(self) -> list[str]:
        """Titles of the clips."""
        return list(self.maps)

    @property
    def stages(self) -> list[str]:
        """Names of the stages, in order."""
        return list(next(iter(self.maps.values())).maps)


def network(
    model: keras.Model,
    clips: Sequence[Excerpt] | Mapping[str, np.ndarray],
    *,
    title: str | None = None,
    stages: Sequence[str] | None = None,
    probe: ToneProbe | None = None,
    control: ToneProbe | None = None,
    channel_tags: Mapping[str, Sequence[ChannelTag]] | None = None,
    scores: Mapping[str, Mapping[str, float]] | None = None,
    library: Library | None = None,
) -> Network:
    """Compute what page and widgets show of a network.

    Parameters
    ----------
    clips : sequence of Excerpt, or dict of str -> ndarray (samples,)
        At the network's sampling rate, float in [-1, 1), each with a title of its own.
    title : str, optional
        Default: the network's name.
    stages : sequence of str, optional
        Default: all that have a time axis.
    probe : ToneProbe, optional
        Default: measured now, at -20 dBFS.
    control, channel_tags, scores, library
        As in `Network`.

    Raises
    ------
    ValueError
        There are no clips, two have the same title, or one cannot be computed (see `feature_maps.compute`).
    """
    named = clips if isinstance(clips, Mapping) else {clip.title: clip.y for clip in clips}
    if not named:
        raise ValueError(f"There is nothing to hear {model.name} with; pass at least one clip.")
    if len(named) < len(clips):
        raise ValueError("Two of the clips have the same title; give each its own.")
    maps = dict(zip(named, feature_maps.stream(model, named.values(), stages), strict=True))
    probe = probe or spectra.tone_probe(model, stages, levels_dbfs=(-20.0,))
    return Network(title or model.name, maps, probe, control, channel_tags or {}, scores or {}, model, library)
