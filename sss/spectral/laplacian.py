"""The graph Laplacian (Aksoy et al. 2018, Sec. 3.4)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sss.spectral.affinities import colour_affinity, semantic_affinity
from sss.spectral.settings import COLOUR_WEIGHT, SEMANTIC_WEIGHT
from sss.spectral.stencil import MATTING_EPSILON, matting_stencil, stencil_matrix
from sss.spectral.superpixels import SuperpixelGraph


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
    features3: np.ndarray,
    graph: SuperpixelGraph,
    semantic_weight: float = SEMANTIC_WEIGHT,
    colour_weight: float = COLOUR_WEIGHT,
    colour_everywhere: bool = True,
) -> sp.csr_array:
    """Laplacian of the semantic and the non-local colour affinity.

    Args:
        photo: (H, W, 3) float in [0, 1].
        features3: (H, W, 3) float in [0, 1].
        graph: Superpixels of the photo.
        semantic_weight: Weight of the semantic affinity; 0 leaves it out.
        colour_weight: Weight of the non-local colour affinity; 0 leaves it out.
        colour_everywhere: Whether that ties superpixels that are not alike in ``features3``.

    Returns:
        Sparse (N, N), whose rows are empty but for the superpixels' centroid pixels.

    Raises:
        ValueError: Photo, features and superpixels differ in size.
    """
    if not photo.shape[:2] == features3.shape[:2] == graph.labels.shape:
        raise ValueError(
            f"photo {photo.shape[:2]}, features {features3.shape[:2]} and superpixels "
            f"{graph.labels.shape} must have one size"
        )
    affinity = sp.csr_array((graph.labels.size, graph.labels.size))
    if semantic_weight:
        affinity = affinity + semantic_weight * semantic_affinity(graph, features3)
    if colour_weight:
        only_alike = None if colour_everywhere else features3
        affinity = affinity + colour_weight * colour_affinity(graph, photo, only_alike)
    return graph_laplacian(affinity)


def coarsen_laplacian(
    laplacian: sp.csr_array, size: tuple[int, int], coarse: tuple[int, int]
) -> sp.csr_array:
    """Laplacian of couplings between the cells of a coarse grid.

    Args:
        laplacian: (H·W, H·W), of couplings between pixels.
        size: (H, W).
        coarse: (h, w), the same size or a smaller one.

    Returns:
        (h·w, h·w): each pixel's couplings go to the cell that it lies in, and those within one
        cell are gone.
    """
    if size == coarse:
        return laplacian
    rows, columns = (
        (2 * np.arange(fine) + 1) * cells // (2 * fine)
        for fine, cells in zip(size, coarse, strict=True)
    )
    cell = (rows[:, None] * coarse[1] + columns).ravel().astype(np.int32)
    entries = laplacian.tocoo()
    count = coarse[0] * coarse[1]
    moved = sp.coo_array(
        (entries.data, (cell[entries.row], cell[entries.col])), shape=(count, count)
    ).tocsr()
    moved.eliminate_zeros()
    return moved


def matting_laplacian(photo: np.ndarray, epsilon: float = MATTING_EPSILON) -> sp.csr_array:
    """:func:`sss.spectral.stencil.matting_stencil` as a sparse (N, N) matrix."""
    return stencil_matrix(matting_stencil(photo.astype(np.float64), epsilon))
