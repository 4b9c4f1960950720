"""What an analysed run leaves behind: figures, numbers, and the listening page."""

from tagkit.report.analysis import (
    Analysis,
    analyse,
    best_channels,
    draw_construction,
    draw_similarity,
    similarity,
    write,
    write_numbers,
)
from tagkit.report.figures import (
    draw_comparison,
    draw_filters,
    draw_scores,
    draw_training,
    is_raw,
    listen_through,
    selective,
)
from tagkit.report.page import varied, write_page

__all__ = [
    "Analysis",
    "analyse",
    "best_channels",
    "draw_comparison",
    "draw_construction",
    "draw_filters",
    "draw_scores",
    "draw_similarity",
    "draw_training",
    "is_raw",
    "listen_through",
    "selective",
    "similarity",
    "varied",
    "write",
    "write_numbers",
    "write_page",
]
