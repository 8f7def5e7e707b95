"""The three affinities between pixels: matting, semantic, non-local colour.

Each function gives a symmetric sparse (N, N) matrix, N = H·W (Aksoy et al. 2018, Sec. 3.1–3.3;
constants of the released code).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree
from scipy.special import erf

from sss.spectral.superpixels import SuperpixelGraph

MATTING_EPSILON = 1e-7
"""Regularisation of the colour covariance; divided by the window's 9 pixels."""

SEMANTIC_STEEPNESS = 20.0
SEMANTIC_CENTRE = 0.85
COLOUR_STEEPNESS = 50.0
COLOUR_CENTRE = 0.95
COLOUR_RADIUS = 0.2
"""Of the non-local colour affinity, as a fraction of the photo's height and width."""

WINDOW = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]


def matting_affinity(photo: np.ndarray, epsilon: float = MATTING_EPSILON) -> sp.csr_array:
    """Matting affinity of Levin et al. (TPAMI 2008), the base of the graph.

    For every 3×3 window inside the photo with colour mean μ and covariance Σ, each two of its
    pixels gain ``(1 + (I_i − μ)ᵀ(Σ + ε/9·1)⁻¹(I_j − μ))/9``. Pixels interact up to two rows and
    columns apart, so the matrix is a 5×5 stencil and is built offset by offset.

    Args:
        photo: (H, W, 3) float in [0, 1], H and W at least 3.
        epsilon: Regularisation ε.

    Returns:
        (N, N), diagonal included; some entries are negative.

    Raises:
        ValueError: The photo is smaller than a window.
    """
    height, width = photo.shape[:2]
    if min(height, width) < 3:
        raise ValueError(f"photo is {height}×{width}, a matting window needs 3×3 or more")
    stencil = np.zeros((5, 5, height, width))
    deviations, inverse = _window_statistics(photo, epsilon / 9)
    whitened = [np.einsum("hwij,hwj->hwi", inverse, deviation) for deviation in deviations]
    for a, (row_a, column_a) in enumerate(WINDOW):
        rows = slice(1 + row_a, height - 1 + row_a)
        columns = slice(1 + column_a, width - 1 + column_a)
        for b, (row_b, column_b) in enumerate(WINDOW):
            affinity = np.einsum("hwi,hwi->hw", whitened[a], deviations[b])
            affinity += 1
            offset = stencil[row_b - row_a + 2, column_b - column_a + 2]
            offset[rows, columns] += affinity
    stencil /= 9
    return stencil_matrix(stencil)


def _window_statistics(
    photo: np.ndarray, regularisation: float
) -> tuple[list[np.ndarray], np.ndarray]:
    """Per inner pixel: deviations of the window's nine colours from their mean, and (Σ + r)⁻¹.

    Returns:
        Nine arrays (H−2, W−2, 3), in the order of ``WINDOW``, and (H−2, W−2, 3, 3).
    """
    height, width = photo.shape[:2]
    colours = [photo[1 + r : height - 1 + r, 1 + c : width - 1 + c] for r, c in WINDOW]
    mean = sum(colours[1:], start=colours[0]) / 9
    deviations = [colour - mean for colour in colours]
    covariance = np.zeros((*mean.shape, 3))
    for deviation in deviations:
        covariance += deviation[..., :, None] * deviation[..., None, :] / 9
    covariance += regularisation * np.eye(3)
    return deviations, np.linalg.inv(covariance)


def stencil_matrix(stencil: np.ndarray) -> sp.csr_array:
    """Sparse matrix of a stencil that varies from pixel to pixel.

    Args:
        stencil: (2r+1, 2r+1, H, W); ``stencil[r + dr, r + dc, row, column]`` couples the pixel
            (row, column) to (row + dr, column + dc). Entries that point outside are dropped.

    Returns:
        (N, N) with sorted column indices.
    """
    radius = stencil.shape[0] // 2
    height, width = stencil.shape[2:]
    row, column = np.indices((height, width), dtype=np.int32)
    columns, inside = [], []
    for row_offset in range(-radius, radius + 1):
        for column_offset in range(-radius, radius + 1):
            r, c = row + row_offset, column + column_offset
            inside.append(((r >= 0) & (r < height) & (c >= 0) & (c < width)).ravel())
            columns.append((r * width + c).ravel())
    keep = np.stack(inside, axis=1)  # (N, (2r+1)²)
    values = stencil.reshape(len(inside), -1).T[keep]
    pointers = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    indices = np.stack(columns, axis=1)[keep]
    size = height * width
    return sp.csr_array((values, indices, pointers.astype(np.int32)), shape=(size, size))


def semantic_affinity(graph: SuperpixelGraph, features: np.ndarray) -> sp.csr_array:
    """Semantic affinity between adjacent superpixels (Sec. 3.3).

    ``erf(20·(1 − ‖Δf‖ − 0.85))`` of their mean features: near 1 within an object, −1 across.

    Args:
        graph: Superpixels.
        features: (H, W, 3) float, channels in [0, 1].

    Returns:
        (N, N), non-zero at the superpixels' centroid pixels only.
    """
    distance = _pair_distance(graph.means(features), graph.neighbours)
    weight = erf(SEMANTIC_STEEPNESS * (1 - distance - SEMANTIC_CENTRE))
    return _between_centroids(graph, graph.neighbours, weight)


def colour_affinity(
    graph: SuperpixelGraph, photo: np.ndarray, radius: float = COLOUR_RADIUS
) -> sp.csr_array:
    """Non-local colour affinity between superpixels that lie near each other (Sec. 3.2).

    ``(erf(50·(1 − ‖Δc‖ − 0.95)) + 1)/2`` of their mean colours, for all pairs at most ``radius``
    apart, rows measured in heights and columns in widths. It connects parts of one object that
    something in front of it separates.

    Args:
        graph: Superpixels.
        photo: (H, W, 3) float in [0, 1].
        radius: Reach, as a fraction of the photo's sides.

    Returns:
        (N, N), non-zero at the superpixels' centroid pixels only.
    """
    # Counted from one, as the reference does: many pairs lie exactly on the rim, and rounding
    # decides which of them are in.
    position = (graph.centroids + 1) / np.array(graph.labels.shape)
    pairs = cKDTree(position).query_pairs(radius * 1.001, output_type="ndarray")
    apart = np.sqrt(np.square(position[pairs[:, 0]] - position[pairs[:, 1]]).sum(axis=1))
    pairs = pairs[apart <= radius]
    distance = _pair_distance(graph.means(photo), pairs)
    weight = (erf(COLOUR_STEEPNESS * (1 - distance - COLOUR_CENTRE)) + 1) / 2
    alike = weight > 0
    return _between_centroids(graph, pairs[alike], weight[alike])


def _pair_distance(values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Euclidean distance of ``values`` (S, C) over ``pairs`` (P, 2), (P,)."""
    return np.linalg.norm(values[pairs[:, 0]] - values[pairs[:, 1]], axis=1)


def _between_centroids(
    graph: SuperpixelGraph, pairs: np.ndarray, weight: np.ndarray
) -> sp.csr_array:
    """Symmetric (N, N) matrix with ``weight`` between the centroid pixels of each pair."""
    pixels = graph.centroid_pixels[pairs]
    ends = np.concatenate([pixels, pixels[:, ::-1]])
    size = graph.labels.size
    values = np.concatenate([weight, weight])
    return sp.coo_array((values, (ends[:, 0], ends[:, 1])), shape=(size, size)).tocsr()
