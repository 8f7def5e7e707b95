"""Alphas of pixels that are not certain, from those that are, along the matting Laplacian.

What is minimised is ``αᵀLα + Σ λ(α − q)²`` over the uncertain pixels, q a guess: closed-form
matting (Levin et al., *A Closed-Form Solution to Natural Image Matting*, TPAMI 2008) whose unknown
pixels are not left wholly open.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import cg

TOLERANCE = 1e-3
"""Of the conjugate gradients; alphas that differ by less look alike."""

MOST_STEPS = 200


def propagate(
    laplacian: sp.csr_array,
    known: np.ndarray,
    pixels: np.ndarray,
    guess: np.ndarray,
    weight: float,
) -> np.ndarray:
    """Alphas of some pixels.

    Args:
        laplacian: Matting Laplacian, sparse (N, N).
        known: (N, M) alphas of M layers where they are certain; elsewhere of no effect.
        pixels: (P,) flat indices of the uncertain ones.
        guess: (P, M) what they are if nothing else is known.
        weight: λ, above 0.

    Returns:
        (P, M) float64; sums to what ``known`` and ``guess`` sum to.
    """
    held = known.astype(np.float64)
    held[pixels] = 0
    rows = laplacian[pixels]
    matrix = rows[:, pixels] + weight * sp.eye_array(len(pixels), format="csr")
    rhs = weight * guess - rows @ held
    inverse = sp.diags_array(1 / matrix.diagonal())
    solved = [
        cg(matrix, of_one, start, rtol=TOLERANCE, maxiter=MOST_STEPS, M=inverse)[0]
        for of_one, start in zip(rhs.T, guess.T, strict=True)
    ]
    return np.stack(solved, axis=1)
