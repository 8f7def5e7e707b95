"""Relaxed sparsification: grouped layers to final ones (Aksoy et al. 2018, Sec. 3.6).

The layers leave the span of the eigenvectors: each pixel's alphas are pulled to 0 or 1 while the
Laplacian keeps them smooth along the photo's structures. Reweighted least squares as in the
constrained step, on all pixels at once, by conjugate gradients.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from scipy.ndimage import correlate1d

SPARSITY = 0.9
"""Exponent of the sparsity energy where the photo is flat."""

GRADIENT_LIMIT = 0.1
"""The exponent grows with the image gradient, by this much at most: soft edges may stay soft."""

SUM_WEIGHT = 100.0
"""Of the alphas' sum being one at each pixel."""

LOW, HIGH = 0.1, 0.9
"""Start alphas below and above these become 0 and 1."""

REWEIGHTING_FLOOR = 0.01
ITERATIONS = 20
TOLERANCE = 1e-6
"""Of the conjugate gradients: the residual's norm, relative to that of the right-hand side."""

LOOSE_TOLERANCE = 1e-4
"""Enough for the reweighted rounds, which start from each other, if the last solve is exact: 2.5
times faster, the strongest layer of 1 pixel in 5000 changes."""

MAXIMUM_CG_STEPS = 500

SMOOTHING = np.array([7, 71, 374, 1126, 2119, 2605, 2119, 1126, 374, 71, 7]) / 1e4
DERIVATIVE = np.array([1, 19, 142, 509, 963, 878, 0, -878, -963, -509, -142, -19, -1]) / 1e4
"""The released code's 13-tap pair of matched filters (Farid and Simoncelli, IEEE TIP 2004)."""


def relaxed_layers(
    laplacian: sp.csr_array,
    layers: np.ndarray,
    gradient: np.ndarray,
    progress: Callable[[float], None] | None = None,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    """Sparsify layers at full size.

    Args:
        laplacian: Sparse (N, N), N = H·W.
        layers: (H, W, K) grouped layers, summing to about one.
        gradient: (H, W) image gradient, see :func:`gradient_magnitude`.
        progress: Called with the finished share, 0 to 1.
        tolerance: Of the reweighted rounds; the last solve is to ``TOLERANCE`` in any case.

    Returns:
        (H, W, K), summing to one to about 1e-5. As in the reference nothing clips: values may
        leave [0, 1] by about 0.1.
    """
    height, width, count = layers.shape
    if count == 1:
        return np.ones_like(layers)
    alpha = threshold_layers(layers.reshape(-1, count))
    exponent = (SPARSITY + np.minimum(gradient, GRADIENT_LIMIT)).reshape(-1, 1) - 2
    start = alpha.copy()
    for iteration in range(ITERATIONS):
        to_zero = sparsity_weight(alpha, exponent)
        to_one = sparsity_weight(alpha - 1, exponent)
        diagonal = to_zero + to_one + 1
        alpha = solve_layers(laplacian, diagonal, to_one + start + SUM_WEIGHT, alpha, tolerance)
        if progress:
            progress((iteration + 1) / (ITERATIONS + 1))
    # The last solve has no sparsity and stays near what the others found: it undoes the plateau
    # at 0.99 that the floor of the reweighting leaves.
    alpha = solve_layers(laplacian, np.ones_like(alpha), alpha + SUM_WEIGHT, start=alpha)
    if progress:
        progress(1.0)
    return alpha.reshape(height, width, count)


def threshold_layers(alpha: np.ndarray) -> np.ndarray:
    """Set nearly empty alphas (N, K) to 0 and nearly full ones to 1, then scale to sum one."""
    snapped = np.where(alpha < LOW, 0.0, np.where(alpha > HIGH, 1.0, alpha))
    total = snapped.sum(axis=1, keepdims=True)
    # With many layers all of a pixel's alphas may be below the threshold.
    nothing_left = total == 0
    snapped = np.where(nothing_left, np.maximum(alpha, 0) + 1e-12, snapped)
    return snapped / snapped.sum(axis=1, keepdims=True)


def sparsity_weight(deviation: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """``max(|deviation|, floor)^exponent``, to single precision: powers are slow in double.

    Args:
        deviation: (N, K), of the alphas from 0 or 1.
        exponent: (N, 1).
    """
    weight = np.maximum(np.abs(deviation), REWEIGHTING_FLOOR).astype(np.float32)
    np.log(weight, out=weight)
    weight *= exponent.astype(np.float32)
    return np.exp(weight, out=weight).astype(np.float64)


def gradient_magnitude(photo: np.ndarray) -> np.ndarray:
    """Length of the gradient over all colour channels, (H, W), per pixel of distance.

    Args:
        photo: (H, W, 3) float in [0, 1]; continued beyond its rim by its outermost pixels.
    """
    total = np.zeros(photo.shape[:2])
    for axis in (0, 1):
        along = correlate1d(photo, DERIVATIVE, axis, mode="nearest")
        slope = correlate1d(along, SMOOTHING, 1 - axis, mode="nearest")
        total += np.square(slope).sum(axis=2)
    return np.sqrt(total)


def solve_layers(
    laplacian: sp.csr_array,
    diagonal: np.ndarray,
    side: np.ndarray,
    start: np.ndarray,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    """Solve ``(L + 100·11ᵀ + diag) α = side`` for all layers together by preconditioned CG.

    The layers of a pixel are coupled by the sum-to-one term alone. The preconditioner inverts
    each pixel's K×K block (diagonal plus ``100·11ᵀ``) by Sherman–Morrison; the reference does
    without one and needs five times the steps.

    Args:
        laplacian: Sparse (N, N).
        diagonal: (N, K) positive.
        side: (N, K).
        start: (N, K) first guess.
        tolerance: Of the residual's norm, relative to that of ``side``.

    Returns:
        (N, K).
    """
    # Sums over K numbers per pixel as products with ones, and no temporary arrays: both are most
    # of what the products with the Laplacian leave of the time.
    count = diagonal.shape[1]
    ones, coupling = np.ones(count), np.full((count, count), SUM_WEIGHT)
    inverse = 1 / (diagonal + laplacian.diagonal()[:, None])  # positive: entries of L's are
    share = SUM_WEIGHT / (1 + SUM_WEIGHT * (inverse @ ones))
    scratch, conditioned = np.empty_like(side), np.empty_like(side)

    def apply(alpha: np.ndarray) -> np.ndarray:
        applied = laplacian @ alpha
        applied += np.multiply(diagonal, alpha, out=scratch)
        applied += np.matmul(alpha, coupling, out=scratch)
        return applied

    def precondition(residual: np.ndarray) -> np.ndarray:
        np.multiply(inverse, residual, out=conditioned)
        both = share * (conditioned @ ones)
        return np.subtract(
            conditioned, np.multiply(inverse, both[:, None], out=scratch), out=conditioned
        )

    alpha = start.copy()
    residual = side - apply(alpha)
    goal = tolerance * np.linalg.norm(side)
    direction = np.zeros_like(alpha)
    previous = np.inf
    for _ in range(MAXIMUM_CG_STEPS):
        if np.sqrt(np.vdot(residual, residual)) <= goal:
            break
        current = float(np.vdot(residual, precondition(residual)))
        direction *= current / previous
        direction += conditioned
        previous = current
        applied = apply(direction)
        length = current / float(np.vdot(direction, applied))
        alpha += np.multiply(direction, length, out=scratch)
        applied *= length
        residual -= applied
    return alpha
