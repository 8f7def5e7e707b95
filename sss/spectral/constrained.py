"""Constrained sparsification: eigenvectors to soft components (Aksoy et al. 2018, Sec. 3.5).

The components are linear combinations of the eigenvectors, ``α = E·y``, that sum to one at each
pixel and are as close to 0 or 1 everywhere as the Laplacian's energy allows. The sparsity energy
``Σ w·|α|^0.8 + w·|α − 1|^0.8`` is minimised by iteratively reweighted least squares, as in
Levin et al., *Spectral Matting*, TPAMI 2008.
"""

from __future__ import annotations

import logging

import numpy as np
from scipy.linalg.blas import dsyrk
from threadpoolctl import threadpool_limits

log = logging.getLogger(__name__)

COMPONENTS = 40
"""Components the search starts from."""

SPARSITY = 0.8
"""Exponent of the sparsity energy."""

SPARSITY_WEIGHT = 0.3**SPARSITY
"""Weight of both its halves, |α| and |α − 1|."""

REWEIGHTING_FLOOR = 1e-10
ITERATIONS = 40
REMOVAL_ITERATIONS = (11, 21, 31)
"""After these, components that are nowhere stronger than ``REMOVAL_MAXIMUM`` are dropped."""
REMOVAL_MAXIMUM = 0.1

SAMPLED_PIXELS = 8000
"""A few thousand unknowns do not need every pixel's equation."""


def constrained_components(
    eigenvalues: np.ndarray,
    eigenvectors: np.ndarray,
    start: np.ndarray,
    sampled_pixels: int | None = SAMPLED_PIXELS,
    seed: int = 0,
) -> np.ndarray:
    """Sparse soft components in the span of the eigenvectors.

    Args:
        eigenvalues: (M,), signed, as they come from the indefinite Laplacian.
        eigenvectors: (N, M).
        start: (N,) integers 0 … C−1, a hard clustering of the pixels: where the search starts.
        sampled_pixels: Pixels whose equations are used, their weight scaled up; None for all.
        seed: Of the drawn pixels.

    Returns:
        (N, C') components, C' ≤ C, columns in the order of the clusters that survived. They sum
        to one in each row (the last is one minus the others) and may leave [0, 1].
    """
    # Thousands of small products: BLAS threads cost six times what they bring on two cores.
    with threadpool_limits(limits=1, user_api="blas"):
        return _sparsify(
            eigenvalues, eigenvectors, start, _sample(len(start), sampled_pixels, seed)
        )


def _sparsify(
    eigenvalues: np.ndarray, eigenvectors: np.ndarray, start: np.ndarray, pixels: np.ndarray
) -> np.ndarray:
    """Reweighted least squares on the equations of ``pixels``; see above."""
    basis = eigenvectors[pixels]  # (P, M)
    scale = len(start) / len(pixels)
    alpha = np.eye(int(start.max()) + 1)[start[pixels]]  # (P, C)
    energy = np.diag(eigenvalues)
    coefficients = np.zeros((eigenvectors.shape[1], 0))
    for iteration in range(1, ITERATIONS + 1):
        if alpha.shape[1] < 2:
            break
        to_zero = scale * sparsity_weight(alpha)
        to_one = scale * sparsity_weight(alpha - 1)
        coefficients = _solve_coupled(basis, energy, to_zero, to_one)
        alpha = _with_remainder(basis @ coefficients)
        if iteration in REMOVAL_ITERATIONS:
            alive = alpha.max(axis=0) > REMOVAL_MAXIMUM
            alpha = alpha[:, alive]
    if alpha.shape[1] < 2:
        return np.ones((len(start), 1))
    log.debug("constrained sparsification kept %d components", alpha.shape[1])
    return _with_remainder(eigenvectors @ coefficients)


def _sample(size: int, count: int | None, seed: int) -> np.ndarray:
    """Sorted indices of ``count`` of ``size`` pixels, or of all."""
    if count is None or count >= size:
        return np.arange(size)
    return np.sort(np.random.default_rng(seed).choice(size, count, replace=False))


def sparsity_weight(deviation: np.ndarray) -> np.ndarray:
    """Least-squares weight whose quadratic has the gradient of ``w·|deviation|^0.8``."""
    return SPARSITY_WEIGHT * np.maximum(np.abs(deviation), REWEIGHTING_FLOOR) ** (SPARSITY - 2)


def _with_remainder(alpha: np.ndarray) -> np.ndarray:
    """Append the component that makes each row sum to one."""
    return np.column_stack([alpha, 1 - alpha.sum(axis=1)])


def _solve_coupled(
    basis: np.ndarray, energy: np.ndarray, to_zero: np.ndarray, to_one: np.ndarray
) -> np.ndarray:
    """Coefficients of all components but the last in one reweighted round.

    Component k < C has the block ``A_k y_k = b_k``. The last one is 1 − Σ α_k, which adds the
    same ``B Σ_j y_j`` to the left and ``c`` to the right of each. So with s = Σ y_k:
    ``y_k = A_k⁻¹(b_k + c − B s)`` and ``(1 + Σ A_k⁻¹ B) s = Σ A_k⁻¹(b_k + c)`` (Woodbury): C
    small systems in place of one C times as large.

    Args:
        basis: (P, M) eigenvectors.
        energy: (M, M) diagonal of eigenvalues.
        to_zero: (P, C) weights that pull towards 0.
        to_one: (P, C) weights that pull towards 1.

    Returns:
        (M, C−1).
    """
    last_block = _weighted_gram(basis, to_zero[:, -1] + to_one[:, -1]) + energy
    last_side = basis.T @ to_zero[:, -1]
    size = basis.shape[1]
    own = np.empty((size, to_zero.shape[1] - 1))  # A_k⁻¹(b_k + c)
    coupling = np.empty((to_zero.shape[1] - 1, size, size))  # A_k⁻¹ B
    for k in range(to_zero.shape[1] - 1):
        block = _weighted_gram(basis, to_zero[:, k] + to_one[:, k]) + energy
        side = basis.T @ to_one[:, k] + last_side
        solved = np.linalg.solve(block, np.column_stack([side, last_block]))
        own[:, k], coupling[k] = solved[:, 0], solved[:, 1:]
    total = np.linalg.solve(np.eye(size) + coupling.sum(axis=0), own.sum(axis=1))
    return own - np.einsum("kij,j->ik", coupling, total)


def _weighted_gram(basis: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``basisᵀ·diag(weight)·basis``, (M, M), for positive weights.

    A symmetric rank-P update does half the work of a general product; most of the time of the
    constrained step is spent here.
    """
    scaled = np.sqrt(weight)[:, None] * basis
    lower = dsyrk(1.0, scaled.T, lower=1)
    return lower + np.tril(lower, -1).T
