"""Spreading class maps over a photo by a random walk along affinities.

J. Ahn, S. Kwak, *Learning Pixel-level Semantic Affinity with Image-level Supervision for Weakly
Supervised Semantic Segmentation*, CVPR 2018, Sec. 3.4 (Eq. 11 and 12).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from sss.spectral.neighbours import RADIUS, half_disc, pair_parts

BETA = 8.0
"""Power of each affinity: weak ones lead nowhere (Sec. 4.1)."""

STEPS = 256
"""Of the walk (Sec. 4.1)."""


def affinities(features: np.ndarray, radius: float = RADIUS) -> sparse.csr_array:
    """``W_ij = exp(−‖f_i − f_j‖₁)`` of near cells, and 1 of each with itself.

    Args:
        features: (h, w, D), finite.
        radius: Cells are near that are nearer than this.

    Returns:
        (N, N) symmetric, N = h·w cells row by row; entries in (0, 1].
    """
    height, width = features.shape[:2]
    planes = np.asarray(features, np.float32).transpose(2, 0, 1)
    numbers = np.arange(height * width).reshape(height, width)
    firsts, seconds, weights = [], [], []
    for offset in half_disc(radius):
        first, second = pair_parts(height, width, offset)
        distance = np.abs(planes[first] - planes[second]).sum(axis=0, dtype=np.float64)
        firsts.append(numbers[first].ravel())
        seconds.append(numbers[second].ravel())
        weights.append(np.exp(-distance).ravel())
    own = numbers.ravel()
    i = np.concatenate([own, *firsts, *seconds])
    j = np.concatenate([own, *seconds, *firsts])
    w = np.concatenate([np.ones(len(own)), *weights, *weights])
    return sparse.csr_array((w, (i, j)), shape=(len(own), len(own)))


def transitions(affinity: sparse.csr_array, beta: float = BETA) -> sparse.csr_array:
    """``T = D⁻¹ W^{∘β}`` with ``D_ii = Σ_j W_ij^β`` (Eq. 11): rows sum to one.

    Args:
        affinity: (N, N), its diagonal above zero.
        beta: Power of each entry, at least 1.
    """
    raised = affinity.copy()
    raised.data **= beta
    return sparse.csr_array(sparse.diags_array(1 / raised.sum(axis=1)) @ raised)


def random_walk(transition: sparse.csr_array, maps: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """``T^t · vec(M)`` of each map (Eq. 12).

    The paper's code squares the matrix eight times. Of a sparse matrix the powers fill up, so here
    it is applied to the maps again and again: the same, and on a grid of 30×40 cells ten times
    faster than squares of a dense matrix, four hundred times faster than those of a sparse one
    (``benchmarks/random_walk.py``).

    Args:
        transition: (N, N) of :func:`transitions`.
        maps: (h, w, C), h·w = N.
        steps: t.

    Returns:
        (h, w, C) float64: means of the maps along the walk, so in their range.
    """
    flat = maps.reshape(-1, maps.shape[2]).astype(np.float64)
    for _ in range(steps):
        flat = transition @ flat
    return flat.reshape(maps.shape)
