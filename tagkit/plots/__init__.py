"""Pictures: arrays in, Axes out.

Every function draws on `ax` (by default on a new figure) and returns the Axes, so that pictures can be placed side by
side and changed afterwards. Colours, fonts and line widths are set in one place: `use_style`.
"""

from tagkit.plots.architecture import architecture
from tagkit.plots.filters import centre_frequencies, filter_bank, filter_spectra
from tagkit.plots.grids import channel_grid, grid
from tagkit.plots.scores import per_tag_scores, score_comparison, training_curves
from tagkit.plots.sound import feature_maps, log_mel, spectrogram, waveform
from tagkit.plots.style import COLOURS, DIVERGING, SEQUENTIAL, save, use_style
from tagkit.plots.taggram import reliability, taggram
from tagkit.plots.tags import tag_balance, tag_cooccurrence

__all__ = [
    "COLOURS",
    "DIVERGING",
    "SEQUENTIAL",
    "architecture",
    "centre_frequencies",
    "channel_grid",
    "feature_maps",
    "filter_bank",
    "filter_spectra",
    "grid",
    "log_mel",
    "per_tag_scores",
    "reliability",
    "save",
    "score_comparison",
    "spectrogram",
    "tag_balance",
    "tag_cooccurrence",
    "taggram",
    "training_curves",
    "use_style",
    "waveform",
]
