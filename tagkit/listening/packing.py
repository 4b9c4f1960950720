"""Pack clips, feature maps and filter curves into the two blocks of data that the listening page carries."""

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import soundfile as sf
from scipy import signal

from tagkit.analysis.geometry import Stage
from tagkit.analysis.selectivity import ChannelTag
from tagkit.analysis.signals import band_sections
from tagkit.analysis.sonify import MODES, Tuned
from tagkit.analysis.tuning import Tuning
from tagkit.listening.network import Excerpt, Network

CURVE_FLOOR_DB = -60.0
ANCHOR_SAMPLES = 2048
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
FEWEST_CHANNELS = 4
PAGE_MODES = [mode for mode in MODES.values() if mode.needs != "network"]  # what a browser can make


class PageTooLargeError(ValueError):
    """What was asked for does not fit into one page; the message says by how much and what to leave out."""


@dataclass(frozen=True)
class Packed:
    """The page's data: a header (JSON) and a block of bytes (gzip) that the header points into."""

    header: dict
    blob: bytes

    def bytes(self) -> bytes:
        """The uncompressed block."""
        return gzip.decompress(self.blob)


@dataclass(frozen=True)
class Running:
    """What lets a page run a network: its tags, its graph for JSON, and its weights (see `listening.live.network`)."""

    tags: tuple[str, ...]
    graph: dict = field(repr=False)
    weights: bytes = field(repr=False)


class _Blob:
    """Bytes written one after the other; `add` says where they start."""

    def __init__(self):
        self._buffer = io.BytesIO()

    def add(self, content: bytes) -> int:
        start = self._buffer.tell()
        self._buffer.write(content)
        return start

    def compressed(self) -> bytes:
        return gzip.compress(self._buffer.getvalue(), 9, mtime=0)


def extended(packed: Packed, contents: Sequence[bytes]) -> tuple[list[int], bytes]:
    """Where more contents start behind a page's block of bytes, and that block with them, compressed."""
    blob = _Blob()
    blob.add(packed.bytes())
    return [blob.add(content) for content in contents], blob.compressed()


def pack(
    clips: Sequence[Excerpt], networks: Sequence[Network], *, max_channels: int = 32, max_bytes: int = 1_400_000
) -> Packed:
    """Pack excerpts and maps so that they fit into `max_bytes`, with fewer channels where a stage is long.

    Every stage of every network is given the same number of bytes; what a short stage leaves over goes to the long
    ones. Channels are chosen by `choose_channels`.

    Parameters
    ----------
    clips : sequence of Excerpt
        All of one sampling rate, which the networks have heard.
    networks : sequence of Network
    max_channels : int
        Channels kept of a stage, at most.
    max_bytes : int
        Size of header and compressed block together, before base64 (which adds a third).

    Raises
    ------
    ValueError
        A map is not finite, a network has not heard a clip, or the clips have different sampling rates.
    PageTooLargeError
        Even the fewest channels do not fit.
    """
    if not clips or not networks:
        raise ValueError("The listening page needs at least one clip and one network.")
    if len({clip.sr for clip in clips}) > 1:
        raise ValueError("The clips of a listening page must have one sampling rate; resample them.")
    for network in networks:
        check(network, clips)
    values = max_bytes
    while True:
        kept = _channel_counts(clips, networks, values, max_channels)
        packed = pack_channels(clips, networks, kept)
        size = len(packed.blob) + len(header_text(packed.header).encode())
        if size <= max_bytes:
            return packed
        if all(count <= FEWEST_CHANNELS for count in kept.values()):
            raise PageTooLargeError(
                f"The listening page would take {size:,} bytes where {max_bytes:,} are allowed, even with "
                f"{FEWEST_CHANNELS} channels a stage: choose fewer or shorter clips, fewer networks or fewer stages."
            )
        values *= min(0.95, max_bytes / size)


def choose_channels(
    maps: tuple[np.ndarray, ...], centre_hz: np.ndarray, count: int, first: Sequence[int] = ()
) -> np.ndarray:
    """Choose `count` channels that are both lively and different from each other.

    The channels that move at all are sorted by centre frequency and cut into groups of neighbours; the most
    energetic channel of each group is kept. Up to half of the places go to the channels in `first`.

    Parameters
    ----------
    maps : tuple of arrays (frames, channels)
    centre_hz : array (channels,)
        NaN for a channel without a centre frequency.
    first : sequence of int, optional
        Channels that shall be there, the most wanted first; see `tag_order`.

    Returns
    -------
    array (<= count,) of int
        Channel numbers, rising.
    """
    energy = energies(maps)
    alive = np.flatnonzero(energy > 0)
    if len(alive) == 0:
        return np.arange(min(count, len(energy)))
    wanted = np.array([channel for channel in first if energy[channel] > 0][: max(count // 2, 1)], int)
    others = np.setdiff1d(alive, wanted)
    by_frequency = others[np.argsort(np.nan_to_num(centre_hz[others], nan=np.inf), kind="stable")]
    groups = np.array_split(by_frequency, max(min(count - len(wanted), len(others)), 1))
    liveliest = [group[np.argmax(energy[group])] for group in groups if len(group)]
    return np.sort(np.concatenate([wanted, liveliest[: count - len(wanted)]]).astype(int))


def tag_order(channel_tags: Sequence[ChannelTag]) -> list[int]:
    """Channels that tell a tag for sure, most wanted first: the best one of every tag, then the others by ROC-AUC."""
    sure = sorted((c for c, own in enumerate(channel_tags) if own.tested), key=lambda c: -channel_tags[c].auc)
    tags = [channel_tags[c].tag for c in sure]
    best = [c for i, c in enumerate(sure) if tags[i] not in tags[:i]]
    return best + [c for c in sure if c not in best]


def energies(maps: tuple[np.ndarray, ...]) -> np.ndarray:
    """Standard deviation of each channel over all clips, each clip's mean removed: array (channels,)."""
    squares = sum(np.square(a - a.mean(0)).sum(0) for a in maps)
    return np.sqrt(squares / sum(len(a) for a in maps))


def quantise(a: np.ndarray) -> tuple[np.ndarray, list[list[float]]]:
    """Round a map to 255 steps between the smallest and the largest value of each channel.

    Parameters
    ----------
    a : array (frames, channels)

    Returns
    -------
    array (channels, frames) of int8
        -127 for the smallest value and 127 for the largest.
    list of [low, high]
        The two values of each channel; the largest error is (high - low) / 508.
    """
    low, high = a.min(0).astype(np.float64), a.max(0).astype(np.float64)
    span = np.where(high > low, high - low, 1.0)
    steps = np.round((a - low) / span * 254 - 127).astype(np.int8)
    return np.ascontiguousarray(steps.T), [[float(lo), float(hi)] for lo, hi in zip(low, high, strict=True)]


def dequantise(steps: np.ndarray, ranges: list[list[float]]) -> np.ndarray:
    """The map (frames, channels) that `quantise` stored, as the page's JavaScript restores it."""
    low, high = np.array(ranges).T
    return (low[:, None] + (steps + 127.0) / 254 * (high - low)[:, None]).T


def encode_mp3(y: np.ndarray, sr: int) -> tuple[bytes, int]:
    """Compress a sound to a small MP3, which every browser decodes: about 57 kbit/s at 16 kHz.

    MP3 encoders drop the highest tenth of the band, 7.2 to 8 kHz at a rate of 16 kHz, where channels may be tuned. So
    low rates are doubled first (band-limited), and the encoder drops what holds nothing.

    Parameters
    ----------
    y : array (samples,)
        In [-1, 1).
    sr : int
        One of `MP3_RATES`.

    Returns
    -------
    bytes
    int
        Sampling rate of the MP3 in Hz: `sr` or twice that.
    """
    if sr <= 16000:
        y, sr = signal.resample(np.asarray(y, np.float64), 2 * len(y)), 2 * sr
    buffer = io.BytesIO()
    sf.write(buffer, y, sr, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.9, bitrate_mode="CONSTANT")
    return buffer.getvalue(), sr


def _maps(network: Network, stage: str, clips: Sequence[Excerpt]) -> tuple[np.ndarray, ...]:
    return tuple(network.maps[clip.title].maps[stage] for clip in clips)


def check(network: Network, clips: Sequence[Excerpt]) -> None:
    """Raise ValueError unless a network has heard these clips, and its maps of them are finite."""
    for clip in clips:
        if clip.title not in network.maps:
            raise ValueError(f"{network.title} has not heard {clip.title!r}; make it with all clips of the page.")
    for stage in network.stages:
        if not all(np.isfinite(a).all() for a in _maps(network, stage, clips)):
            raise ValueError(f"{network.title}, stage {stage}: a feature map holds NaN or infinity; check its weights.")


def _channel_counts(
    clips: Sequence[Excerpt], networks: Sequence[Network], values: float, max_channels: int
) -> dict[tuple[int, str], int]:
    """Share `values` stored numbers among all stages: short stages first, what they leave over goes to long ones."""
    sizes = {}
    for number, network in enumerate(networks):
        for stage in network.stages:
            maps = _maps(network, stage, clips)
            sizes[number, stage] = sum(len(a) for a in maps), maps[0].shape[1]
    counts, left = {}, values
    for i, (key, (frames, channels)) in enumerate(sorted(sizes.items(), key=lambda item: item[1])):
        share = left / (len(sizes) - i)
        wanted = min(max_channels, channels)
        counts[key] = int(np.clip(share // frames, min(FEWEST_CHANNELS, wanted), wanted))
        left = max(left - counts[key] * frames, 0)
    return counts


def pack_channels(
    clips: Sequence[Excerpt],
    networks: Sequence[Network],
    kept: Mapping[tuple[int, str], int],
    running: Sequence[Running] = (),
) -> Packed:
    """Pack excerpts and networks with so many channels of each stage.

    Parameters
    ----------
    clips : sequence of Excerpt
    networks : sequence of Network
    kept : dict of (int, str) -> int
        Channels by the network's number and the stage's name.
    running : sequence of Running, optional
        For each network what lets the page run it; the page then makes the maps itself and carries none.
    """
    blob = _Blob()
    header = {
        "format": 1,
        "sr": clips[0].sr,
        "modes": [mode.name for mode in PAGE_MODES],
        "clips": [_pack_clip(blob, clip) for clip in clips],
        "models": [
            {
                "name": network.maps[clips[0].title].model,
                "title": network.title,
                "scores": [dict(network.scores.get(clip.title, {})) for clip in clips],
                "stages": [
                    _pack_stage(blob, network, stage, kept[number, stage], clips, stored=not running)
                    for stage in network.stages
                ],
            }
            for number, network in enumerate(networks)
        ],
    }
    for model, each in zip(header["models"], running, strict=False):
        place = {"at": blob.add(each.weights), "bytes": len(each.weights)}
        model |= {"tags": list(each.tags), "graph": each.graph, "weights": place}
    return Packed(header, blob.compressed())


def _pack_clip(blob: _Blob, clip: Excerpt) -> dict:
    encoded, rate = encode_mp3(clip.y, clip.sr)
    anchor, at = _anchor(clip.y)
    return {
        "title": clip.title,
        "tags": list(clip.tags),
        "samples": len(clip.y),
        "mp3": {"at": blob.add(encoded), "bytes": len(encoded), "step": rate // clip.sr},
        "anchor": {"at": blob.add(anchor.tobytes()), "samples": len(anchor), "start": at},
    }


def _anchor(y: np.ndarray) -> tuple[np.ndarray, int]:
    """The loudest short passage as int8 and where it starts: browsers delay MP3 differently, the page lines it up."""
    n = min(ANCHOR_SAMPLES, len(y))
    blocks = y[: len(y) // n * n].reshape(-1, n)
    loudest = int(np.argmax(np.square(blocks).sum(1)))
    passage = blocks[loudest]
    return np.round(passage / max(np.abs(passage).max(), 1e-9) * 127).astype(np.int8), loudest * n


def _pack_stage(
    blob: _Blob, network: Network, name: str, count: int, clips: Sequence[Excerpt], *, stored: bool = True
) -> dict:
    place, found = network.maps[clips[0].title].stage(name), _maps(network, name, clips)
    tuning, own = network.probe.tuning(name), network.channel_tags.get(name, ())
    chosen = choose_channels(found, tuning.centre_hz, count, tag_order(own))
    energy = energies(found)
    maps = []
    for a in found if stored else ():
        steps, ranges = quantise(a[:, chosen])
        maps.append({"at": blob.add(steps.tobytes()), "frames": len(a), "range": _rounded(ranges)})
    control = network.control
    return {
        "name": name,
        "stride": place.stride,
        "receptive_field": place.receptive_field,
        "offset": float(place.offset),
        "start": round(place.offset),  # the sample that frame 0 is put at: Python rounds halves to even, browsers up
        "channels_in_all": place.channels,
        "refused": _refused(place, None),
        "channels": [
            _channel(blob, channel, place, tuning, energy[channel] / max(energy.max(), 1e-12), own)
            for channel in chosen
        ],
        "frequencies_hz": [round(float(f), 2) for f in network.probe.frequencies],
        "curves": _pack_curves(blob, network.probe.curve(name), chosen),
        "control": None if control is None else _pack_curves(blob, control.curve(name), chosen),
        "maps": maps,
    }


def _refused(stage: Stage, tuned: Tuned | None) -> dict[str, str]:
    """By mode the reason why it has no meaning at a stage or, where a channel's tuning is given, at that channel."""
    reasons = {mode.name: mode.refuses(stage, tuned) for mode in PAGE_MODES}
    return {name: f"{reason}." for name, reason in reasons.items() if reason}


def _channel(blob: _Blob, channel: int, stage: Stage, tuning: Tuning, energy: float, own: Sequence[ChannelTag]) -> dict:
    centre, low, high = (edge[channel] for edge in (tuning.centre_hz, tuning.low_hz, tuning.high_hz))
    sections = band_sections(low, high, stage.sr)
    tag = own[channel] if own else ChannelTag("", np.nan)
    return {
        "index": int(channel),
        "energy": round(float(energy), 4),
        "centre_hz": _number(centre),
        "low_hz": _number(low),
        "high_hz": _number(high),
        "sections": None if sections is None else {"at": blob.add(sections.tobytes()), "count": len(sections)},
        "refused": dict(_refused(stage, Tuned.of(tuning, channel)).items() - _refused(stage, None).items()),
        "note": tuning.caution(channel),
        "tag": tag.tag,
        "auc": _number(tag.auc),
        "tested": bool(tag.tested),
    }


def _pack_curves(blob: _Blob, responses: np.ndarray, chosen: np.ndarray) -> dict:
    amplitude = np.abs(responses[:, chosen])
    peak = np.maximum(amplitude.max(0), 1e-12)
    decibels = 20 * np.log10(np.maximum(amplitude / peak, 10 ** (CURVE_FLOOR_DB / 20)))
    return {"at": blob.add(np.round(decibels.T * 2).astype(np.int8).tobytes()), "points": len(decibels)}


def _number(value: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return round(float(value), 3) if np.isfinite(value) else None


def _rounded(ranges: list[list[float]]) -> list[list[float]]:
    return [[float(f"{low:.7g}"), float(f"{high:.7g}")] for low, high in ranges]


def header_text(header: dict) -> str:
    """The header as compact JSON."""
    return json.dumps(header, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
