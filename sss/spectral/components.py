"""Constrained sparsification: eigenvectors to soft components (Aksoy et al. 2018, Sec. 3.5).

The components are linear combinations of the eigenvectors, ``α = E·y``, that sum to one at each
pixel and are as close to 0 or 1 everywhere as the Laplacian's energy allows. The sparsity energy
``Σ w·|α|^0.8 + w·|α − 1|^0.8`` is minimised by iteratively reweighted least squares, as in
Levin et al., *Spectral Matting*, TPAMI 2008.
"""

from __future__ import annotations

import logging

import numba
import numpy as np

from sss.threads import map_threads, slices

log = logging.getLogger(__name__)

COMPONENTS = 40
"""Components the search starts from."""

SPARSITY = 0.8
"""Exponent of the sparsity energy."""

SPARSITY_WEIGHT = 0.3**SPARSITY
"""Weight of both its halves, |α| and |α − 1|."""

REWEIGHTING_FLOOR = 1e-10
SINGLE_FLOOR = 1e-4
"""In single precision: weights that span more than five decades are beyond it. The layers of six
photos agree as well with those of the lower floor as those of two random starts do."""

ITERATIONS = 40
REMOVAL_ITERATIONS = (11, 21, 31)
"""After these, components that are nowhere stronger than ``REMOVAL_MAXIMUM`` are dropped."""
REMOVAL_MAXIMUM = 0.1

EARLY_ITERATIONS = 30
"""In these, every other of the sampled pixels is enough: the energy at the end is the same."""

EARLY_PIXELS = 15
"""Times the eigenvectors: how many pixels must be left by that."""

PIXELS = 2048
"""Whose components one thread works out at a time."""


def sample_pixels(size: tuple[int, int], count: int, seed: int = 0) -> np.ndarray:
    """One random pixel from each cell of a lattice.

    A few thousand unknowns do not need every pixel's equation. The cells spread the pixels more
    evenly than chance, and photos of one shape and any size get the same places.

    Args:
        size: (H, W).
        count: Cells, about; all pixels if there are no more.
        seed: Of the places inside the cells.

    Returns:
        Sorted flat indices.
    """
    height, width = size
    if count >= height * width:
        return np.arange(height * width)
    side = (height * width / count) ** 0.5
    rows = min(max(round(height / side), 1), height)
    columns = min(max(round(count / rows), 1), width)
    if columns == 1:
        rows = min(count, height)
    within = np.random.default_rng(seed).random((2, rows, columns))
    row = ((np.arange(rows)[:, None] + within[0]) * height / rows).astype(int)
    column = ((np.arange(columns) + within[1]) * width / columns).astype(int)
    return np.unique(row * width + column)


def constrained_components(
    eigenvalues: np.ndarray,
    eigenvectors: np.ndarray,
    start: np.ndarray,
    pixels: np.ndarray | None = None,
    single: bool = False,
) -> np.ndarray:
    """Sparse soft components in the span of the eigenvectors.

    Args:
        eigenvalues: (M,), signed, as they come from the indefinite Laplacian.
        eigenvectors: (N, M).
        start: (P,) integers 0 … C−1, a hard clustering of ``pixels``: where the search starts.
        pixels: (P,) indices of the pixels whose equations are used, every other of them in the
            ``EARLY_ITERATIONS``, their weight scaled up; None for all N throughout.
        single: Weigh and add up in single precision, twice as fast; the floor of the reweighting
            is ``SINGLE_FLOOR`` then.

    Returns:
        (N, C') components, C' ≤ C, columns in the order of the clusters that survived. They sum
        to one in each row (the last is one minus the others) and may leave [0, 1].
    """
    basis = eigenvectors if pixels is None else eigenvectors[pixels]
    basis = basis.astype(np.float32 if single else np.float64)
    stride = 1 if pixels is None else early_stride(start, basis.shape[1])
    used = basis[::stride]
    alpha = np.eye(int(start.max()) + 1, dtype=basis.dtype)[:, start[::stride]]  # (C, P)
    energy = np.diag(eigenvalues)
    for iteration in range(1, ITERATIONS + 1):
        if len(alpha) < 2:
            return np.ones((len(eigenvectors), 1))
        scale = len(eigenvectors) / len(used)
        to_zero, to_one = scale * sparsity_weight(alpha), scale * sparsity_weight(alpha - 1)
        coefficients = _solve_coupled(used, energy, to_zero, to_one)
        if iteration == EARLY_ITERATIONS:
            used = basis
        alpha = _components(coefficients.astype(basis.dtype), used)
        if iteration in REMOVAL_ITERATIONS:
            alpha = alpha[alpha.max(axis=1) > REMOVAL_MAXIMUM]
    log.debug("constrained sparsification kept %d components", len(alpha))
    return np.ascontiguousarray(_components(coefficients, eigenvectors).T)


def early_stride(start: np.ndarray, eigenvectors: int) -> int:
    """Of every how many sampled pixels one is used in the ``EARLY_ITERATIONS``; no cluster ends."""
    half = start[::2]
    enough = len(half) >= EARLY_PIXELS * eigenvectors
    return 2 if enough and len(np.unique(half)) == len(np.unique(start)) else 1


def sparsity_weight(deviation: np.ndarray) -> np.ndarray:
    """Least-squares weight whose quadratic has the gradient of ``w·|deviation|^0.8``."""
    single = deviation.dtype == np.float32
    weight = np.maximum(np.abs(deviation), SINGLE_FLOOR if single else REWEIGHTING_FLOOR)
    # Half the time of a power, in either precision.
    np.log(weight, out=weight)
    weight *= SPARSITY - 2
    np.exp(weight, out=weight)
    weight *= SPARSITY_WEIGHT
    return weight


def _components(coefficients: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(C, P) from the coefficients (C−1, M) of all but the last, which makes the sum one."""
    alpha = np.empty((len(coefficients) + 1, len(basis)), np.result_type(coefficients, basis))

    def fill(rows: slice) -> None:
        np.matmul(coefficients, basis[rows].T, out=alpha[:-1, rows])
        np.subtract(1, alpha[:-1, rows].sum(axis=0), out=alpha[-1, rows])

    map_threads(fill, slices(len(basis), PIXELS))
    return alpha


def _solve_coupled(
    basis: np.ndarray, energy: np.ndarray, to_zero: np.ndarray, to_one: np.ndarray
) -> np.ndarray:
    """Coefficients of all components but the last in one reweighted round.

    Component k < C has the block ``A_k y_k = b_k``. The last one is 1 − Σ α_k, which adds the
    same ``B Σ_j y_j`` to the left and ``c`` to the right of each. So with s = Σ y_k:
    ``y_k = A_k⁻¹(b_k + c − B s)`` and ``(1 + (Σ A_k⁻¹) B) s = Σ A_k⁻¹(b_k + c)`` (Woodbury): C
    small systems in place of one C times as large.

    Args:
        basis: (P, M) eigenvectors.
        energy: (M, M) diagonal of eigenvalues.
        to_zero: (C, P) weights that pull towards 0.
        to_one: (C, P) weights that pull towards 1.

    Returns:
        (C−1, M) float64.
    """
    both = to_zero + to_one
    # Without pivots, only weights that are not many orders of magnitude apart are safe.
    inverse = _inverse if basis.dtype == np.float32 else np.linalg.inv
    last = len(both) - 1

    def block(component: int) -> tuple[np.ndarray, np.ndarray]:
        """Of each component but the last A⁻¹ and b; of the last B and c."""
        matrix = _weighted_gram(basis, both[component]) + energy
        if component == last:
            return matrix, to_zero[component] @ basis
        return inverse(matrix), to_one[component] @ basis

    blocks, sides = zip(*map_threads(block, range(len(both))), strict=True)
    *found, rest = blocks
    right = np.stack(sides[:-1]) + sides[-1]
    inverses = np.stack(found)
    own = (inverses @ right[:, :, None].astype(np.float64))[:, :, 0]
    total = np.linalg.solve(np.eye(len(rest)) + inverses.sum(axis=0) @ rest, own.sum(axis=0))
    return own - inverses @ (rest @ total)


@numba.njit(cache=True, nogil=True)
def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of positive definite (M, M) in its place, by Gauss-Jordan sweeps of the lower half.

    For M = 100 it takes a third of LAPACK's time, whose blocks are too large for that.
    """
    size = len(matrix)
    pivot_row = np.empty(size)
    for k in range(size):
        pivot_row[:k], pivot_row[k:] = matrix[k, :k], matrix[k:, k]
        if pivot_row[k] == 0:
            raise np.linalg.LinAlgError("singular matrix")
        scale = 1 / pivot_row[k]
        for i in range(size):
            row, share = matrix[i], scale * pivot_row[i]
            for j in range(i + 1):
                row[j] -= share * pivot_row[j]
        matrix[k, :k], matrix[k:, k] = scale * pivot_row[:k], scale * pivot_row[k:]
        matrix[k, k] = -scale
    for i in range(size):
        for j in range(i + 1):
            matrix[i, j] = matrix[j, i] = -matrix[i, j]
    return matrix


def _weighted_gram(basis: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``basisᵀ·diag(weight)·basis``, (M, M) float64, for positive weights.

    Most of the time of the constrained step is spent here. A product of a matrix with its own
    transpose takes half the work of others.
    """
    scaled = np.sqrt(weight)[:, None] * basis
    return (scaled.T @ scaled).astype(np.float64)
