"""What the widgets show, in plain functions: a network with the clips that it heard, its channels seen and heard."""

import io
import textwrap
from functools import lru_cache

import matplotlib.pyplot as plt
import numpy as np
import soundfile as sf
from IPython.display import Audio
from matplotlib.figure import Figure

from tagkit import audio, plots
from tagkit.analysis import sonify
from tagkit.analysis.causes import faithfulness
from tagkit.analysis.feature_maps import FeatureExtractor
from tagkit.analysis.signals import CannotPlay
from tagkit.data.catalog import Catalog, Clip
from tagkit.listening.network import Network
from tagkit.listening.packing import MP3_RATES, encode_mp3, energies

SORTINGS = ("centre frequency", "energy", "tag")
MODES = tuple(sonify.MODES)


def player(y: np.ndarray, sr: int, *, max_s: float = 10.0) -> Audio:
    """An audio player that plays what it is given: not normalised, clipped to [-1, 1], at most `max_s` long.

    The sound is embedded as MP3 (about 7 kB per second), so that notebooks stay small.

    Parameters
    ----------
    y : array (samples,)
    sr : int
        Hz; below 8 kHz some browsers play nothing.
    max_s : float
        Seconds after which the sound is cut.

    Raises
    ------
    CannotPlay
        If `y` is empty or holds NaN or infinity, or `sr` is below 8 kHz.
    """
    y = np.asarray(y, np.float32)
    if y.ndim != 1 or len(y) == 0:
        raise CannotPlay(f"a sound is an array (samples,) with at least one sample, not one of shape {y.shape}.")
    if not np.isfinite(y).all():
        raise CannotPlay("the sound holds NaN or infinity; a player would turn them into noise.")
    if sr < MP3_RATES[0]:
        raise CannotPlay(f"browsers do not play {sr} Hz reliably; resample the sound to 16000 Hz.")
    cut = np.clip(y[: max(round(max_s * sr), 1)], -1, 1)
    if sr not in MP3_RATES:
        wav = io.BytesIO()
        sf.write(wav, cut, sr, format="WAV", subtype="PCM_16")
        return Audio(data=wav.getvalue(), normalize=False)
    audio = Audio(data=encode_mp3(cut, sr)[0], normalize=False)
    audio.mimetype = "audio/mpeg"  # IPython takes all bytes for WAV
    return audio


def channel_order(seen: Network, stage: str, by: str = SORTINGS[0]) -> list[int]:
    """Channels of a stage, sorted by "centre frequency" (rising), "energy" or "tag" (falling).

    Parameters
    ----------
    by : {"centre frequency", "energy", "tag"}
        Energy is that of the changes over all clips; "tag" sorts by the ROC-AUC of each channel's own tag.

    Raises
    ------
    ValueError
        If the sorting is unknown, or by tag where no tags were measured.
    """
    if by == "energy":
        key = -energies(tuple(maps.maps[stage] for maps in seen.maps.values()))
    elif by == "centre frequency":
        key = np.nan_to_num(seen.probe.tuning(stage).centre_hz, nan=np.inf)
    elif by == "tag" and stage in seen.channel_tags:
        key = -np.array([own.auc for own in seen.channel_tags[stage]])
    elif by == "tag":
        raise ValueError(f"{seen.title}: no tags were measured for the channels of {stage}; pass channel_tags.")
    else:
        raise ValueError(f"Channels cannot be sorted by {by!r}; use one of {', '.join(SORTINGS)}.")
    return np.argsort(key, kind="stable").tolist()


def channel_choices(seen: Network, stage: str, by: str = SORTINGS[0]) -> list[tuple[str, int]]:
    """Label and number of each channel of a stage, sorted, for a dropdown.

    Parameters and errors as for `channel_order`.
    """
    return [(channel_label(seen, stage, channel), channel) for channel in channel_order(seen, stage, by)]


def channel_label(seen: Network, stage: str, channel: int) -> str:
    """For example ``"channel 12, 440 Hz, guitar .91"``."""
    centre = seen.probe.tuning(stage).centre_hz[channel]
    parts = [f"channel {channel}", f"{centre:.0f} Hz" if np.isfinite(centre) else "no frequency"]
    if stage in seen.channel_tags:
        own = seen.channel_tags[stage][channel]
        parts.append(f"{own.tag} {own.auc:.2f}".replace(" 0.", " .") + (" (tested)" if own.tested else ""))
    return ", ".join(parts)


def hear(seen: Network, clip: str, stage: str, channel: int, mode: str = "carrier") -> np.ndarray:
    """The sound (samples,) of one channel in any of `MODES`; "original" is the clip itself, at the same level.

    Parameters
    ----------
    clip : str
        Title of one of its clips.
    mode : str
        One of `sonify.MODES`.

    Raises
    ------
    CannotPlay
        Where the sound would mean nothing; the message says why.
    """
    return sonify.level(_heard(seen, clip, stage, channel, mode).y)


def fidelity(seen: Network, clip: str, stage: str, channel: int, mode: str) -> str:
    """How far the sound is the channel's, where that can be measured, in words; else "".

    For gated, mask and carrier it is the share of the channel's answer that the sound carries, beside its controls
    (`tagkit.analysis.causes.faithfulness`); for "mask" also the re-encoding error (0 where the masked clip excites the
    channel as the clip did) beside that of its control, which points at nothing in the clip. Parameters and errors as
    for `hear`.
    """
    sound, words = _heard(seen, clip, stage, channel, mode), ""
    if seen.model and mode in faithfulness.MODES:
        maps, extract = seen.maps[clip], _extractor(seen, stage)
        words = faithfulness.of_sound(seen.model, maps, stage, channel, mode, seen.probe, extract=extract).words()
    if sound.error is None:
        return words
    better = "" if sound.error < sound.control else ": the mask says nothing about this channel"
    return (
        f"{words}; re-encoding error {sound.error:.2f} (0: the channel takes the sound for the clip); "
        f"the clip turned down, or silence: {sound.control:.2f}{better}"
    )


def moments(seen: Network, stage: str, channel: int, kind: str = "most", n: int = 3) -> list[tuple[str, Audio]]:
    """Words and a player for each of the moments that excite a channel "most", "median" or "least".

    Parameters
    ----------
    n : int
        How many.

    Raises
    ------
    ValueError
        The network was made without a library, or there is no such stage or kind.
    IndexError
        The stage has no such channel.
    """
    if seen.library is None:
        raise ValueError(f"{seen.title} has no music to look for excerpts in: pass library=Library(portrait, records).")
    return [
        (
            f"{excerpt.title}, around {moment.time_s:.1f} s ({', '.join(excerpt.tags)}): "
            f"rank {moment.rank} of {moment.pieces} pieces",
            player(sonify.level(excerpt.y), excerpt.sr),
        )
        for excerpt, moment in seen.library.moments(stage, channel, kind, n)
    ]


@lru_cache(maxsize=4)
def _extractor(seen: Network, stage: str) -> FeatureExtractor:
    return FeatureExtractor(seen.model, [stage])


@lru_cache(maxsize=1)  # picture, player and words ask for the same sound
def _heard(seen: Network, clip: str, stage: str, channel: int, mode: str) -> sonify.Sound:
    return sonify.render(seen.maps[clip], stage, channel, mode, seen.probe, seen.model)


def draw(seen: Network, clip: str, stage: str, channel: int, mode: str = "carrier") -> Figure:
    """The clip, the channel over time, what is heard (where it may be heard), and the channel's filter curve.

    Parameters as for `hear`; where that refuses, the reason stands in place of the sound.
    """
    maps = seen.maps[clip]
    figure, axes = plt.subplot_mosaic(
        [["clip", "curve"], ["channel", "curve"], ["sound", "text"]],
        figsize=(11, 6.5),
        layout="constrained",
        width_ratios=(2, 1),
        height_ratios=(1, 0.6, 1),
    )
    plots.spectrogram(maps.y, maps.sr, title=clip, ax=axes["clip"])
    axes["channel"].plot(maps.times(stage), maps.channel(stage, channel), color=plots.COLOURS[0], linewidth=0.8)
    axes["channel"].set(
        title=f"{stage}, channel {channel}", xlabel="time (s)", ylabel="value", xlim=axes["clip"].get_xlim()
    )
    words = describe(seen, stage, channel)
    try:
        sound = hear(seen, clip, stage, channel, mode)
        plots.spectrogram(sound, maps.sr, title=f"What you hear ({mode})", ax=axes["sound"])
        words += "\n" + _wrapped(fidelity(seen, clip, stage, channel, mode), 36)
    except CannotPlay as refusal:
        axes["sound"].text(0.0, 0.5, _wrapped(str(refusal)), va="center", in_layout=False)
        axes["sound"].set_axis_off()
    plots.filter_spectra(
        seen.probe.frequencies, seen.probe.curve(stage), [channel], title="Answers to tones", ax=axes["curve"]
    ).get_legend().remove()
    axes["text"].text(0.0, 0.9, words, va="top", fontsize=10, in_layout=False)
    axes["text"].set_axis_off()
    plt.close(figure)  # else a notebook shows it a second time at the end of the cell
    return figure


def describe(seen: Network, stage: str, channel: int) -> str:
    """Geometry and tuning of a channel in words, and how far to believe them."""
    place, tuning = seen.probe.geometry[stage], seen.probe.tuning(stage)
    return "\n".join(
        [
            f"one value every {1000 * place.stride / place.sr:.3g} ms ({place.stride} samples)",
            f"each sees {1000 * place.receptive_field / place.sr:.3g} ms ({place.receptive_field} samples)",
            f"changes up to {place.nyquist_hz:.3g} Hz",
            *(
                ["no centre frequency"]
                if np.isnan(tuning.centre_hz[channel])
                else [
                    f"centre {tuning.centre_hz[channel]:.0f} Hz",
                    f"-3 dB band {tuning.low_hz[channel]:.0f} to {tuning.high_hz[channel]:.0f} Hz",
                ]
            ),
            _wrapped(tuning.caution(channel), 36),
        ]
    ).rstrip()


def compare(
    a: tuple[Network, str, int], b: tuple[Network, str, int], clip: str, mode: str = "carrier"
) -> tuple[np.ndarray, np.ndarray]:
    """The sounds (samples,) of two channels for one clip, with one gain for both.

    Parameters
    ----------
    a, b : tuple of (Network, str, int)
        Network, stage and channel.
    clip : str
        Title of a clip that both have heard.
    mode : {"raw", "carrier", "gated"}

    Raises
    ------
    CannotPlay
        As for `sonify.sonify`.
    """
    (seen_a, stage_a, channel_a), (seen_b, stage_b, channel_b) = a, b
    first, second = sonify.side_by_side(
        [seen_a.maps[clip], seen_b.maps[clip]],
        [stage_a, stage_b],
        [channel_a, channel_b],
        mode,
        probe=[seen_a.probe, seen_b.probe],
    )
    return first, second


def nine(seen: Network, clip: str, stage: str, by: str = "energy") -> list[int]:
    """Nine channels of a stage that move in this clip (or as many as do).

    Parameters
    ----------
    clip : str
        Title of one of its clips.
    by : {"energy", "centre frequency", "tag"}
        The first nine of this sorting; of centre frequencies, nine that are spread over all of them.

    Raises
    ------
    ValueError
        As for `channel_order`.
    """
    a = seen.maps[clip].maps[stage]
    order = [channel for channel in channel_order(seen, stage, by) if np.ptp(a[:, channel]) > 0]
    if by == "centre frequency" and len(order) > 9:
        return [order[i] for i in np.linspace(0, len(order) - 1, 9).round().astype(int)]
    return order[:9]


def example(catalog: Catalog, tag: str, number: int, sr: int) -> tuple[Clip, np.ndarray]:
    """One of the clips with a tag, and its samples (samples,) at the sampling rate `sr`.

    Parameters
    ----------
    tag : str
        One that some clip has.
    number : int
        Which of them, from 0; past the last one it starts again.
    sr : int
        Hz.

    Raises
    ------
    AudioError
        Its file cannot be read.
    """
    ids = catalog.labels.index[catalog.labels[tag]]
    clip = catalog[ids[number % len(ids)]]
    return clip, audio.load(clip.path, sr)


def _wrapped(text: str, width: int = 70) -> str:
    return "\n".join(textwrap.wrap(text, width))
