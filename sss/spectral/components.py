"""Constrained sparsification: eigenvectors to soft components (Aksoy et al. 2018, Sec. 3.5).

The components are linear combinations of the eigenvectors, ``α = E·y``, that sum to one at each
pixel and are as close to 0 or 1 everywhere as the Laplacian's energy allows. The sparsity energy
``Σ w·|α|^0.8 + w·|α − 1|^0.8`` is minimised by iteratively reweighted least squares, as in
Levin et al., *Spectral Matting*, TPAMI 2008.
"""

from __future__ import annotations

import logging

import numpy as np

from sss.threads import map_threads, slices

log = logging.getLogger(__name__)

SPARSITY = 0.8
"""Exponent of the sparsity energy (released code, as the following)."""

SPARSITY_WEIGHT = 0.3**SPARSITY
"""Weight of both its halves, |α| and |α − 1|."""

REWEIGHTING_FLOOR = 1e-10
"""Least distance from 0 and 1 that the weights tell from none."""

SINGLE_FLOOR = 1e-4
"""In single precision: weights that span more than five decades are beyond it. The layers of six
photos agree as well with those of the lower floor as those of two random starts do."""

ITERATIONS = 40
REMOVAL_ITERATIONS = (11, 21, 31)
"""After these, components that are nowhere stronger than ``REMOVAL_MAXIMUM`` are dropped."""
REMOVAL_MAXIMUM = 0.1

PIXELS_AT_A_TIME = 2048
"""Whose components one thread works out."""


def constrained_components(
    eigenvalues: np.ndarray,
    eigenvectors: np.ndarray,
    start: np.ndarray,
    pixels: np.ndarray | None = None,
    single: bool = False,
    iterations: int = ITERATIONS,
    removal_maximum: float = REMOVAL_MAXIMUM,
) -> np.ndarray:
    """Sparse soft components in the span of the eigenvectors.

    Args:
        eigenvalues: (M,), signed, as they come from the indefinite Laplacian.
        eigenvectors: (N, M).
        start: (P,) integers 0 … C−1, a hard clustering of ``pixels``: where the search starts.
        pixels: (P,) indices of the pixels whose equations are used, their weight scaled up; None
            for all N.
        single: Weigh and add up in single precision, twice as fast; the floor of the reweighting
            is ``SINGLE_FLOOR`` then.
        iterations: Rounds of reweighting.
        removal_maximum: A component that nowhere exceeds this after one of the
            ``REMOVAL_ITERATIONS`` is dropped.

    Returns:
        (N, C') components, C' ≤ C, columns in the order of the clusters that survived. They sum
        to one in each row (the last is one minus the others) and may leave [0, 1].
    """
    basis = eigenvectors if pixels is None else eigenvectors[pixels]
    basis = basis.astype(np.float32 if single else np.float64)
    alpha = np.eye(int(start.max()) + 1, dtype=basis.dtype)[:, start]  # (C, P)
    energy = np.diag(eigenvalues)
    scale = len(eigenvectors) / len(basis)
    for iteration in range(1, iterations + 1):
        if len(alpha) < 2:
            return np.ones((len(eigenvectors), 1))
        to_zero, to_one = scale * constrained_weight(alpha), scale * constrained_weight(alpha - 1)
        coefficients = solve_coupled(basis, energy, to_zero, to_one)
        alpha = _components(coefficients.astype(basis.dtype), basis)
        if iteration in REMOVAL_ITERATIONS:
            alpha = alpha[alpha.max(axis=1) > removal_maximum]
    log.debug("constrained sparsification kept %d components", len(alpha))
    return np.ascontiguousarray(_components(coefficients, eigenvectors).T)


def constrained_weight(deviation: np.ndarray) -> np.ndarray:
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

    map_threads(fill, slices(len(basis), PIXELS_AT_A_TIME))
    return alpha


def solve_coupled(
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
    last = len(both) - 1

    def block(component: int) -> tuple[np.ndarray, np.ndarray]:
        """Of each component but the last A⁻¹ and b; of the last B and c."""
        matrix = _weighted_gram(basis, both[component]) + energy
        if component == last:
            return matrix, to_zero[component] @ basis
        return np.linalg.inv(matrix), to_one[component] @ basis

    blocks, sides = zip(*map_threads(block, range(len(both))), strict=True)
    inverses, of_last = np.stack(blocks[:-1]), blocks[-1]
    rhs = np.stack(sides[:-1]) + sides[-1]
    own = (inverses @ rhs[:, :, None].astype(np.float64))[:, :, 0]
    unit = np.eye(len(of_last))
    total = np.linalg.solve(unit + inverses.sum(axis=0) @ of_last, own.sum(axis=0))
    return own - inverses @ (of_last @ total)


def _weighted_gram(basis: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``basisᵀ·diag(weight)·basis``, (M, M) float64, for positive weights.

    Most of the time of the constrained step is spent here. A product of a matrix with its own
    transpose takes half the work of others.
    """
    scaled = np.sqrt(weight)[:, None] * basis
    return (scaled.T @ scaled).astype(np.float64)
