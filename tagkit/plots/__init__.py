"""Pictures: arrays in, Axes out.

Every function draws on `ax` (by default on a new figure) and returns the Axes, so that pictures can be placed side by
side and changed afterwards. Colours, fonts and line widths are set in one place: `use_style`.
"""

from tagkit.plots.architecture import architecture
from tagkit.plots.causes import muting, probes
from tagkit.plots.comparison import score_against_cost, score_ranking, tag_heat_map
from tagkit.plots.filters import centre_frequencies, construction, filter_bank, filter_spectra
from tagkit.plots.grids import channel_grid, grid
from tagkit.plots.likeness import by_stage, similarity, tag_channels
from tagkit.plots.scores import per_tag_scores, training_curves
from tagkit.plots.sound import feature_maps, log_mel, spectrogram, waveform
from tagkit.plots.style import COLOURS, DIVERGING, SEQUENTIAL, logarithmic, save, save_figure, use_style
from tagkit.plots.taggram import reliability, taggram
from tagkit.plots.tags import confusion_matrix, tag_balance, tag_cooccurrence

__all__ = [
    "COLOURS",
    "DIVERGING",
    "SEQUENTIAL",
    "architecture",
    "by_stage",
    "centre_frequencies",
    "channel_grid",
    "confusion_matrix",
    "construction",
    "feature_maps",
    "filter_bank",
    "filter_spectra",
    "grid",
    "log_mel",
    "logarithmic",
    "muting",
    "per_tag_scores",
    "probes",
    "reliability",
    "save",
    "save_figure",
    "score_against_cost",
    "score_ranking",
    "similarity",
    "spectrogram",
    "tag_balance",
    "tag_channels",
    "tag_cooccurrence",
    "tag_heat_map",
    "taggram",
    "training_curves",
    "use_style",
    "waveform",
]
