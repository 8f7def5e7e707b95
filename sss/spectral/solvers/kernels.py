"""Compiled arithmetic of :mod:`sss.spectral.solvers.multifrontal`.

Fronts are small and many: in compiled code they cost no calls from Python, and threads work on
several without waiting for its lock.
"""

from __future__ import annotations

import numba
import numpy as np

from sss.caches import choose_caches

PANEL = 256
"""Rows of an update matrix that are computed at a time, up to the diagonal and no further."""


@numba.njit(cache=choose_caches(), nogil=True)
def add_pivot_rows(
    matrix: np.ndarray,
    pivots: np.ndarray,
    boundary: np.ndarray,
    corner: tuple[int, int],
    place: np.ndarray,
    width: int,
    pointers: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    shift: float,
) -> None:
    """Add the entries of the sparse matrix that couple a front's pivots; fill ``place`` in.

    Args:
        matrix: (k+b, k+b), of which the lower triangle is added to.
        pivots: (k,) flat indices.
        boundary: (b,) flat indices.
        corner: First row and column of the front's box.
        place: As large as the box; becomes each pixel's index in the front, −1 where it has none.
        width: Of the photo.
        pointers: Of the sparse matrix in CSR form, as the next two.
        indices: Columns.
        values: Entries.
        shift: Subtracted from the diagonal.
    """
    k, b = len(pivots), len(boundary)
    place[:] = -1
    for i in range(k):
        place[pivots[i] // width - corner[0], pivots[i] % width - corner[1]] = i
    for i in range(b):
        place[boundary[i] // width - corner[0], boundary[i] % width - corner[1]] = k + i
    for i in range(k):
        for entry in range(pointers[pivots[i]], pointers[pivots[i] + 1]):
            row, column = indices[entry] // width - corner[0], indices[entry] % width - corner[1]
            j = place[row, column]  # a pivot couples to its box and the frame alone
            if j >= i:  # else it is above the diagonal, or was eliminated before
                matrix[j, i] += values[entry]
        matrix[i, i] -= shift


@numba.njit(cache=choose_caches(), nogil=True)
def extend_add(
    matrix: np.ndarray,
    update: np.ndarray,
    boundary: np.ndarray,
    corner: tuple[int, int],
    place: np.ndarray,
    width: int,
) -> None:
    """Add a child's update matrix, whose rows are its ``boundary``; lower triangles."""
    where = np.empty(len(boundary), np.int32)
    for i in range(len(boundary)):
        where[i] = place[boundary[i] // width - corner[0], boundary[i] % width - corner[1]]
    for i in range(len(boundary)):
        for j in range(i + 1):
            row, column = where[i], where[j]
            if row < column:
                row, column = column, row
            matrix[row, column] += update[i, j]


@numba.njit(cache=choose_caches(), nogil=True)
def eliminate_pivots(matrix: np.ndarray, k: int, factors: np.ndarray) -> np.ndarray:
    """Partial Cholesky decomposition of a front.

    Args:
        matrix: (k+b, k+b), of which the lower triangle is read; overwritten.
        k: Number of pivots.
        factors: (k·(k+b),), filled in: the inverse of the pivots' triangular factor, (k, k), and
            the boundary's rows of the factor, (b, k). The triangle is found in double precision,
            which costs nothing beside the rest.

    Returns:
        (b, b) Schur complement of the pivots, the update matrix of the front; lower triangle.

    Raises:
        numpy.linalg.LinAlgError: The pivots' part is not positive definite.
    """
    schur = matrix[k:, k:]
    if k > 0:
        triangle = np.linalg.cholesky(matrix[:k, :k].astype(np.float64))
        inverse = np.linalg.inv(triangle).astype(matrix.dtype)
        coupling = np.dot(matrix[k:, :k].copy(), inverse.T)
        factors[: k * k] = inverse.ravel()
        factors[k * k :] = coupling.ravel()
        for first in range(0, len(schur), PANEL):
            end = min(first + PANEL, len(schur))
            schur[first:end, :end] -= np.dot(coupling[first:end], coupling[:end].T)
    return schur


@numba.njit(cache=choose_caches(), nogil=True)
def _front_factors(
    factors: np.ndarray, start: int, k: int, b: int
) -> tuple[np.ndarray, np.ndarray]:
    """The (k, k) and (b, k) parts of a front's factors, which begin at ``start``."""
    middle = start + k * k
    return factors[start:middle].reshape(k, k), factors[middle : middle + k * b].reshape(b, k)


@numba.njit(cache=choose_caches(), nogil=True)
def forward(rhs: np.ndarray, boundary: np.ndarray, counts: np.ndarray, factors: np.ndarray) -> None:
    """Forward substitution through a sequence of fronts, in place.

    Args:
        rhs: (M, P): the pivots of all fronts in the order of elimination, then what they share
            with fronts outside the sequence.
        boundary: Rows of ``rhs`` that are the fronts' boundaries, one front after the other.
        counts: (F, 2): pivots and boundary pixels of each front.
        factors: As :func:`eliminate_pivots` fills them in, one front after the other.
    """
    pivot, place, start = 0, 0, 0
    for k, b in counts:
        if k > 0:
            inverse, coupling = _front_factors(factors, start, k, b)
            solved = np.dot(inverse, rhs[pivot : pivot + k])
            rhs[pivot : pivot + k] = solved
            passed = np.dot(coupling, solved)
            for i in range(b):
                row = boundary[place + i]
                for column in range(rhs.shape[1]):
                    rhs[row, column] -= passed[i, column]
        pivot += k
        place += b
        start += k * (k + b)


@numba.njit(cache=choose_caches(), nogil=True)
def backward(
    rhs: np.ndarray, boundary: np.ndarray, counts: np.ndarray, factors: np.ndarray
) -> None:
    """Backward substitution; arguments as of :func:`forward`, the shared rows being solved."""
    pivot, place, start = counts[:, 0].sum(), len(boundary), len(factors)
    for i in range(len(counts) - 1, -1, -1):
        k, b = counts[i]
        pivot -= k
        place -= b
        start -= k * (k + b)
        if k > 0:
            inverse, coupling = _front_factors(factors, start, k, b)
            left = rhs[pivot : pivot + k] - np.dot(coupling.T, rhs[boundary[place : place + b]])
            rhs[pivot : pivot + k] = np.dot(inverse.T, left)
