"""Factors of a dense symmetric indefinite matrix, by blocks."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from sss.threads import map_threads

BLOCK = 256

LARGEST_GROWTH = 1e6
"""Of the numbers while blocks are eliminated, before the factors are thrown away for LU's. Random
Laplacians stay below 10."""


class SymmetricFactors:
    """``A⁻¹`` for symmetric A, as block LDLᵀ: half the work of LU, and threads share it.

    Blocks on the diagonal are inverted as they come. That is unstable only where one of them is
    singular by chance; then LU with pivoting takes over.

    Args:
        matrix: (N, N) float64; overwritten. Its lower triangle is used.
        precision: In which the factors are kept.

    Raises:
        numpy.linalg.LinAlgError: The matrix is not finite.
    """

    def __init__(self, matrix: np.ndarray, precision: type = np.float64) -> None:
        self._blocks: list[tuple[slice, np.ndarray, np.ndarray]] = []
        self._lu: tuple[np.ndarray, np.ndarray] | None = None
        if not np.isfinite(matrix).all():
            raise np.linalg.LinAlgError("the matrix holds NaN or infinite values")
        original = matrix.copy()
        if not self._eliminate(matrix, precision):
            self._blocks = []
            symmetric = np.tril(original) + np.tril(original, -1).T
            triangles, swaps = scipy.linalg.lu_factor(symmetric, overwrite_a=True)
            self._lu = triangles.astype(precision), swaps

    def _eliminate(self, matrix: np.ndarray, precision: type) -> bool:
        """Fill the blocks in; returns whether the numbers stayed small."""
        size = len(matrix)
        limit = LARGEST_GROWTH * np.abs(np.diagonal(matrix)).max(initial=0)
        for start in range(0, size, BLOCK):
            own = slice(start, min(start + BLOCK, size))
            block = np.tril(matrix[own, own])
            block += np.tril(block, -1).T
            try:
                inverse = np.linalg.inv(block)
            except np.linalg.LinAlgError:
                return False
            below = matrix[own.stop :, own].copy()
            scaled = below @ inverse

            def update(rows: slice) -> None:
                columns = slice(own.stop, own.stop + rows.stop)  # noqa: B023
                target = slice(own.stop + rows.start, own.stop + rows.stop)  # noqa: B023
                matrix[target, columns] -= scaled[rows] @ below[: rows.stop].T  # noqa: B023

            panels = range(0, len(below), BLOCK)
            map_threads(update, [slice(r, min(r + BLOCK, len(below))) for r in panels])
            if not np.abs(np.diagonal(matrix)[own.stop :]).max(initial=0) <= limit:
                return False
            self._blocks.append((own, inverse.astype(precision), scaled.astype(precision)))
        return True

    def solve(self, sides: np.ndarray) -> np.ndarray:
        """Solve for (N, P) right-hand sides of the factors' precision."""
        if self._lu is not None:
            solved: np.ndarray = scipy.linalg.lu_solve(self._lu, sides, check_finite=False)
            return solved
        solution = sides.copy()
        for own, inverse, scaled in self._blocks:
            ends = solution[own]

            def pass_on(rows: slice) -> None:
                solution[own.stop :][rows] -= scaled[rows] @ ends  # noqa: B023

            map_threads(pass_on, _halves(len(scaled)))
            solution[own] = inverse @ ends
        for own, _, scaled in reversed(self._blocks):
            rest = solution[own.stop :]
            parts = map_threads(
                lambda rows: scaled[rows].T @ rest[rows],  # noqa: B023
                _halves(len(scaled)),
            )
            for part in parts:
                solution[own] -= part
        return solution


def _halves(count: int) -> list[slice]:
    """Always two, so that the number of threads does not show in the sums."""
    return [slice(0, count // 2), slice(count // 2, count)]
