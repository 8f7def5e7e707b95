"""Spectral matting, the baseline of the paper's comparisons.

A. Levin, A. Rav-Acha, D. Lischinski, *Spectral Matting*, IEEE TPAMI 30(10), 2008.
"""

from __future__ import annotations

import numpy as np

from sss.spectral.affinities import matting_affinity
from sss.spectral.clustering import cluster_pixels
from sss.spectral.constrained import SAMPLED_PIXELS, constrained_components
from sss.spectral.eigenvectors import smallest_eigenvectors
from sss.spectral.laplacian import graph_laplacian

EIGENVECTORS = 50
COMPONENTS = 20
START_EIGENVECTORS = 20
"""The start clusters these, the constant one left out, each divided by the root of its
eigenvalue."""


def spectral_matting_components(
    photo: np.ndarray,
    components: int = COMPONENTS,
    eigenvectors: int = EIGENVECTORS,
    sampled_pixels: int | None = SAMPLED_PIXELS,
    seed: int = 0,
) -> np.ndarray:
    """Matting components of a photo from its matting Laplacian alone.

    Args:
        photo: (H, W, 3) float in [0, 1].
        components: Components the search starts from; some die out.
        eigenvectors: Eigenvectors of the matting Laplacian.
        sampled_pixels: See :func:`sss.spectral.constrained.constrained_components`.
        seed: Of k-means and of the drawn pixels.

    Returns:
        (H, W, C) soft components that sum to one. Grouping them by features
        (:func:`sss.spectral.grouping.group_components`) makes layers.
    """
    laplacian = graph_laplacian(matting_affinity(photo))
    values, vectors = smallest_eigenvectors(laplacian, eigenvectors, seed)
    used = slice(1, 1 + START_EIGENVECTORS)
    # Flat photos have more than one eigenvalue of zero, up to rounding.
    weighted = vectors[:, used] / np.sqrt(np.maximum(np.abs(values[used]), 1e-12))
    start = cluster_pixels(weighted, components, seed)
    found = constrained_components(values, vectors, start, sampled_pixels, seed)
    return found.reshape(*photo.shape[:2], -1)
