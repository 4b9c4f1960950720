"""Widgets for tagging one's own music in a notebook: choose or upload a file, see its taggram move with the player.

As in `tagkit.listening.widgets`, what a widget does stands in a plain function that a notebook may call without it.
"""

import html
import tempfile
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown, display

from tagkit import audio
from tagkit.analysis.evidence import evidence
from tagkit.evaluation.tag import Tagger
from tagkit.listening.taggram import taggram_data, taggram_page

# So much music is embedded: 7 kB a second.
SHOWN_S = 30.0


def follow(
    tagger: Tagger,
    source: str | Path | np.ndarray,
    *,
    sr: int | None = None,
    top: int = 8,
    hop_s: float = 0.25,
    max_s: float = SHOWN_S,
) -> HTML:
    """A player with the taggram that moves with it; it needs no kernel, so it also works in an exported page.

    Parameters
    ----------
    source : path, or ndarray (samples,)
    sr : int
        Of an array, in Hz.
    top : int
        How many tags.
    hop_s : float
        A window every so many seconds.
    max_s : float
        The beginning of the file that is shown.
    """
    y = tagger.sound(source, sr).y[: round(max_s * tagger.sr)]
    tagged = tagger(y, hop_s=hop_s, sr=tagger.sr)
    data = taggram_data(tagged.window_scores, tagged.starts_s, tagged.window_s, tagged.duration_s, tagged.tags, top=top)
    page = taggram_page(data, audio.to_float(y), tagger.sr)
    height = 150 + 26 * len(data["tags"])
    # A frame of its own: neither its style nor its script meets the notebook's.
    return HTML(
        f'<div><iframe title="Taggram" srcdoc="{html.escape(page)}" width="100%" height="{height}" '
        'style="border: 0"></iframe></div>'
    )


def speakers(
    tagger: Tagger, source: str | Path | np.ndarray, tag: str, channels: int = 3, sr: int | None = None
) -> pd.DataFrame:
    """The channels of each stage that speak most for a tag in a sound; see `tagkit.analysis.evidence`.

    Parameters
    ----------
    source : path, or ndarray (samples,)
    channels : int
        Of each stage.
    sr : int
        Of an array, in Hz.

    Returns
    -------
    DataFrame
        One row for each channel: stage, channel, evidence (logits), share of all that speaks for the tag there.

    Raises
    ------
    ValueError
        The network does not know the tag.
    """
    if tag not in tagger.tags:
        raise ValueError(f"{tagger.run.root} does not know the tag {tag!r}; it knows {', '.join(tagger.tags)}.")
    y = audio.to_float(tagger.sound(source, sr).y)
    rows = []
    for stage, values in evidence(tagger.model, y, tagger.tags.index(tag)).items():
        speaking = np.maximum(values, 0).sum()
        for channel in np.argsort(-values)[:channels]:
            share = max(float(values[channel]), 0) / speaking if speaking else 0.0
            rows.append((stage, int(channel), float(values[channel]), share))
    return pd.DataFrame(rows, columns=["stage", "channel", "evidence", "share"])


def uploaded(tagger: Tagger, name: str, content: bytes) -> HTML | Markdown:
    """What is shown of an uploaded file: its taggram, or why it cannot be read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{Path(name).suffix}"
        path.write_bytes(content)
        try:
            return follow(tagger, path)
        except audio.AudioError as error:
            return Markdown(f"**Not playable:** {str(error).replace(str(path), name)}")


def chooser(tagger: Tagger) -> ipywidgets.Widget:
    """Upload a file (up to about 10 MB in most notebook servers), and see what the network says of it."""
    upload = ipywidgets.FileUpload(accept="audio/*,video/*", multiple=False, description="your music")
    output = ipywidgets.Output()

    def show(_: object = None) -> None:
        output.clear_output(wait=True)
        with output:
            for file in upload.value:
                display(Markdown(f"**{file['name']}**"), uploaded(tagger, file["name"], bytes(file["content"])))

    upload.observe(show, "value")
    return ipywidgets.VBox([upload, output])
