"""The eigenvectors of the Laplacian nearest zero (Aksoy et al. 2018, Sec. 3.4)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from sss.spectral.dissection import Factors
from sss.spectral.tall import (
    LEAST_NORM,
    combine,
    complement,
    map_rows,
    orthonormal,
    products,
    remove_parts,
)
from sss.threads import slices

EIGENVECTORS = 100
"""How many the reference uses."""

SHIFT = -1e-6
"""Of shift-invert: near zero, but not at it, where the Laplacian is singular. A shift as large as
the wanted eigenvalues ruins the convergence."""

DENSE_LIMIT = 1200
"""Up to this many pixels a dense solver is faster than a factorisation."""

SPARE = 4
"""More eigenpairs than asked for, since nearest the shift is not quite nearest zero."""

EXACT = 1e-6
FINE = 1e-4
ROUGH = 1e-2
"""Residuals at which a search ends, of the eigenvectors of the inverse and relative to its
eigenvalues; those of the eigenvalues are the squares. In double precision; in single precision
before the eigenvectors are corrected; and where they are not."""

SETTLED = 2e-3
"""Residuals, relative to the eigenvalues, at which corrections end. Those of the eigenvalues are
about the squares of these, and smaller where the residuals are rounding, which is of all
frequencies."""

MOVED = 1e-3
"""Relative move of all eigenvalues, spare ones too, in a correction after which there is no other.
From single precision they move by 1e-4."""

MOST_CORRECTIONS = 4

ZERO = 1e-12
"""Residuals below this are rounding."""

BLOCK = 16
"""Vectors that a Krylov step adds. A few at once use the processor better than one; with more, the
space must become larger."""

SMALLEST_SPACE = 2
LARGEST_SPACE = 12
"""Times the vectors wanted: where the search is first asked whether it has ended, and where it
gives up. It ends at 2 to 4 times."""

CORRECTED_SPACE = 5
"""Where it ends in any case if corrections follow: rounding may keep residuals above ``FINE``."""


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
        rough: Leave the eigenvectors as they are found in single precision, with residuals of
            ``ROUGH``; else the eigenvalues' relative error is below 1e-6.
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
        found = _in_single_precision(laplacian, size, count, seed, rough, linked)
        if found is None:
            factors = Factors(laplacian, size, SHIFT, linked=linked)
            space = _krylov(factors.solve, pixels, count + SPARE - 1, seed, np.float64, EXACT)
            found = _rayleigh_ritz(laplacian, space)
        values, vectors = found
    nearest = np.argsort(np.abs(values), kind="stable")[:count]
    return values[nearest], np.ascontiguousarray(vectors[:, nearest])


def _in_single_precision(
    laplacian: sp.csr_array,
    size: tuple[int, int],
    count: int,
    seed: int,
    rough: bool,
    linked: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Eigenpairs found in single precision; None where they are beyond it.

    Flat regions that nothing connects: their eigenvalues are so much nearer zero than all others
    that in single precision the inverse's first product has no others left.
    """
    tolerance = ROUGH if rough else FINE
    try:
        factors = Factors(laplacian, size, SHIFT, single=True, linked=linked)
        pixels, searched = laplacian.shape[0], count + SPARE - 1
        end = None if rough else CORRECTED_SPACE
        found = _krylov(factors.solve, pixels, searched, seed, np.float32, tolerance, end)
        values, vectors = _rayleigh_ritz(laplacian, found)
        if not rough:
            values, vectors = _corrected(laplacian, factors, values, vectors, count)
        return values, vectors
    except (np.linalg.LinAlgError, RuntimeError):
        return None


def _krylov(
    solve: Callable[[np.ndarray], np.ndarray],
    pixels: int,
    count: int,
    seed: int,
    precision: type,
    tolerance: float,
    end: int | None = None,
) -> np.ndarray:
    """(N, count) eigenvectors of ``solve`` with the largest |θ|, all orthogonal to constants.

    A space ``end`` times as large as wanted is the last, whether it holds them to ``tolerance`` or
    not.

    Block Lanczos (Golub and Underwood 1977), every new block made orthogonal to all before it. The
    constant vector, whose eigenvalue is known to be zero, is left out: its inverse is larger than
    any other by so much that single precision would lose them.
    """
    largest = min((end or LARGEST_SPACE) * count, pixels - 1) // BLOCK * BLOCK
    # Memory is taken as it is filled.
    space: np.ndarray = np.empty((pixels, largest), precision, order="F")
    projected = np.zeros((largest, largest))
    random = np.random.default_rng(seed)
    block: np.ndarray = random.standard_normal((pixels, BLOCK)).astype(precision)
    block -= block.mean(axis=0)
    block, _ = orthonormal(block)
    used = 0
    while used + BLOCK <= largest:
        space[:, used : used + BLOCK] = block
        used += BLOCK
        found = solve(block)
        found -= found.mean(axis=0)
        # But for rounding, all of the overlap is with the last two blocks.
        recent = max(0, used - 2 * BLOCK)
        most = remove_parts(found, space[:, recent:used])
        overlaps = remove_parts(found, space[:, :used])
        overlaps[recent:] += most
        projected[:used, used - BLOCK : used] = overlaps
        projected[used - BLOCK : used, :used] = overlaps.T
        block, rest = orthonormal(found)
        if used < min(SMALLEST_SPACE * count, largest):
            continue
        values, combinations = np.linalg.eigh(projected[:used, :used])
        wanted = np.argsort(-np.abs(values), kind="stable")[:count]
        residuals = np.linalg.norm(rest @ combinations[used - BLOCK :, wanted], axis=0)
        converged = (residuals <= tolerance * np.abs(values[wanted])).all()
        if converged or (end and used + BLOCK > largest):
            return combine(space[:, :used], combinations[:, wanted].astype(precision))
    raise RuntimeError(
        f"{count} eigenvectors did not converge in a space of {used}; try a photo of another size "
        "(--max-side)"
    )


def _rayleigh_ritz(laplacian: sp.csr_array, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best eigenpairs in the span of ``vectors`` and of the constant vector, float64."""
    basis = np.hstack([np.full((len(vectors), 1), len(vectors) ** -0.5), vectors])
    # The basis is orthonormal but for rounding.
    whitening = np.linalg.inv(np.linalg.cholesky(products(basis, basis)))
    projected = whitening @ products(basis, _apply(laplacian, basis)) @ whitening.T
    values, combinations = np.linalg.eigh(projected)
    return values, combine(basis, whitening.T @ combinations)


def _corrected(
    laplacian: sp.csr_array, factors: Factors, values: np.ndarray, vectors: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs to double precision's from those found in single precision.

    Raises:
        RuntimeError: The ``count`` nearest zero do not settle.
    """
    applied, settled = _apply(laplacian, vectors), False
    for _ in range(MOST_CORRECTIONS):
        old = np.sort(values)
        extra = complement(_inverse_residuals(factors, values, vectors, applied), vectors)
        projected = products(vectors, applied)
        del applied  # as much memory as for all vectors
        values, vectors = _davidson_step(laplacian, vectors, projected, extra)
        applied = _apply(laplacian, vectors)
        nearest = np.argsort(np.abs(values), kind="stable")[:count]
        allowed = np.maximum(SETTLED * np.abs(values), ZERO)
        settled = bool((_residuals(values, vectors, applied) <= allowed)[nearest].all())
        new = np.sort(values)
        if settled and (np.abs(new - old) <= MOVED * np.maximum(np.abs(new), ZERO)).all():
            break
    # The spare ones need not be at rest: rounding lets some pass for copies of others.
    if not settled:
        raise RuntimeError("the eigenvalues did not settle")
    return values, vectors


def _residuals(values: np.ndarray, vectors: np.ndarray, applied: np.ndarray) -> np.ndarray:
    """Lengths of ``applied − vectors·values``."""
    squares = map_rows(
        lambda rows: np.square(applied[rows] - vectors[rows] * values).sum(axis=0)[None],
        len(vectors),
    )
    return np.sqrt(squares.sum(axis=0))


def _davidson_step(
    laplacian: sp.csr_array, vectors: np.ndarray, own: np.ndarray, extra: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Best eigenpairs in the span of the vectors and of the inverse of their residuals.

    (Davidson, *J. Comput. Phys.* 17, 1975.) The residuals are those of double precision; for their
    inverse single precision is enough.

    Args:
        laplacian: (N, N).
        vectors: (N, M) orthonormal.
        own: (M, M) the Laplacian between the vectors.
        extra: (N, E) orthonormal basis of what the inverse residuals add.
    """
    count = len(own)
    projected = np.empty((count + extra.shape[1],) * 2)
    projected[:count, :count] = own
    applied = _apply(laplacian, extra)
    projected[count:, count:] = products(extra, applied)
    projected[count:, :count] = products(applied, vectors)
    del applied
    found, combinations = np.linalg.eigh(projected)  # of the lower triangle
    nearest = np.argsort(np.abs(found), kind="stable")[:count]
    kept, added = np.split(combinations[:, nearest], [count])
    return found[nearest], map_rows(
        lambda rows: vectors[rows] @ kept + extra[rows] @ added, len(vectors)
    )


def _inverse_residuals(
    factors: Factors, values: np.ndarray, vectors: np.ndarray, applied: np.ndarray
) -> np.ndarray:
    """(N, count) float32, each of some length."""
    parts = []
    for part in slices(len(values), BLOCK):
        residuals = applied[:, part] - vectors[:, part] * values[part]
        residuals /= np.maximum(np.linalg.norm(residuals, axis=0), LEAST_NORM)
        parts.append(factors.solve(residuals.astype(np.float32)))
    return np.hstack(parts)


def _apply(laplacian: sp.csr_array, vectors: np.ndarray) -> np.ndarray:
    """``laplacian @ vectors``."""
    return map_rows(lambda rows: laplacian[rows] @ vectors, len(vectors))
