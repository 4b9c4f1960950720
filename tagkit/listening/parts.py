"""What the listening page is made of: clips, stages and networks, as `tagkit.listening.packing` packs them."""

from dataclasses import dataclass, field

import numpy as np

from tagkit.analysis.selectivity import ChannelTag


class PageTooLargeError(ValueError):
    """What was asked for does not fit into one page; the message says by how much and what to leave out."""


@dataclass(frozen=True)
class PageClip:
    """An excerpt of a clip that the page plays.

    Attributes
    ----------
    title : str
        What a listener reads, for example ``"Bach: Prelude in C"``.
    y : array (samples,)
        Float samples in [-1, 1); all excerpts of a page share one sampling rate.
    tags : tuple of str
        What the clip was tagged with.
    """

    title: str
    y: np.ndarray
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class PageStage:
    """One stage of a network, seen through the clips of the page.

    Attributes
    ----------
    name : str
    stride, receptive_field, offset : int, int, float
        Geometry in samples: frame ``n`` is centred at sample ``n * stride + offset``.
    maps : tuple of arrays (frames, channels)
        One feature map for each clip of the page, in the same order.
    frequencies_hz : array (tones,)
        Frequencies of the tone probe, rising; empty where the stage was not probed.
    responses : array (tones, channels)
        Amplitude that each channel answers with (linear).
    centre_hz, low_hz, high_hz : arrays (channels,)
        Centre frequency and -3 dB band; NaN where a channel has none.
    refused : dict of str -> str
        Modes that have no meaning at this stage, each with the reason in one sentence.
    notes : tuple of str
        One remark for each channel, "" where there is none (for example that it answers mostly with aliases).
    channel_tags : tuple of ChannelTag
        For each channel the tag that is its own; empty where that was not measured.
    untrained : array (tones, channels), optional
        The answer of the same channels before training.
    """

    name: str
    stride: int
    receptive_field: int
    offset: float
    maps: tuple[np.ndarray, ...]
    frequencies_hz: np.ndarray
    responses: np.ndarray
    centre_hz: np.ndarray
    low_hz: np.ndarray
    high_hz: np.ndarray
    refused: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    channel_tags: tuple[ChannelTag, ...] = ()
    untrained: np.ndarray | None = None

    @property
    def channels(self) -> int:
        """Number of channels of the stage."""
        return self.maps[0].shape[1]


@dataclass(frozen=True)
class PageModel:
    """One network of the page: its stages in order, and (optionally) its scores for each clip.

    Attributes
    ----------
    name, title : str
    stages : tuple of PageStage
    scores : tuple of dict of str -> float
        For each clip the tags with the highest scores.
    """

    name: str
    title: str
    stages: tuple[PageStage, ...]
    scores: tuple[dict[str, float], ...] = ()
