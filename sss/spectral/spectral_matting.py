"""Spectral matting, the baseline of the paper's comparisons.

A. Levin, A. Rav-Acha, D. Lischinski, *Spectral Matting*, IEEE TPAMI 30(10), 2008.
"""

from __future__ import annotations

import numpy as np

from sss.spectral.clustering import cluster_pixels
from sss.spectral.components import constrained_components
from sss.spectral.eigenvectors import smallest_eigenvectors
from sss.spectral.laplacian import matting_laplacian
from sss.spectral.sampling import sample_lattice_pixels

EIGENVECTORS = 50
COMPONENTS = 20
SAMPLED_PIXELS = 8000
START_EIGENVECTORS = 20
"""The start clusters these, the constant one left out, each divided by the root of its
eigenvalue."""


def spectral_matting_components(
    photo: np.ndarray,
    components: int = COMPONENTS,
    eigenvectors: int = EIGENVECTORS,
    sampled_pixels: int = SAMPLED_PIXELS,
    seed: int = 0,
) -> np.ndarray:
    """Matting components of a photo from its matting Laplacian alone.

    Args:
        photo: (H, W, 3) float in [0, 1].
        components: Components the search starts from; some die out.
        eigenvectors: Eigenvectors of the matting Laplacian.
        sampled_pixels: See :func:`sss.spectral.sampling.sample_lattice_pixels`.
        seed: Of k-means and of the drawn pixels.

    Returns:
        (H, W, C) soft components that sum to one. Grouping them by features
        (:func:`sss.spectral.grouping.group_components`) makes layers.
    """
    laplacian = matting_laplacian(photo)
    values, vectors = smallest_eigenvectors(laplacian, photo.shape[:2], eigenvectors, seed)
    used = slice(1, 1 + START_EIGENVECTORS)
    # Flat photos have more than one eigenvalue of zero, up to rounding.
    weighted = vectors[:, used] / np.sqrt(np.maximum(np.abs(values[used]), 1e-12))
    start = cluster_pixels(weighted, components, seed)
    pixels = sample_lattice_pixels(photo.shape[:2], sampled_pixels, seed)
    found = constrained_components(values, vectors, start[pixels], pixels)
    return found.reshape(*photo.shape[:2], -1)
