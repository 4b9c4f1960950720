"""Labels beside points, placed where they cover neither points nor each other and stay inside the axes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

SIZE = 8  # of the letters, in points
NEAR = 5  # from a point to its label, in points; a line leads to labels farther away
FAR = 75
STEP = 7
DIRECTIONS = 16
DOT = 3.5  # half of a point's mark, in points
ROOM = 1.5  # kept free around a label, in points


@dataclass(frozen=True)
class Label:
    """The label of a point at `x`, `y` in data coordinates; one that is `needed` is drawn however far away."""

    name: str
    x: float
    y: float
    colour: str
    needed: bool = False


def place(ax: Axes, labels: Sequence[Label]) -> None:
    """Draw labels beside their points, in this order; one without room near its point is left out.

    Limits, scales, legend and figure size must be final, as places are found in pixels. A needed label that fits
    nowhere covers whatever is beside its point.
    """
    ax.figure.draw_without_rendering()  # places the axes, so that texts have extents
    pixels = ax.figure.dpi / 72
    points = ax.transData.transform([(label.x, label.y) for label in labels])
    room = _Room(ax, points, pixels)
    for i, label in enumerate(labels):
        text = ax.annotate(
            label.name,
            (label.x, label.y),
            (0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=SIZE,
            color=label.colour,
            in_layout=False,
        )
        size = np.array(text.get_window_extent().size)
        far = room.diagonal if label.needed else FAR
        fitting = (place for place in _around(points[i], size, far, pixels) if room.fits(i, size, *place))
        found = next(fitting, next(_around(points[i], size, NEAR, pixels)) if label.needed else None)
        if found is None:
            text.remove()
            continue
        distance, centre = found
        text.set_position((centre - points[i]) / pixels)
        line = room.take(i, size, distance, centre)
        if distance > NEAR:
            ends = ax.transData.inverted().transform(line)
            ax.plot(*ends.T, color=label.colour, linewidth=0.6, alpha=0.6, zorder=1.5, scalex=False, scaley=False)


class _Room:
    """What is taken in the axes: points, the legend, labels and the lines to them, all in pixels."""

    def __init__(self, ax: Axes, points: np.ndarray, pixels: float):
        self.points, self.margin = points, ROOM * pixels
        self.low, self.high = np.array(ax.bbox.min), np.array(ax.bbox.max)
        self.diagonal = np.hypot(*(self.high - self.low)) / pixels  # in points
        dots = np.concatenate([points - DOT * pixels, points + DOT * pixels], axis=1)
        self.heaps = [_overlap(dot, dots) for dot in dots]  # a line from a dot may cross dots that overlap it
        legend = ax.get_legend()
        self.boxes = dots if legend is None else np.vstack([dots, legend.get_window_extent().extents])
        self.lines: list[np.ndarray] = []

    def _of(self, i: int, size: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        box = np.concatenate([centre - size / 2 - self.margin, centre + size / 2 + self.margin])
        return box, np.array([self.points[i], np.clip(self.points[i], box[:2], box[2:])])

    def fits(self, i: int, size: np.ndarray, distance: float, centre: np.ndarray) -> bool:
        """Whether the label of point i fits here, and a line to it."""
        box, line = self._of(i, size, centre)
        if (box[:2] < self.low).any() or (box[2:] > self.high).any() or _overlap(box, self.boxes).any():
            return False
        if any(_crosses(other, box) for other in self.lines):
            return False
        if distance <= NEAR:
            return True
        own = np.zeros(len(self.boxes), bool)
        own[: len(self.points)] = self.heaps[i]
        return not any(_crosses(line, other) for other in self.boxes[~own]) and not any(
            _meet(line, other) for other in self.lines
        )

    def take(self, i: int, size: np.ndarray, distance: float, centre: np.ndarray) -> np.ndarray:
        """Put a label here; returns the line to it."""
        box, line = self._of(i, size, centre)
        self.boxes = np.vstack([self.boxes, box])
        if distance > NEAR:
            self.lines.append(line)
        return line


def _around(point: np.ndarray, size: np.ndarray, farthest: float, pixels: float) -> Iterator[tuple[float, np.ndarray]]:
    """Distances in points and centres in pixels for a label, the nearest first: right, above, below, left."""
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    angles = angles[np.argsort(np.abs((angles - np.pi / 8 + np.pi) % (2 * np.pi) - np.pi), kind="stable")]
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for distance in np.arange(NEAR, farthest + STEP, STEP):
        for way in ways:
            yield distance, point + way * distance * pixels + np.clip(2 * way, -1, 1) * size / 2


def _overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether a box (x0, y0, x1, y1) overlaps each of some others."""
    return ((box[:2] < others[:, 2:]) & (others[:, :2] < box[2:])).all(axis=1)


def _crosses(line: np.ndarray, box: np.ndarray) -> bool:
    """Whether a line (ends, 2) passes through a box."""
    steps = line[0] + np.linspace(0, 1, 60)[:, None] * (line[1] - line[0])
    return bool(((steps > box[:2]) & (steps < box[2:])).all(axis=1).any())


def _meet(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two lines (ends, 2) cross."""

    def sides(line: np.ndarray, points: np.ndarray) -> np.ndarray:
        (x, y), (dx, dy) = line[0], line[1] - line[0]
        return np.sign(dx * (points[:, 1] - y) - dy * (points[:, 0] - x))

    return sides(one, other).prod() < 0 and sides(other, one).prod() < 0
