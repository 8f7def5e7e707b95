"""The eigenvectors of the Laplacian nearest zero (Aksoy et al. 2018, Sec. 3.4)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from sss.spectral.linalg import (
    combine,
    complement,
    map_rows,
    orthonormal,
    products,
    remove_parts,
    unit_columns,
)
from sss.spectral.solvers.dissection import Factors
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
FINE = 1e-5
ROUGH = 1e-2
"""Residuals at which a search ends, of the eigenvectors of the inverse and relative to its
eigenvalues; those of the eigenvalues are the squares. Where nothing else is done; where the
eigenvectors are corrected; and where they may be rough."""

SETTLED = 1e-4
"""Residuals, relative to the eigenvalues, at which corrections end. Those of the eigenvalues are
about the squares of these, and smaller where the residuals are rounding, which is of all
frequencies."""

ZERO = 1e-9
"""Residuals below this are rounding."""

MOST_CORRECTIONS = 3
"""On photos the first leaves less than a third of ``SETTLED``."""

BLOCK = 16
"""Vectors that a Krylov step adds. A few at once use the processor better than one; with more, the
space must become larger."""

SMALLEST_SPACE = 2
LARGEST_SPACE = 12
"""Times the vectors wanted: where the search is first asked whether it has ended, and where it
gives up. It ends at 2 to 5 times."""

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
        rough: Work in single precision and leave residuals of ``ROUGH``; else those of L are below
            ``SETTLED`` times the eigenvalues, whose own errors are about the squares of that.
        linked: See :class:`sss.spectral.solvers.dissection.Factors`.

    Returns:
        Eigenvalues (count,) with rising |λ|, signed; orthonormal eigenvectors (N, count).

    Raises:
        RuntimeError: The search did not converge.
    """
    pixels = laplacian.shape[0]
    if pixels <= max(DENSE_LIMIT, 4 * (count + SPARE)):
        values, vectors = scipy.linalg.eigh(laplacian.toarray())
    else:
        searched = count + SPARE - 1  # and the constant vector, which is known
        found = _roughly(laplacian, size, searched, seed, linked) if rough else None
        values, vectors = found or _exactly(laplacian, size, searched, seed, linked)
    nearest = np.argsort(np.abs(values), kind="stable")[:count]
    return values[nearest], np.ascontiguousarray(vectors[:, nearest])


def _roughly(
    laplacian: sp.csr_array, size: tuple[int, int], count: int, seed: int, linked: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Eigenpairs found in single precision; None where they are beyond it.

    Flat regions that nothing connects: their eigenvalues are so much nearer zero than all others
    that in single precision the inverse's first product has no others left.
    """
    try:
        factors = Factors(laplacian, size, SHIFT, single=True, linked=linked)
        space = _krylov(factors.solve, laplacian.shape[0], count, seed, np.float32, ROUGH)
        return _rayleigh_ritz(laplacian, space)
    except (np.linalg.LinAlgError, RuntimeError):
        return None


def _exactly(
    laplacian: sp.csr_array, size: tuple[int, int], count: int, seed: int, linked: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs with residuals below ``SETTLED``.

    The factors are in double precision: in single precision, rounding moves eigenvectors further
    than corrections bring them back. The space that is searched, which can be as large as the
    factors, is in single precision, and a correction makes that good. Where it does not, the space
    is in double precision as well.

    Raises:
        RuntimeError: The search did not converge.
    """
    factors, pixels = Factors(laplacian, size, SHIFT, linked=linked), laplacian.shape[0]

    def solve(block: np.ndarray) -> np.ndarray:
        return factors.solve(block.astype(np.float64))

    single = (pixels, count, seed, np.float32, FINE, CORRECTED_SPACE)
    try:
        return _corrected(laplacian, factors, _krylov(solve, *single))
    except (np.linalg.LinAlgError, RuntimeError):
        pass  # what it holds in memory goes before the next search takes more
    return _rayleigh_ritz(laplacian, _krylov(solve, pixels, count, seed, np.float64, EXACT))


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
        found, scales = _rounded(found, precision)
        # But for rounding, all of the overlap is with the last two blocks.
        recent = max(0, used - 2 * BLOCK)
        most = remove_parts(found, space[:, recent:used])
        overlaps = remove_parts(found, space[:, :used])
        overlaps[recent:] += most
        overlaps = overlaps @ scales
        projected[:used, used - BLOCK : used] = overlaps
        projected[used - BLOCK : used, :used] = overlaps.T
        block, rest = orthonormal(found)
        rest = rest @ scales
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


def _rounded(block: np.ndarray, precision: type) -> tuple[np.ndarray, np.ndarray]:
    """A block of ``precision``, and the triangle that times it is the given one.

    Columns that are nearly the same, as the inverse makes them, would be the same if they were
    rounded as they are.
    """
    if block.dtype == precision:
        return block, np.eye(block.shape[1])
    spread, triangle = orthonormal(block, times=1)
    return spread.astype(precision), triangle


def _rayleigh_ritz(laplacian: sp.csr_array, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best eigenpairs in the span of ``vectors`` and of the constant vector, float64."""
    basis = np.hstack([np.full((len(vectors), 1), len(vectors) ** -0.5), vectors])
    # The basis is orthonormal but for rounding.
    gram = products(basis, basis)
    values, combinations = _generalised(products(basis, _apply(laplacian, basis)), gram)
    return values, combine(basis, combinations)


def _generalised(matrix: np.ndarray, gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve ``matrix·x = λ·gram·x``, both symmetric; of ``gram`` the lower triangle is used."""
    whitening = np.linalg.inv(np.linalg.cholesky(gram))
    values, combinations = np.linalg.eigh(whitening @ matrix @ whitening.T)
    return values, whitening.T @ combinations


def _corrected(
    laplacian: sp.csr_array, factors: Factors, found: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs from the vectors of a search, all but ``SPARE`` with residuals below ``SETTLED``.

    Raises:
        RuntimeError: They do not settle.
    """
    values, vectors = _rayleigh_ritz(laplacian, found)
    del found
    for _ in range(MOST_CORRECTIONS):
        values, vectors = _davidson_step(laplacian, factors, values, vectors)
        wanted = np.argsort(np.abs(values), kind="stable")[:-SPARE]
        lengths = unit_columns(_residuals(laplacian, values, vectors))[wanted]
        if (lengths <= np.maximum(SETTLED * np.abs(values[wanted]), ZERO)).all():
            return values, vectors
    raise RuntimeError("the eigenvalues did not settle")


def _residuals(laplacian: sp.csr_array, values: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """``laplacian @ vectors − vectors·values``, rounded to single precision."""

    def of_rows(rows: slice) -> np.ndarray:
        residuals = laplacian[rows] @ vectors - vectors[rows] * values
        return residuals.astype(np.float32)

    return map_rows(of_rows, len(vectors))


def _davidson_step(
    laplacian: sp.csr_array, factors: Factors, values: np.ndarray, vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Best eigenpairs in the span of the vectors and of the inverse of their residuals.

    (Davidson, *J. Comput. Phys.* 17, 1975.) What is added is small, so for that single precision is
    enough.

    Args:
        laplacian: (N, N).
        factors: Of the shifted Laplacian.
        values: (M,).
        vectors: (N, M) orthonormal, such that ``vectorsᵀ·laplacian·vectors`` is ``diag(values)``.
    """
    residuals = _residuals(laplacian, values, vectors)
    lengths = unit_columns(residuals)
    added = np.empty_like(residuals)
    for part in slices(len(values), BLOCK):
        added[:, part] = factors.solve(residuals[:, part].astype(np.float64, order="C"))
    added = complement(added, vectors.astype(np.float32))
    count, extra = len(values), added.shape[1]
    # Between vectors and added ones: products, and products with the Laplacian in between.
    gram, projected = np.eye(count + extra), np.diag(np.append(values, np.zeros(extra)))
    gram[count:, :count] = products(added, vectors)
    applied = products(added, residuals) * lengths + gram[count:, :count] * values
    del residuals
    projected[count:, :count] = applied
    for part in slices(extra, BLOCK):
        columns = added[:, part].astype(np.float64)
        place = slice(count + part.start, count + part.stop)
        gram[count:, place] = products(added, columns)
        projected[count:, place] = products(added, _apply(laplacian, columns))
    found, combinations = _generalised(np.tril(projected) + np.tril(projected, -1).T, gram)
    nearest = np.argsort(np.abs(found), kind="stable")[:count]
    kept, joined = np.split(combinations[:, nearest], [count])
    return found[nearest], map_rows(
        lambda rows: vectors[rows] @ kept + added[rows] @ joined, len(vectors)
    )


def _apply(laplacian: sp.csr_array, vectors: np.ndarray) -> np.ndarray:
    """``laplacian @ vectors``."""
    return map_rows(lambda rows: laplacian[rows] @ vectors, len(vectors))
