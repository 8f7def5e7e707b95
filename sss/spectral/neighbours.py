"""Pairs of near cells of a grid: which they are, gathered by shifts. For NumPy and torch alike."""

from __future__ import annotations

from types import EllipsisType

RADIUS = 5.0
"""γ of the paper: cells are near that are nearer than this."""

Offset = tuple[int, int]
"""Rows and columns from the first cell of a pair to the second."""

Part = tuple[EllipsisType, slice, slice]
"""Index of some rows and columns of an array (…, h, w)."""


def half_disc(radius: float) -> list[Offset]:
    """Offsets of all cells nearer than ``radius``, one of each two that are opposite.

    Ahn & Kwak 2018, Eq. (6), take the pairs whose distance is *below* γ = 5.

    Args:
        radius: In cells.
    """
    reach = int(radius)
    return [
        (row, column)
        for row in range(reach + 1)
        for column in range(-reach, reach + 1)
        if (row > 0 or column > 0) and row**2 + column**2 < radius**2
    ]


def pair_parts(height: int, width: int, offset: Offset) -> tuple[Part, Part]:
    """Where the first and where the second cells of all pairs at an offset are.

    Args:
        height: Of the grid.
        width: Of the grid.
        offset: Rows, 0 or more, and columns.

    Returns:
        Indices of two parts of equal size of an array (…, height, width); both empty where the
        grid is too small.
    """
    rows, columns = offset
    rows = min(rows, height)
    left, right = min(max(0, -columns), width), min(max(0, columns), width)
    first = (..., slice(0, height - rows), slice(left, width - right))
    second = (..., slice(rows, height), slice(right, width - left))
    return first, second
