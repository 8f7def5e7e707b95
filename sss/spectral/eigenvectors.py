"""The eigenvectors of the Laplacian nearest zero (Aksoy et al. 2018, Sec. 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from sss.spectral.dissection import Factors
from sss.threads import map_threads

EIGENVECTORS = 100
"""How many the reference uses."""

SHIFT = -1e-6
"""Of shift-invert: near zero, but not at it, where the Laplacian is singular. A shift as large as
the wanted eigenvalues ruins the convergence."""

DENSE_LIMIT = 1200
"""Up to this many pixels a dense solver is faster than a factorisation."""

SPARE = 4
"""More eigenpairs than asked for, since nearest the shift is not quite nearest zero."""

EXACT = 1e-8
ROUGH = 1e-3
"""Residuals of the eigenvectors, relative to their eigenvalues; those of the eigenvalues are the
squares."""

BLOCK = 16
"""Vectors that a Krylov step adds. A few at once use the processor better than one; with more, the
space must become larger."""

LARGEST_SPACE = 12
"""Times the vectors wanted: where the search gives up. It ends at 3 to 5 times."""

ROWS = 8192
"""Pixels that one thread orthogonalises at a time."""


def smallest_eigenvectors(
    laplacian: sp.csr_array,
    size: tuple[int, int],
    count: int = EIGENVECTORS,
    seed: int = 0,
    rough: bool = False,
    linked: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs with the smallest |λ|, as MATLAB's ``eigs(L, count, 'SM')`` gives them.

    The Laplacian is indefinite (a handful of eigenvalues are about −1e-4); nearest zero is not
    algebraically smallest. A block Krylov space of the shifted inverse finds them.

    Args:
        laplacian: Symmetric sparse (N, N), N = H·W, whose rows sum to zero.
        size: (H, W) of the photo.
        count: Eigenpairs wanted; all N if there are fewer.
        seed: Of the start vectors.
        rough: Stop at residuals of ``ROUGH``, in single precision, in place of ``EXACT``.
        linked: See :class:`sss.spectral.dissection.Factors`.

    Returns:
        Eigenvalues (count,) with rising |λ|, signed; orthonormal eigenvectors (N, count).

    Raises:
        RuntimeError: The search did not converge.
    """
    pixels = laplacian.shape[0]
    if pixels <= max(DENSE_LIMIT, 4 * (count + SPARE)):
        values, vectors = scipy.linalg.eigh(laplacian.toarray())
    else:
        factors = Factors(laplacian, size, SHIFT, rough, linked)
        precision = np.float32 if rough else np.float64
        try:
            vectors = _krylov(factors.solve, pixels, count + SPARE - 1, seed, precision)
        except (np.linalg.LinAlgError, RuntimeError):
            if not rough:
                raise
            # Flat regions that nothing connects: their eigenvalues are so much nearer zero than
            # all others that in single precision the inverse's first product has no others left.
            return smallest_eigenvectors(laplacian, size, count, seed, linked=linked)
        values, vectors = _rayleigh_ritz(laplacian, vectors)
    nearest = np.argsort(np.abs(values), kind="stable")[:count]
    return values[nearest], np.ascontiguousarray(vectors[:, nearest])


def _krylov(
    solve: Callable[[np.ndarray], np.ndarray], pixels: int, count: int, seed: int, precision: type
) -> np.ndarray:
    """(N, count) eigenvectors of ``solve`` with the largest |θ|, all orthogonal to constants.

    Block Lanczos (Golub and Underwood 1977), every new block made orthogonal to all before it. The
    constant vector, whose eigenvalue is known to be zero, is left out: its inverse is larger than
    any other by so much that single precision would lose them.
    """
    tolerance = ROUGH if precision is np.float32 else EXACT
    largest = min(LARGEST_SPACE * count, pixels - 1) // BLOCK * BLOCK
    # Memory is taken as it is filled.
    space: np.ndarray = np.empty((pixels, largest), precision, order="F")
    projected = np.zeros((largest, largest))
    random = np.random.default_rng(seed)
    block: np.ndarray = random.standard_normal((pixels, BLOCK)).astype(precision)
    block -= block.mean(axis=0)
    block, _ = _orthonormal(block)
    used = 0
    while used + BLOCK <= largest:
        space[:, used : used + BLOCK] = block
        used += BLOCK
        found = solve(block)
        found -= found.mean(axis=0)
        overlaps = _remove_parts(found, space[:, :used])
        # Rounding leaves some of what was removed; a second time is enough.
        overlaps += _remove_parts(found, space[:, :used])
        projected[:used, used - BLOCK : used] = overlaps
        projected[used - BLOCK : used, :used] = overlaps.T
        block, rest = _orthonormal(found)
        if used < count + BLOCK:
            continue
        values, combinations = np.linalg.eigh(projected[:used, :used])
        wanted = np.argsort(-np.abs(values), kind="stable")[:count]
        residuals = np.linalg.norm(rest @ combinations[used - BLOCK :, wanted], axis=0)
        if (residuals <= tolerance * np.abs(values[wanted])).all():
            return _combine(space[:, :used], combinations[:, wanted].astype(precision))
    raise RuntimeError(
        f"{count} eigenvectors did not converge in a space of {used}; try a photo of another size "
        "(--max-side)"
    )


def _rows(pixels: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, pixels, ROWS))


def _remove_parts(block: np.ndarray, space: np.ndarray) -> np.ndarray:
    """Make ``block`` orthogonal to ``space`` in place; returns the overlaps."""
    parts = map_threads(lambda rows: space[rows].T @ block[rows], _rows(len(block)))
    overlaps = sum(parts[1:], start=parts[0])

    def subtract(rows: slice) -> None:
        block[rows] -= space[rows] @ overlaps

    map_threads(subtract, _rows(len(block)))
    return overlaps


def _orthonormal(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """QR decomposition of (N, P), P small, by the Cholesky factor of the Gram matrix, twice."""
    triangle = np.eye(block.shape[1])
    for _ in range(2):
        factor = np.linalg.cholesky(_gram(block)).T
        block = _combine(block, np.linalg.inv(factor).astype(block.dtype))
        triangle = factor @ triangle
    return block, triangle


def _gram(block: np.ndarray) -> np.ndarray:
    parts = map_threads(lambda rows: block[rows].T @ block[rows], _rows(len(block)))
    return sum(parts[1:], start=parts[0]).astype(np.float64)


def _combine(space: np.ndarray, combinations: np.ndarray) -> np.ndarray:
    return np.concatenate(map_threads(lambda rows: space[rows] @ combinations, _rows(len(space))))


def _rayleigh_ritz(laplacian: sp.csr_array, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best eigenpairs in the span of ``vectors`` and of the constant vector."""
    constant = np.ones((len(vectors), 1))
    basis, _ = _orthonormal(np.hstack([constant, vectors]))
    values, combinations = np.linalg.eigh(basis.T @ (laplacian @ basis))
    return values, _combine(basis, combinations)
