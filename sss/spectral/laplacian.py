"""The graph Laplacian (Aksoy et al. 2018, Sec. 3.4)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sss.spectral.affinities import colour_affinity, semantic_affinity
from sss.spectral.stencil import MATTING_EPSILON, matting_stencil, stencil_matrix
from sss.spectral.superpixels import SuperpixelGraph

SEMANTIC_WEIGHT = 0.01
COLOUR_WEIGHT = 0.01


def graph_laplacian(affinity: sp.csr_array) -> sp.csr_array:
    """Unnormalised Laplacian ``L = D − W``: rows sum to zero.

    Args:
        affinity: Symmetric sparse (N, N) W; what stands on its diagonal cancels out.

    Returns:
        Sparse (N, N). It is indefinite when W has negative entries.
    """
    degree = np.asarray(affinity.sum(axis=1)).ravel()
    return (sp.dia_array((degree[None], [0]), shape=affinity.shape) - affinity).tocsr()


def superpixel_laplacian(
    photo: np.ndarray,
    features: np.ndarray,
    graph: SuperpixelGraph,
    semantic_weight: float = SEMANTIC_WEIGHT,
    colour_weight: float = COLOUR_WEIGHT,
) -> sp.csr_array:
    """Laplacian of the semantic and the non-local colour affinity.

    Args:
        photo: (H, W, 3) float in [0, 1].
        features: (H, W, 3) float in [0, 1].
        graph: Superpixels of the photo.
        semantic_weight: Weight of the semantic affinity; 0 leaves it out.
        colour_weight: Weight of the non-local colour affinity; 0 leaves it out.

    Returns:
        Sparse (N, N), whose rows are empty but for the superpixels' centroid pixels.

    Raises:
        ValueError: Photo, features and superpixels differ in size.
    """
    if not photo.shape[:2] == features.shape[:2] == graph.labels.shape:
        raise ValueError(
            f"photo {photo.shape[:2]}, features {features.shape[:2]} and superpixels "
            f"{graph.labels.shape} must have one size"
        )
    affinity = sp.csr_array((graph.labels.size, graph.labels.size))
    if semantic_weight:
        affinity = affinity + semantic_weight * semantic_affinity(graph, features)
    if colour_weight:
        affinity = affinity + colour_weight * colour_affinity(graph, photo)
    return graph_laplacian(affinity)


def move_links(
    links: sp.csr_array, size: tuple[int, int], smaller: tuple[int, int]
) -> sp.csr_array:
    """Links between the pixels of one grid as links between those of a smaller one.

    Args:
        links: Laplacian (H·W, H·W).
        size: (H, W).
        smaller: (h, w).

    Returns:
        Laplacian (h·w, h·w): each pixel's links go to the cell that it lies in, and those within
        one cell are gone.
    """
    if size == smaller:
        return links
    rows, columns = (
        (2 * np.arange(fine) + 1) * coarse // (2 * fine)
        for fine, coarse in zip(size, smaller, strict=True)
    )
    cell = (rows[:, None] * smaller[1] + columns).ravel().astype(np.int32)
    entries = links.tocoo()
    pixels = smaller[0] * smaller[1]
    moved = sp.coo_array(
        (entries.data, (cell[entries.row], cell[entries.col])), shape=(pixels, pixels)
    ).tocsr()
    moved.eliminate_zeros()
    return moved


def soft_segmentation_laplacian(
    photo: np.ndarray,
    features: np.ndarray,
    graph: SuperpixelGraph,
    semantic_weight: float = SEMANTIC_WEIGHT,
    colour_weight: float = COLOUR_WEIGHT,
) -> sp.csr_array:
    """Laplacian of matting + semantic + non-local colour affinity.

    Arguments and errors as of :func:`superpixel_laplacian`.
    """
    links = superpixel_laplacian(photo, features, graph, semantic_weight, colour_weight)
    return matting_laplacian(photo) + links


def matting_laplacian(photo: np.ndarray, epsilon: float = MATTING_EPSILON) -> sp.csr_array:
    """:func:`sss.spectral.stencil.matting_stencil` as a sparse (N, N) matrix."""
    return stencil_matrix(matting_stencil(photo.astype(np.float64), epsilon))
