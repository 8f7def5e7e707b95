"""Factors of a dense symmetric indefinite matrix, by blocks."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.linalg

from sss.threads import map_threads, slices

BLOCK = 256

LARGEST_GROWTH = 1e6
"""Of the numbers while blocks are eliminated, before the factors are thrown away for LU's. Random
Laplacians stay below 10."""


class SymmetricFactors:
    """``A⁻¹`` for symmetric A, as block LDLᵀ: half the work of LU, and threads share it.

    Blocks on the diagonal are inverted as they come. That is unstable only where one of them is
    singular by chance; then LU with pivoting takes over.

    Args:
        matrix: (N, N), in whose precision all is done. Its lower triangle is used.

    Raises:
        numpy.linalg.LinAlgError: The matrix is not finite.
    """

    def __init__(self, matrix: np.ndarray) -> None:
        if not np.isfinite(matrix).all():
            raise np.linalg.LinAlgError("the matrix holds NaN or infinite values")
        self._blocks: list[tuple[slice, np.ndarray]] = []
        self._scaled = np.empty_like(matrix)
        self._lu: tuple[np.ndarray, np.ndarray] | None = None
        if not self._eliminate(matrix.copy()):
            symmetric = np.tril(matrix) + np.tril(matrix, -1).T
            self._lu = scipy.linalg.lu_factor(symmetric, overwrite_a=True)

    def _eliminate(self, matrix: np.ndarray) -> bool:
        """Fill the blocks in; returns whether the numbers stayed small.

        A block's column is brought up to date when its turn comes, by one product with all columns
        before it, which then stand in ``matrix`` as they were before they were scaled. The part of
        that which needs no more than is there keeps a thread busy while another inverts.
        """
        size, scaled = len(matrix), self._scaled
        limit = LARGEST_GROWTH * np.abs(np.diagonal(matrix)).max(initial=0)
        columns = slices(size, BLOCK)
        for own, following in itertools.zip_longest(columns, columns[1:], fillvalue=slice(0)):
            block = np.tril(matrix[own, own])
            block += np.tril(block, -1).T
            if not np.abs(np.diagonal(block)).max(initial=0) <= limit:
                return False

            def invert() -> np.ndarray:
                inverse: np.ndarray = np.linalg.inv(block.astype(np.float64))  # noqa: B023
                return inverse.astype(matrix.dtype)

            def update(rows: slice, before: slice) -> None:
                """The following block's column, by those ``before``."""
                matrix[rows, following] -= scaled[rows, before] @ matrix[following, before].T  # noqa: B023

            below, before = slices(size, BLOCK, own.stop), slice(own.start)
            updates = (partial(update, rows, before) for rows in below)
            work: list[Callable[[], Any]] = [invert, *updates]
            try:
                inverse, *_ = map_threads(operator.call, work)
            except np.linalg.LinAlgError:
                return False
            self._blocks.append((own, inverse))

            def scale(rows: slice) -> None:
                scaled[rows, own] = matrix[rows, own] @ inverse  # noqa: B023
                update(rows, own)  # noqa: B023

            map_threads(scale, below)
        return True

    def solve(self, sides: np.ndarray) -> np.ndarray:
        """Solve for (N, P) right-hand sides of the matrix's precision."""
        if self._lu is not None:
            solved: np.ndarray = scipy.linalg.lu_solve(self._lu, sides, check_finite=False)
            return solved
        # Columns in halves: threads that shared the rows would wait for each other at every block.
        return np.hstack(map_threads(self._solve_columns, np.array_split(sides, 2, axis=1)))

    def _solve_columns(self, sides: np.ndarray) -> np.ndarray:
        solution = sides.copy()
        for own, inverse in self._blocks:
            ends = solution[own]
            solution[own.stop :] -= self._scaled[own.stop :, own] @ ends
            solution[own] = inverse @ ends
        for own, _ in reversed(self._blocks):
            solution[own] -= self._scaled[own.stop :, own].T @ solution[own.stop :]
        return solution
