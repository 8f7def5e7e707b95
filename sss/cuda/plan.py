"""Where the numbers of each front come from and go to: index arrays, made once by the processor.

The fronts of a level (:func:`sss.spectral.solvers.dissection.dissect`) are worked on together, so
all are filled up to the level's largest: pixel N stands for none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import scipy.sparse as sp

from sss.spectral.solvers.dissection import Front


@dataclass(frozen=True)
class LevelPlan:
    """Indices of a level of n fronts, K and B of the largest front's pivots and boundary.

    Attributes:
        pivots: (n, K) pixels, filled up with N.
        boundary: (n, B) pixels, filled up with N; the last of each row is N.
        starts: (n+1,) where each front's entries begin.
        positions: (E,) flat positions in (n, K, K+B) of the couplings of the pivots, no two alike.
        values: (E,) the couplings; ones on the diagonal of what is filled up.
        halves: (n, 2) index of the halves in the level before; 0 where there is none.
        places: (n, 2, K+B) where a front's pixel stands in the boundary of the half: in its last
            column if it does not. None if no front of the level has halves.
    """

    pivots: np.ndarray
    boundary: np.ndarray
    starts: np.ndarray
    positions: np.ndarray
    values: np.ndarray
    halves: np.ndarray
    places: np.ndarray | None


def plan_levels(
    laplacian: sp.csr_array, levels: Sequence[Sequence[Front]], shift: float
) -> list[LevelPlan]:
    """Plans of all levels.

    Args:
        laplacian: Sparse (N, N).
        levels: Of :func:`sss.spectral.solvers.dissection.dissect`, the deepest first.
        shift: Subtracted from the diagonal.
    """
    none = laplacian.shape[0]
    place = np.full(none + 1, -1, np.int32)
    plans: list[LevelPlan] = []
    for fronts in levels:
        pivots = _filled([front.pivots for front in fronts], none)
        boundary = _filled([front.boundary for front in fronts], none, spare=1)
        pixels = np.hstack([pivots, boundary])
        counts = np.array([len(front.pivots) for front in fronts])
        starts, positions, values = _couplings(
            pixels,
            counts,
            pivots.shape[1],
            place,
            laplacian.indptr,
            laplacian.indices,
            laplacian.data.astype(np.float64, copy=False),
            shift,
        )
        halves = np.array([front.halves or (-1, -1) for front in fronts])
        places = None
        if (halves >= 0).any():
            places = _places(pixels, halves, plans[-1].boundary, place)
        plans.append(
            LevelPlan(pivots, boundary, starts, positions, values, np.maximum(halves, 0), places)
        )
    return plans


def _filled(rows: list[np.ndarray], none: int, spare: int = 0) -> np.ndarray:
    """Rows of unequal length as one array, with ``none`` behind each, ``spare`` times at least."""
    filled = np.full((len(rows), max(1, max(map(len, rows)) + spare)), none)
    for target, row in zip(filled, rows, strict=True):
        target[: len(row)] = row
    return filled


@numba.njit(cache=True, nogil=True)
def _couplings(
    pixels: np.ndarray,
    counts: np.ndarray,
    pivots: int,
    place: np.ndarray,
    pointers: np.ndarray,
    indices: np.ndarray,
    entries: np.ndarray,
    shift: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    fronts, width = pixels.shape
    none = len(place) - 1
    most = 0
    for n in range(fronts):
        for i in range(pivots):
            pixel = pixels[n, i]
            most += 1 if pixel == none else pointers[pixel + 1] - pointers[pixel] + 1
    starts = np.zeros(fronts + 1, np.int64)
    positions, values = np.empty(most, np.int64), np.empty(most)
    last = 0
    for n in range(fronts):
        for j in range(width):
            place[pixels[n, j]] = j
        place[none] = -1
        for i in range(pivots):
            row = (n * pivots + i) * width
            # The diagonal, which the Laplacian need not store, comes first.
            positions[last] = row + i
            diagonal = last
            values[last] = -shift if i < counts[n] else 1.0
            last += 1
            if i >= counts[n]:
                continue
            for entry in range(pointers[pixels[n, i]], pointers[pixels[n, i] + 1]):
                j = place[indices[entry]]
                if j == i:
                    values[diagonal] += entries[entry]
                elif j >= 0:  # else it was eliminated before
                    positions[last] = row + j
                    values[last] = entries[entry]
                    last += 1
        for j in range(width):
            place[pixels[n, j]] = -1
        starts[n + 1] = last
    return starts, positions[:last], values[:last]


@numba.njit(cache=True, nogil=True)
def _places(
    pixels: np.ndarray, halves: np.ndarray, boundary: np.ndarray, place: np.ndarray
) -> np.ndarray:
    fronts, width = pixels.shape
    none, absent = len(place) - 1, boundary.shape[1] - 1
    found = np.full((fronts, 2, width), absent, np.int64)
    for n in range(fronts):
        for side in range(2):
            half = halves[n, side]
            if half < 0:
                continue
            for slot in range(absent):
                place[boundary[half, slot]] = slot
            place[none] = absent
            for j in range(width):
                slot = place[pixels[n, j]]
                if slot >= 0:
                    found[n, side, j] = slot
            for slot in range(boundary.shape[1]):
                place[boundary[half, slot]] = -1
    return found
