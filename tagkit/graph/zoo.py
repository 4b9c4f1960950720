"""Every architecture as one row of data; `build` makes a network of it."""

from tagkit.graph import build as _build
from tagkit.graph.tables import Conv, Dense, Head, Mel, Row

WINDOW = 38_832  # a twelfth of a clip, 2.427 s at 16 kHz
CLIP = 465_984  # 29.1 s

_DM = {"activation": "elu", "padding": "same", "bias": False, "gamma": False, "head": Head(dropout=0.5)}
_DS = {"activation": "elu", "padding": "valid", "bias": True, "gamma": True}

ROWS = {
    row.name: row
    for row in (
        Row(
            "dm8",
            WINDOW,
            (
                Conv(64, 8, stride=8),
                Conv(64, 4, pool=4),
                Conv(128, 4, pool=4),
                Conv(128, 4, pool=4),
                Conv(256, 4, pool=4),
                Conv(256, 4, pool=2),
                Conv(512, 4, pool=2),
            ),
            source="predecessor",
            **_DM,
        ),
        Row(
            "dm16",
            WINDOW,
            (
                Conv(64, 16, stride=16),
                Conv(64, 4, pool=4),
                Conv(128, 4, pool=4),
                Conv(128, 4, pool=4),
                Conv(256, 4, pool=2),
                Conv(256, 4, pool=2),
                Conv(512, 4, pool=2),
            ),
            source="predecessor",
            **_DM,
        ),
        Row(
            "ds256ra",
            WINDOW,
            (Conv(128, 256, stride=256), Conv(32, 8, pool=4), Conv(32, 8, pool=4)),
            head=Head(dense=(Dense(1000),)),
            source="predecessor",
            **_DS,
        ),
        Row(
            "logmel",
            WINDOW,
            (
                Conv(16, (3, 3), pool=(2, 2)),
                Conv(32, (3, 3), pool=(2, 2)),
                Conv(64, (3, 3), pool=(2, 2)),
                Conv(128, (3, 3), pool=(2, 2)),
                Conv(128, (3, 3), pool=(2, 2)),
            ),
            head=Head(pool=("max", "mean"), dropout=0.5),
            frontend=Mel(n_mels=96),
            source="the log-mel reference of this project: five 3x3 convolutions, max and mean over what is left",
        ),
    )
}


def build(row, n_tags=50, samples=None, seed=0, synchronized=False):
    """Build a row of the zoo, by name or by its table; see `tagkit.graph.build.build_row`."""
    if not isinstance(row, Row):
        if row not in ROWS:
            raise ValueError(f"The zoo has no model {row!r}: it has {', '.join(ROWS)}.")
        row = ROWS[row]
    return _build.build_row(row, n_tags, samples, seed, synchronized)
