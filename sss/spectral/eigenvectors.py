"""The eigenvectors of the Laplacian nearest zero (Aksoy et al. 2018, Sec. 3.4)."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, splu

EIGENVECTORS = 100
"""How many the reference uses."""

SHIFT = -1e-6
"""Of shift-invert: near zero, but not at it, where the Laplacian is singular. A shift as large as
the wanted eigenvalues ruins the convergence."""

DENSE_LIMIT = 1200
"""Up to this many pixels a dense solver is faster than a factorisation."""

SPARE = 8
"""More eigenpairs than asked for, since nearest the shift is not quite nearest zero."""


def smallest_eigenvectors(
    laplacian: sp.csr_array, count: int = EIGENVECTORS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs with the smallest |λ|, as MATLAB's ``eigs(L, count, 'SM')`` gives them.

    The Laplacian is indefinite (a handful of eigenvalues are about −1e-4); nearest zero is not
    algebraically smallest. Sparse LU in a symmetric ordering without pivoting, then ARPACK in
    shift-invert mode: iterative solvers and Cholesky fail on the indefinite matrix and its tiny
    gaps.

    Args:
        laplacian: Symmetric sparse (N, N).
        count: Eigenpairs wanted; all N if there are fewer.
        seed: Of ARPACK's start vector, so that equal input gives equal output.

    Returns:
        Eigenvalues (count,) with rising |λ|, signed; orthonormal eigenvectors (N, count).

    Raises:
        RuntimeError: ARPACK did not converge.
    """
    size = laplacian.shape[0]
    if size <= max(DENSE_LIMIT, 2 * (count + SPARE)):
        values, vectors = scipy.linalg.eigh(laplacian.toarray())
    else:
        values, vectors = _shift_invert(laplacian, count + SPARE, seed)
    nearest = np.argsort(np.abs(values), kind="stable")[:count]
    return values[nearest], np.ascontiguousarray(vectors[:, nearest])


def _shift_invert(laplacian: sp.csr_array, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    size = laplacian.shape[0]
    shifted = (laplacian - SHIFT * sp.eye_array(size)).tocsc()
    factors = splu(
        shifted,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    inverse = LinearOperator((size, size), matvec=factors.solve, dtype=np.float64)
    start = np.random.default_rng(seed).standard_normal(size)
    try:
        return eigsh(laplacian, count, sigma=SHIFT, OPinv=inverse, v0=start, ncv=2 * count + 20)
    except ArpackNoConvergence as error:
        raise RuntimeError(
            f"only {len(error.eigenvalues)} of {count} eigenvectors converged; try a photo of "
            "another size (--max-side)"
        ) from error
