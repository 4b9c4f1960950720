"""A player with the taggram below it that moves with the music: a page without kernel or network."""

import base64
import html
import json
from collections.abc import Sequence

import numpy as np

from tagkit.listening.html import fill, in_script, static
from tagkit.listening.packing import encode_mp3

LONGEST_S = 120.0


def taggram_data(
    window_scores: np.ndarray,
    starts_s: np.ndarray,
    window_s: float,
    duration_s: float,
    tags: Sequence[str],
    top: int = 8,
) -> dict:
    """What taggram.js draws: the `top` tags with the highest means, as plain JSON types.

    Parameters
    ----------
    window_scores : ndarray (windows, tags)
    starts_s : ndarray (windows,)
        Where each window begins.
    tags : sequence of str (tags,)
    """
    means = window_scores.mean(0)
    order = np.argsort(-means, kind="stable")[:top]
    return {
        "tags": [tags[k] for k in order],
        "means": [round(float(means[k]), 4) for k in order],
        "scores": [[round(float(s), 3) for s in window_scores[:, k]] for k in order],
        "middles_s": [round(float(s), 3) for s in np.asarray(starts_s) + window_s / 2],
        "window_s": float(window_s),
        "duration_s": float(duration_s),
    }


def taggram_page(data: dict, y: np.ndarray, sr: int, title: str = "Taggram") -> str:
    """The whole page as text.

    Parameters
    ----------
    data : dict
        From `taggram_data`.
    y : ndarray (samples,)
        The sound, float in [-1, 1), at most two minutes.
    sr : int
        Hz; one of `packing.MP3_RATES`.

    Raises
    ------
    ValueError
        The sound is longer than two minutes.
    """
    if len(y) > LONGEST_S * sr:
        raise ValueError(f"A page holds {LONGEST_S:.0f} s of sound, not {len(y) / sr:.0f} s: pass a part of it.")
    # A rate without MP3, or one that is doubled, is the encoder's business; clipping is ours.
    sound, _ = encode_mp3(np.clip(y, -1, 1), sr)
    return fill(
        "taggram.html",
        title=html.escape(title),
        style=static("taggram.css"),
        sound=base64.b64encode(sound).decode(),
        data=in_script(json.dumps(data, ensure_ascii=False, allow_nan=False)),
        script=static("taggram.js"),
    )
