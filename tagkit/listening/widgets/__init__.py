"""Widgets for notebooks: choose a network, a stage, a channel, a clip and a mode; see it and hear it.

What a widget does stands in plain functions (`channel_choices`, `hear`, `draw`, `compare`), which notebooks may call
without any widget: an exception inside a widget's callback would not stop a notebook.
"""

from tagkit.listening.network import Library, Network, network
from tagkit.listening.widgets.panels import ab, examples, explorer, moment_players, nine_players
from tagkit.listening.widgets.seen import (
    MODES,
    SORTINGS,
    channel_choices,
    channel_label,
    channel_order,
    compare,
    describe,
    draw,
    example,
    fidelity,
    hear,
    moments,
    nine,
    player,
)

__all__ = [
    "MODES",
    "SORTINGS",
    "Library",
    "Network",
    "ab",
    "channel_choices",
    "channel_label",
    "channel_order",
    "compare",
    "describe",
    "draw",
    "example",
    "examples",
    "explorer",
    "fidelity",
    "hear",
    "moment_players",
    "moments",
    "network",
    "nine",
    "nine_players",
    "player",
]
