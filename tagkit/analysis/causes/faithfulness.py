"""How much of a channel's answer a sound carries that is made to let one hear the channel.

A sound that a channel was turned into may please the ear and miss what the channel heard. So it is fed back into the
network. If the channel answers to it as it did to the clip, the sound carries what the channel heard. The controls say
what that is worth: the same kind of sound aimed at random, and the loudest parts of the clip in the same number.

Parekh et al., "Listen to interpret", NeurIPS 2022; Paissan et al., "Listenable maps for audio classifiers", ICML 2024.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np

from tagkit.analysis import attribution, signals, sonify
from tagkit.analysis.feature_maps import FeatureExtractor, FeatureMaps
from tagkit.analysis.signals import CannotPlay
from tagkit.analysis.sonify import Scene, Tuned
from tagkit.analysis.spectra import ToneProbe
from tagkit.graph import sampling_rate

MODES = ("gated", "mask", "carrier")
DRAWS = 8
LOWEST_HZ, HIGHEST = 50.0, 0.45  # of the sampling rate: where a sound that is aimed at random may be
HELD = 0.95  # of a sound's energy: the bins that hold it are its size
FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)  # of the bins, in deletion and insertion


@dataclass(frozen=True)
class Faithfulness:
    """How much of a channel's answer to a clip one of its sounds carries, and what its controls do; shares, 0 to 1.

    Attributes
    ----------
    carried : float
    random : ndarray (draws,)
        The same kind of sound aimed at random: at another time, in another band.
    energy : float
        The loudest bins of the clip's STFT, as many as hold the sound.
    """

    carried: float
    random: np.ndarray = field(repr=False)
    energy: float

    @property
    def p(self) -> float:
        """How often a sound that is aimed at random carries at least as much."""
        return float((1 + (self.random >= self.carried).sum()) / (1 + len(self.random)))

    def words(self) -> str:
        """For a reader."""
        return (
            f"carries {self.carried:.0%} of the channel's answer; aimed at random, such sounds carry "
            f"{self.random.mean():.0%}, the loudest parts of the clip {self.energy:.0%}"
        )


def share(answers: np.ndarray, answer: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """How much of an answer other answers are, with a gain of at most 1 on each of them: 0 nothing, 1 all of it.

    Parameters
    ----------
    answers : ndarray (..., frames)
        A channel's maps of some sounds.
    answer : ndarray (frames,)
        Its map of the clip.
    rest : ndarray (frames,)
        Its map of silence, from where answers are counted.

    Returns
    -------
    ndarray (...)
        ``1 - |g b - a|^2 / |a|^2`` with the best g from 0 to 1. The gain is there because sounds have no level of
        their own. It is at most 1, so a sound that moves the channel less than the clip did does not get away with it.
    """
    a, b = np.asarray(answer - rest, np.float64), np.asarray(answers - rest, np.float64)
    both, own, whole = b @ a, np.square(b).sum(axis=-1), float(a @ a)
    if whole == 0:
        return np.zeros(b.shape[:-1])
    gain = np.clip(np.divide(both, own, out=np.zeros_like(both), where=own > 0), 0, 1)
    return np.clip(1 - (gain**2 * own - 2 * gain * both + whole) / whole, 0, 1)


def as_loud(sound: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A sound with the energy of the clip `y`; silence stays silent."""
    own = np.linalg.norm(sound)
    return (sound * (np.linalg.norm(y) / own if own > 0 else 1)).astype(np.float32)


def matrix(
    extract: FeatureExtractor, y: np.ndarray, stage: str, channels: Sequence[int], sounds: Sequence[np.ndarray | None]
) -> np.ndarray:
    """How much of each channel's answer to a clip each sound carries, all as loud as the clip.

    Parameters
    ----------
    extract : FeatureExtractor
        Of the stage.
    y : ndarray (samples,)
        The clip.
    channels : sequence of int
    sounds : sequence of ndarray (samples,) or None
        None where there is no sound.

    Returns
    -------
    ndarray (sounds, channels)
        NaN without a sound.
    """
    answer, rest = (extract(x).maps[stage][:, list(channels)].T for x in (y, np.zeros_like(y)))
    found = np.full((len(sounds), len(channels)), np.nan)
    for k, sound in enumerate(sounds):
        if sound is not None:
            heard = extract(as_loud(sound, y)).maps[stage][:, list(channels)].T
            found[k] = [share(*each) for each in zip(heard, answer, rest, strict=True)]
    return found


def of_sound(
    model: keras.Model,
    maps: FeatureMaps,
    stage: str,
    channel: int,
    mode: str = "gated",
    probe: ToneProbe | Tuned | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    extract: FeatureExtractor | None = None,
) -> Faithfulness:
    """How much of a channel's answer to a clip its sound carries, beside its controls.

    Parameters
    ----------
    maps : FeatureMaps
        Of the clip.
    mode : {"gated", "mask", "carrier"}
    probe : ToneProbe or Tuned, optional
        As for `sonify.sonify`.
    draws : int
        Sounds that are aimed at random.
    extract : FeatureExtractor, optional
        Of the stage, where one is at hand.

    Raises
    ------
    CannotPlay
        There is no such sound.
    """
    if mode not in AIMS:
        raise CannotPlay(f"faithfulness is measured of {', '.join(AIMS)}, not of {mode!r}.")
    scene, rng = Scene(maps, stage, channel, probe, model), np.random.default_rng(seed)
    sound, aim = AIMS[mode](scene)
    controls = [*(aim(rng) for _ in range(draws)), loudest(maps.y, size(sound, maps.sr), maps.sr)]
    found = matrix(extract or FeatureExtractor(model, [stage]), maps.y, stage, [channel], [sound, *controls])[:, 0]
    return Faithfulness(float(found[0]), found[1:-1], float(found[-1]))


Aim = Callable[[np.random.Generator], np.ndarray]


def _gated(scene: Scene) -> tuple[np.ndarray, Aim]:
    a, place = scene.map()
    low, high = scene.tuned().band_hz

    def aim(rng: np.random.Generator) -> np.ndarray:
        factor = _frequency(rng, place.sr) / np.sqrt(max(low, LOWEST_HZ) * min(high, place.sr / 2))
        return signals.gated(_turned(a, rng), place, scene.maps.y, (low * factor, high * factor))

    return signals.gated(a, place, scene.maps.y, (low, high)), aim


def _carrier(scene: Scene) -> tuple[np.ndarray, Aim]:
    a, place = scene.map()

    def tone(a: np.ndarray, hz: float) -> np.ndarray:
        return signals.carrier(a, place, len(scene.maps.y), hz)

    return tone(a, scene.tuned().centre_hz), lambda rng: tone(_turned(a, rng), _frequency(rng, place.sr))


def _mask(scene: Scene) -> tuple[np.ndarray, Aim]:
    y, sr = scene.maps.y, scene.maps.sr
    mask = attribution.masked(scene.model, y, scene.stage, scene.channel).mask

    def aim(rng: np.random.Generator) -> np.ndarray:
        return attribution.apply_mask(y, np.roll(mask, [rng.integers(n) for n in mask.shape], axis=(0, 1)), sr)

    sound = attribution.apply_mask(y, mask, sr)
    if not np.any(sound):
        raise CannotPlay(f"no gradient flows back from {scene}: it stays at or below 0 in this clip.")
    return sound, aim


AIMS: Mapping[str, Callable[[Scene], tuple[np.ndarray, Aim]]] = {"gated": _gated, "mask": _mask, "carrier": _carrier}


def _turned(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A map that begins at a random frame and goes on from its start behind its end."""
    return np.roll(a, rng.integers(len(a)))


def _frequency(rng: np.random.Generator, sr: int) -> float:
    return float(np.exp(rng.uniform(np.log(LOWEST_HZ), np.log(HIGHEST * sr))))


def size(sound: np.ndarray, sr: int) -> int:
    """How many bins of an STFT hold a sound: those with the most energy, together 95 % of it."""
    energy = np.sort(np.abs(attribution.stft(sr).stft(np.asarray(sound, np.float64))).ravel() ** 2)[::-1]
    return int(np.searchsorted(np.cumsum(energy), HELD * energy.sum()) + 1)


def loudest(y: np.ndarray, bins: int, sr: int) -> np.ndarray:
    """So many bins of a clip's STFT, the loudest ones, as sound (samples,)."""
    power = np.abs(attribution.stft(sr).stft(np.asarray(y, np.float64)))
    return attribution.apply_mask(y, _first(power, bins), sr)


def _first(importance: np.ndarray, bins: int) -> np.ndarray:
    """A mask of the most important bins."""
    mask = np.zeros(importance.size)
    mask[np.argsort(-importance.ravel(), kind="stable")[:bins]] = 1
    return mask.reshape(importance.shape)


def deletion_insertion(
    extract: FeatureExtractor, y: np.ndarray, stage: str, channel: int, importance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What is left of a channel's answer without the most important bins of a clip, and with nothing else.

    Parameters
    ----------
    importance : ndarray (bins, frames)
        Of an STFT as `attribution.stft` makes it: the mask of a channel, the clip's magnitude, or random numbers.

    Returns
    -------
    deletion, insertion : ndarray (fractions,)
        Shares of the answer, at the clip's own level, for each of `FRACTIONS` of the bins. A good mask has a low
        deletion and a high insertion; what a mask is worth, masks of energy and of chance tell.
    """
    answer, rest = (extract(x).maps[stage][:, channel] for x in (y, np.zeros_like(y)))
    curves = []
    for keep in (False, True):
        masks = [_first(importance, round(f * importance.size)) for f in FRACTIONS]
        sounds = [attribution.apply_mask(y, mask if keep else 1 - mask, sampling_rate(extract.model)) for mask in masks]
        heard = np.stack([extract(sound.astype(np.float32)).maps[stage][:, channel] for sound in sounds])
        curves.append(share(heard, answer, rest))
    return curves[0], curves[1]


def drop_and_gain(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Average drop and average gain of a tag's probability when its clips are replaced by sounds.

    Parameters
    ----------
    before, after : ndarray (clips,)
        Probabilities in (0, 1).

    Returns
    -------
    float, float
        Means of ``max(0, before - after) / before`` and ``max(0, after - before) / (1 - before)``.
    """
    drop = np.maximum(before - after, 0) / before
    return float(drop.mean()), float((np.maximum(after - before, 0) / (1 - before)).mean())


def channel_sounds(
    maps: FeatureMaps, stage: str, channels: Sequence[int], mode: str, probe: ToneProbe
) -> list[np.ndarray | None]:
    """The sounds of some channels in a mode that needs no network; None where it refuses."""
    found = []
    for channel in channels:
        try:
            found.append(sonify.render(maps, stage, channel, mode, probe).y)
        except CannotPlay:
            found.append(None)
    return found
