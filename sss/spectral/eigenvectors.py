"""The eigenvectors of the Laplacian nearest zero (Aksoy et al. 2018, Sec. 3.4)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from sss.spectral.linalg import inner_products, multiply, orthonormalize, project_out
from sss.spectral.solvers import Factors, factorize

logger = logging.getLogger(__name__)

EIGENVECTORS = 100
"""How many the reference uses."""

SHIFT = -1e-6
"""Of shift-invert: near zero, but not at it, where the Laplacian is singular. A shift as large as
the wanted eigenvalues ruins the convergence."""

DENSE_LIMIT = 1200
"""Up to this many pixels a dense solver is faster than a factorisation."""

SPARE = 4
"""More eigenpairs than asked for, since nearest the shift is not quite nearest zero."""

TOLERANCE = 1e-7
ROUGH_TOLERANCE = 1e-2
"""Residuals at which the search ends, of the eigenvectors of the shifted inverse and relative to
its eigenvalues; the relative errors of the eigenvalues are about the squares."""

SINGLE_EPSILON = float(np.finfo(np.float32).eps)
ROUNDING_SHARE = 0.1
"""Of the tolerance that rounding may take up: the inverse's products are exact to the precision
times its largest eigenvalue, so the residuals of the smallest wanted one cannot fall below that.
On photos it is a thousandth in single precision; on a black-and-white scan, whose specks each have
an eigenvalue near zero, two thirds."""

BLOCK = 16
"""Vectors that a Krylov step adds. A few at once use the processor better than one; with more, the
space must become larger."""

SMALLEST_SPACE = 2
LARGEST_SPACE = 12
"""Times the vectors wanted: where the search is first asked whether it has ended, and where it
gives up. It ends at 2 to 5 times."""


def smallest_eigenvectors(
    laplacian: sp.csr_array,
    size: tuple[int, int],
    count: int = EIGENVECTORS,
    seed: int = 0,
    rough: bool = False,
    separator: np.ndarray | None = None,
    *,
    method: str = "auto",
    dense_limit: int = DENSE_LIMIT,
    largest_space: int = LARGEST_SPACE,
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs with the smallest |λ|, as MATLAB's ``eigs(L, count, 'SM')`` gives them.

    The Laplacian is indefinite (a handful of eigenvalues are about −1e-4); nearest zero is not
    algebraically smallest. A block Krylov space of the shifted inverse finds them.

    Args:
        laplacian: Symmetric sparse (N, N), N = H·W, whose rows sum to zero.
        size: (H, W) of the photo.
        count: Eigenpairs wanted; all N if there are fewer.
        seed: Of the start vectors.
        rough: Search in single precision, up to residuals of ``ROUGH_TOLERANCE``, which is enough
            for a coarse grid; else in double precision, up to ``TOLERANCE``.
        separator: Pixels with couplings beside the matting Laplacian's, see
            :func:`sss.spectral.solvers.factorize`.
        method: Of the factors, see the same.
        dense_limit: Up to how many pixels a dense solver is used.
        largest_space: Size of the Krylov space at which the search gives up, in multiples of the
            eigenpairs wanted.

    Returns:
        Eigenvalues (count,) with rising |λ|, signed; orthonormal eigenvectors (N, count), float64.

    Raises:
        RuntimeError: The search did not converge.
        numpy.linalg.LinAlgError: The Laplacian is not finite.
    """
    if laplacian.shape[0] <= max(dense_limit, 4 * (count + SPARE)):
        values, vectors = scipy.linalg.eigh(laplacian.toarray())
    else:
        factorized = partial(factorize, laplacian, size, SHIFT, method, separator)
        values, vectors = _shift_invert(laplacian, factorized, count, seed, rough, largest_space)
    nearest = np.argsort(np.abs(values), kind="stable")[:count]
    return values[nearest], np.ascontiguousarray(vectors[:, nearest])


def _shift_invert(
    laplacian: sp.csr_array,
    factorized: Callable[[type], Factors],
    count: int,
    seed: int,
    rough: bool,
    largest_space: int,
) -> tuple[np.ndarray, np.ndarray]:
    """``count + SPARE`` eigenpairs; ``factorized`` gives the shifted factors in a precision."""
    start: np.ndarray = np.random.default_rng(seed).standard_normal((laplacian.shape[0], BLOCK))
    searched = count + SPARE - 1  # and the constant vector, which is known

    tolerance = ROUGH_TOLERANCE if rough else TOLERANCE

    def search(precision: type) -> tuple[np.ndarray, np.ndarray]:
        block: np.ndarray = start.astype(precision)
        solve = factorized(precision).solve
        found = _block_krylov(solve, block, searched, tolerance, largest_space)
        del solve  # the factors' memory is wanted for what follows
        return _rayleigh_ritz(laplacian, found)

    if rough:
        try:
            return search(np.float32)
        except (np.linalg.LinAlgError, RuntimeError) as error:
            # Flat regions that nothing connects: their eigenvalues are so much nearer zero than all
            # others that in single precision the inverse's products have no others left.
            logger.debug("single precision: %s; double precision takes over", error)
    return search(np.float64)


def _block_krylov(
    solve: Callable[[np.ndarray], np.ndarray],
    block: np.ndarray,
    count: int,
    tolerance: float,
    largest_space: int,
) -> np.ndarray:
    """(N, count) eigenvectors of ``solve`` with the largest |θ|, all orthogonal to constants.

    Block Lanczos (Golub and Underwood, *The Block Lanczos Method for Computing Eigenvalues*, 1977),
    every new block made orthogonal to all before it. The constant vector, whose eigenvalue is known
    to be zero, is left out: its inverse is larger than any other by so much that single precision
    would lose them.

    Args:
        solve: Symmetric, of (N, P).
        block: (N, P) start vectors, in whose precision all is done.
        count: Eigenvectors wanted.
        tolerance: Residuals at which the search ends, relative to θ.
        largest_space: Size of the space at which it gives up, in multiples of ``count``.

    Raises:
        RuntimeError: It gave up, or the precision does not allow the tolerance.
        numpy.linalg.LinAlgError: A block has dependent columns.
    """
    pixels, width = block.shape
    largest = min(largest_space * count, pixels - 1) // width * width
    # Memory is taken as it is filled.
    space: np.ndarray = np.empty((pixels, largest), block.dtype, order="F")
    projected = np.zeros((largest, largest))
    block, _ = orthonormalize(block - block.mean(axis=0))
    for first in range(0, largest, width):
        used = first + width
        space[:, first:used] = block
        found = solve(block).astype(block.dtype, copy=False)
        found -= found.mean(axis=0)
        # But for rounding, all of the overlap is with the last two blocks.
        recent = max(0, first - width)
        largest_part = project_out(found, space[:, recent:used])
        overlaps = project_out(found, space[:, :used]).astype(np.float64)
        overlaps[recent:] += largest_part
        projected[:used, first:used] = overlaps
        projected[first:used, :used] = overlaps.T
        block, rest = orthonormalize(found)
        if used < min(SMALLEST_SPACE * count, largest):
            continue
        values, combinations = np.linalg.eigh(projected[:used, :used])
        wanted = np.argsort(-np.abs(values), kind="stable")[:count]
        sizes = np.abs(values[wanted])
        span = sizes[0] / sizes[-1]
        # Double precision goes as far as it can: nothing better takes over.
        if block.dtype == np.float32 and SINGLE_EPSILON * span > ROUNDING_SHARE * tolerance:
            raise RuntimeError(f"eigenvalues span a factor of {span:.0f}")
        residuals = np.linalg.norm(rest @ combinations[first:, wanted], axis=0)
        if (residuals <= tolerance * sizes).all():
            return multiply(space[:, :used], combinations[:, wanted].astype(block.dtype))
    raise RuntimeError(
        f"{count} eigenvectors did not converge in a space of {largest}; try a photo of another "
        "size (--max-side)"
    )


def _rayleigh_ritz(laplacian: sp.csr_array, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best eigenpairs in the span of ``vectors`` and of the constant vector, float64."""
    basis = np.hstack([np.full((len(vectors), 1), len(vectors) ** -0.5), vectors])
    # The basis is orthonormal but for rounding.
    energy = inner_products(basis, multiply(laplacian, basis))
    values, combinations = scipy.linalg.eigh(energy, inner_products(basis, basis))
    return values, multiply(basis, combinations)
