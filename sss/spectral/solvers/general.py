"""Factors of any sparse symmetric matrix, by libraries: SciPy's SuperLU and MKL's PARDISO."""

from __future__ import annotations

import weakref

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg

PIVOT_THRESHOLD = 0.1
"""Of SuperLU: the diagonal's entry is the pivot unless another of its column is ten times as large.
With 1, its default, the factors of a photo's Laplacian are three times as large."""


class SuperLUFactors:
    """LU by SciPy's SuperLU.

    Args:
        matrix: Symmetric (N, N).

    Raises:
        numpy.linalg.LinAlgError: The matrix is singular.
    """

    def __init__(self, matrix: sp.csr_array) -> None:
        try:
            self._lu = scipy.sparse.linalg.splu(
                matrix.tocsc().astype(np.float64),
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=PIVOT_THRESHOLD,
                options={"SymmetricMode": True},
            )
        except RuntimeError as error:
            raise np.linalg.LinAlgError(f"SuperLU: {error}") from error

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """Solution (N, P) for right-hand sides (N, P), float64."""
        solution: np.ndarray = self._lu.solve(rhs.astype(np.float64, copy=False))
        return solution


class PardisoFactors:
    """LDLᵀ by MKL's PARDISO, through pypardiso.

    Args:
        matrix: Symmetric (N, N); no row is empty.

    Raises:
        ImportError: pypardiso or MKL is not installed.
        numpy.linalg.LinAlgError: PARDISO reports an error.
    """

    def __init__(self, matrix: sp.csr_array) -> None:
        from pypardiso.pardiso_wrapper import PyPardisoError, PyPardisoSolver

        self._solver = PyPardisoSolver(mtype=-2)  # real, symmetric, indefinite
        weakref.finalize(self, self._solver.free_memory, everything=True)
        self._upper = sp.triu(matrix, format="csr").astype(np.float64)
        try:
            self._solver.factorize(self._upper)
        except PyPardisoError as error:
            raise np.linalg.LinAlgError(f"PARDISO: {error}") from error

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """Solution (N, P) for right-hand sides (N, P), float64."""
        solution: np.ndarray = self._solver.solve(self._upper, rhs.astype(np.float64, copy=False))
        return solution
