"""Nested dissection: the order in which a photo's pixels are eliminated.

The matting Laplacian couples pixels up to two rows and columns apart, so a strip two pixels wide
separates a photo into halves that are not coupled (George, *Nested Dissection of a Regular Finite
Element Mesh*, SIAM J. Numer. Anal. 10, 1973). The halves are halved again, down to small boxes.
:mod:`sss.spectral.solvers.multifrontal` eliminates the pixels from those boxes upwards.

The pixels that carry semantic and colour affinities couple over any distance. They are the last
separator: eliminated after all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from sss.spectral.stencil import REACH

LEAF_SIDE = 10
"""Boxes are halved until no side is longer."""

Span = tuple[int, int]
"""First index and end."""

Box = tuple[Span, Span]
"""Rows and columns."""


@dataclass(frozen=True, eq=False)
class Front:
    """A node of the elimination tree: pixels eliminated together, and those coupled to them.

    Attributes:
        rows: Of the box together with the frame of ``REACH`` pixels around it.
        columns: As ``rows``.
        pivots: (k,) flat indices of the pixels to eliminate: in a leaf all of the box, else the
            strip between the two halves.
        boundary: (b,) flat indices: the frame, and the separator's pixels inside the box.
        children: Indices of the halves' fronts in the level before.
    """

    rows: Span
    columns: Span
    pivots: np.ndarray
    boundary: np.ndarray
    children: tuple[int, ...]


def dissect(separator: np.ndarray) -> list[list[Front]]:
    """Elimination tree of a photo.

    Args:
        separator: (H, W) bool: pixels that no front eliminates.

    Returns:
        Levels of fronts, leaves first; the last level is one front, whose box is the whole photo
        and whose boundary is the separator.
    """
    height, width = separator.shape
    levels = []
    boxes: list[Box] = [((0, height), (0, width))]
    while boxes:
        fronts: list[Front] = []
        halves: list[Box] = []
        for box in boxes:
            strip, own_halves = _halve(*box)
            children = tuple(range(len(halves), len(halves) + len(own_halves)))
            fronts.append(_front(separator, box, strip, children))
            halves += own_halves
        levels.append(fronts)
        boxes = halves
    return levels[::-1]


def _halve(rows: Span, columns: Span) -> tuple[Box, list[Box]]:
    """The strip that separates a box's halves, and the halves; a leaf is all strip."""
    across_rows = rows[1] - rows[0] > columns[1] - columns[0]
    first, end = rows if across_rows else columns
    if end - first <= LEAF_SIDE:
        return (rows, columns), []
    cut = first + (end - first - REACH) // 2
    spans = (cut, cut + REACH), (first, cut), (cut + REACH, end)
    strip, *halves = [(span, columns) if across_rows else (rows, span) for span in spans]
    return strip, halves


def _front(separator: np.ndarray, box: Box, strip: Box, children: tuple[int, ...]) -> Front:
    rows, columns = (
        (max(first - REACH, 0), min(end + REACH, side))
        for (first, end), side in zip(box, separator.shape, strict=True)
    )
    boundary = np.ones((rows[1] - rows[0], columns[1] - columns[0]), bool)
    inside = separator[slice(*box[0]), slice(*box[1])]
    down, right = box[0][0] - rows[0], box[1][0] - columns[0]
    boundary[down : down + inside.shape[0], right : right + inside.shape[1]] = inside
    width = separator.shape[1]
    pivots = _flat_indices(~separator[slice(*strip[0]), slice(*strip[1])], strip, width)
    return Front(rows, columns, pivots, _flat_indices(boundary, (rows, columns), width), children)


def _flat_indices(mask: np.ndarray, box: Box, width: int) -> np.ndarray:
    """Flat indices in the photo of the pixels marked in a box of it."""
    row, column = np.nonzero(mask)
    return ((row + box[0][0]) * width + column + box[1][0]).astype(np.int32)


def far_pixels(laplacian: sp.csr_array, width: int) -> np.ndarray:
    """Sorted flat indices of the pixels that are coupled to others beyond the stencil's reach."""
    row = np.repeat(np.arange(laplacian.shape[0], dtype=np.int32), np.diff(laplacian.indptr))
    column = laplacian.indices
    # Two rows and two columns are 2W + 2 at most; what is nearer in the flat index may still
    # be far in columns, around a photo's rim, and in rows where these are shorter than five.
    far = abs(row - column) > REACH * (width + 1)
    near = ~far
    for coordinate in (np.floor_divide, np.remainder):
        far[near] |= abs(coordinate(row[near], width) - coordinate(column[near], width)) > REACH
    return np.unique(row[far])
