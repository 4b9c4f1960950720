"""How much each sound of a listening page tells of its channel, and the sound that a page opens with."""

from collections.abc import Mapping, Sequence

import numpy as np

from tagkit.analysis.causes import faithfulness
from tagkit.analysis.feature_maps import FeatureExtractor
from tagkit.listening.network import Excerpt, Network
from tagkit.listening.packing import PAGE_MODES, Packed

MODES = tuple(mode.name for mode in PAGE_MODES if mode.needs != "clip")
OPENS_IN = "gated"


def add(packed: Packed, networks: Sequence[Network], clips: Sequence[Excerpt]) -> Packed:
    """Add to a page's data what share of its channel's answer each sound carries, and the choice that it opens with.

    Beside the share stands the control: what the sounds of the other channels that the page shows of the stage carry
    of it, as loud. The page opens with the sound that carries most of its own channel in comparison with what these
    carry of it and with what it carries of theirs; first come channels that tell a tag of the piece for sure.

    Parameters
    ----------
    packed : Packed
        Of these networks and clips.
    networks : sequence of Network
        Those without a model are left as they are.
    clips : sequence of Excerpt
    """
    openings: list[tuple[tuple, dict]] = []
    models = []
    for m, (described, network) in enumerate(zip(packed.header["models"], networks, strict=True)):
        stages = []
        for s, stage in enumerate(described["stages"]):
            found = _of_stage(network, stage, clips) if network.model else {}
            stages.append(_with_shares(stage, found))
            openings += [
                (worth, {"model": m, "stage": s, "channel": c, "clip": k})
                for worth, c, k in _worths(stage, found.get(OPENS_IN), clips)
            ]
        models.append(described | {"stages": stages})
    header = packed.header | {"models": models}
    if openings:
        header["opening"] = max(openings, key=lambda each: each[0])[1]
    return Packed(header, packed.blob)


def _of_stage(network: Network, stage: Mapping, clips: Sequence[Excerpt]) -> dict[str, np.ndarray]:
    """By mode, how much each shown channel's sound carries of each shown channel (clips, sounds, channels)."""
    name, shown = stage["name"], [each["index"] for each in stage["channels"]]
    extract = FeatureExtractor(network.model, [name])
    found = {}
    for mode in MODES:
        matrices = []
        for clip in clips:
            sounds = faithfulness.channel_sounds(network.maps[clip.title], name, shown, mode, network.probe)
            matrices.append(faithfulness.matrix(extract, clip.y, name, shown, sounds))
        found[mode] = np.array(matrices)
    return found


def control(shares: np.ndarray) -> np.ndarray:
    """What the sounds of the others carry of each channel (channels,), the mean; NaN where there are none."""
    others = np.array(shares)
    np.fill_diagonal(others, np.nan)
    known = np.isfinite(others)
    return np.where(known.any(axis=0), np.nansum(others, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)


def _with_shares(stage: Mapping, found: Mapping[str, np.ndarray]) -> dict:
    channels = [dict(each) for each in stage["channels"]]
    for mode, matrices in found.items():
        controls = [control(shares) for shares in matrices]
        for c, channel in enumerate(channels):
            pairs = [_pair(shares[c, c], others[c]) for shares, others in zip(matrices, controls, strict=True)]
            if any(pairs):
                channel.setdefault("carried", {})[mode] = pairs
    return dict(stage) | {"channels": channels}


def _pair(own: float, others: float) -> list[float] | None:
    return [round(float(own), 2), round(float(others), 2)] if np.isfinite(own + others) else None


def _worths(
    stage: Mapping, matrices: np.ndarray | None, clips: Sequence[Excerpt]
) -> list[tuple[tuple[bool, float], int, int]]:
    """How good an opening each sound of a stage is, with its channel's place and its clip's number."""
    found = []
    for k, shares in enumerate(() if matrices is None else matrices):
        told, tells = control(shares), control(shares.T)  # of the channel by others, of others by its sound
        for c, channel in enumerate(stage["channels"]):
            worth = shares[c, c] - max(told[c], tells[c])
            if np.isfinite(worth):
                found.append(((channel["tested"] and channel["tag"] in clips[k].tags, float(worth)), c, k))
    return found
