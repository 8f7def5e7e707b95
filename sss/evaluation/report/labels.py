"""Names beside the points of a scatter plot, without covering points or each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sss.evaluation.report.style import LINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP = 9.0
"""Points between a point's centre and its label."""

_STEPS = 12
"""Distances tried, each a third of a line further away."""


def place_labels(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    bars: Sequence[tuple[float, float, float]] = (),
) -> list[tuple[float, float, float, float]]:
    """Write each name near its point where nothing else is, with a thin line if it had to go far.

    Args:
        axes: With their final limits.
        points: N places in data units.
        names: N labels.
        bars: Upright lines not to be covered: x, low and high in data units.

    Returns:
        N boxes (left, bottom, right, top) that the labels take, in pixels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(axes.figure)  # type: ignore[arg-type]
    canvas.draw()  # settles the layout
    renderer = canvas.get_renderer()
    unit = axes.figure.dpi / 72
    places = axes.transData.transform(np.array(points, float))  # (N, 2)
    taken = [(x - 6 * unit, y - 6 * unit, x + 6 * unit, y + 6 * unit) for x, y in places]
    for x, low, high in bars:
        (left, bottom), (_, top) = axes.transData.transform([(x, low), (x, high)])
        taken.append((left - 2 * unit, bottom, left + 2 * unit, top))
    inside = np.asarray(axes.bbox.extents)
    boxes = []
    for point, place, name in zip(points, places, names, strict=True):
        width, height, _ = renderer.get_text_width_height_descent(name, _font(axes), ismath=False)
        dx, dy = _first_free(place, (width, height), taken, inside, unit)
        box = (place[0] + dx, place[1] + dy, place[0] + dx + width, place[1] + dy + height)
        taken.append(box)
        boxes.append(box)
        far = abs(dy + height / 2) > 1.6 * height
        axes.annotate(
            name,
            point,
            (dx / unit, (dy + height / 2) / unit),
            textcoords="offset points",
            va="center",
            arrowprops={"arrowstyle": "-", "color": LINE, "shrinkB": 5} if far else None,
        )
    return boxes


def _font(axes: Axes) -> object:
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=10.5)


def _first_free(
    place: np.ndarray,
    size: tuple[float, float],
    taken: Sequence[tuple[float, float, float, float]],
    inside: np.ndarray,
    unit: float,
) -> tuple[float, float]:
    """Offset in pixels to the label's lower left corner; to the right if nothing is free."""
    width, height = size
    for dx, dy in _offsets(width, height, unit):
        left, bottom = place[0] + dx, place[1] + dy
        box = (left, bottom, left + width, bottom + height)
        fits = left >= inside[0] and bottom >= inside[1]
        fits = fits and box[2] <= inside[2] and box[3] <= inside[3]
        if fits and not any(_overlap(box, other) for other in taken):
            return dx, dy
    return _GAP * unit, -height / 2


def _offsets(width: float, height: float, unit: float) -> Iterator[tuple[float, float]]:
    gap = _GAP * unit
    for step in range(_STEPS):
        for sign in (1, -1) if step else (1,):
            shift = sign * step * height / 3 - height / 2
            yield gap, shift
            yield -gap - width, shift
        if step * height / 3 > gap:
            yield -width / 2, step * height / 3
            yield -width / 2, -step * height / 3 - height


def _overlap(
    first: tuple[float, float, float, float], second: tuple[float, float, float, float]
) -> bool:
    apart = first[2] < second[0] or second[2] < first[0]
    return not (apart or first[3] < second[1] or second[3] < first[1])
