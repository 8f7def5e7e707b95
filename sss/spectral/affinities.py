"""The affinities between superpixels, semantic and non-local colour.

Each function gives a symmetric sparse (N, N) matrix, N = H·W (Aksoy et al. 2018, Sec. 3.2 and 3.3;
constants of the released code).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree
from scipy.special import erf

from sss.spectral.superpixels import SuperpixelGraph

SEMANTIC_STEEPNESS = 20.0
SEMANTIC_CENTRE = 0.85
"""Sec. 3.3."""

COLOUR_STEEPNESS = 50.0
COLOUR_CENTRE = 0.95
"""Sec. 3.2."""

COLOUR_RADIUS = 0.2
"""Of the non-local colour affinity, as a fraction of the photo's height and width."""


def semantic_affinity(graph: SuperpixelGraph, features3: np.ndarray) -> sp.csr_array:
    """Semantic affinity between adjacent superpixels (Sec. 3.3).

    ``erf(20·(1 − ‖Δf‖ − 0.85))`` of their mean features: near 1 within an object, −1 across.

    Args:
        graph: Superpixels.
        features3: (H, W, 3) float, channels in [0, 1].

    Returns:
        (N, N), non-zero at the superpixels' centroid pixels only.
    """
    weight = _likeness(graph.means(features3), graph.neighbours)
    return _between_centroids(graph, graph.neighbours, weight)


def colour_affinity(
    graph: SuperpixelGraph,
    photo: np.ndarray,
    features3: np.ndarray | None = None,
    radius: float = COLOUR_RADIUS,
) -> sp.csr_array:
    """Non-local colour affinity between superpixels that lie near each other (Sec. 3.2).

    ``(erf(50·(1 − ‖Δc‖ − 0.95)) + 1)/2`` of their mean colours, for all pairs at most ``radius``
    apart, rows measured in heights and columns in widths. It connects parts of one object that
    something in front of it separates.

    Args:
        graph: Superpixels.
        photo: (H, W, 3) float in [0, 1].
        features3: (H, W, 3) float, channels in [0, 1]: each weight is multiplied by the semantic
            affinity of the two superpixels, where that is positive, and is 0 elsewhere. None ties
            whatever has one colour, as the paper does.
        radius: Reach, as a fraction of the photo's sides.

    Returns:
        (N, N), non-zero at the superpixels' centroid pixels only.
    """
    # Counted from one, as the reference does: many pairs lie exactly on the rim, and rounding
    # decides which of them are in.
    position = (graph.centroids + 1) / np.array(graph.labels.shape)
    pairs = cKDTree(position).query_pairs(radius * 1.001, output_type="ndarray")
    pairs = pairs[_pair_distance(position, pairs) <= radius]
    distance = _pair_distance(graph.means(photo), pairs)
    weight = (erf(COLOUR_STEEPNESS * (1 - distance - COLOUR_CENTRE)) + 1) / 2
    if features3 is not None:
        weight *= _likeness(graph.means(features3), pairs).clip(min=0)
    alike = weight > 0
    return _between_centroids(graph, pairs[alike], weight[alike])


def _likeness(features3: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(P,) in [−1, 1] how alike the superpixels of ``pairs`` are in their features (S, 3)."""
    distance = _pair_distance(features3, pairs)
    likeness: np.ndarray = erf(SEMANTIC_STEEPNESS * (1 - distance - SEMANTIC_CENTRE))
    return likeness


def _pair_distance(values: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Euclidean distance of ``values`` (S, C) over ``pairs`` (P, 2), (P,)."""
    first, second = pairs.T
    # Channel by channel: sums over an axis of two or three take four times as long.
    squares = np.zeros(len(pairs))
    for channel in np.ascontiguousarray(values.T):
        squares += np.square(channel[first] - channel[second])
    return np.sqrt(squares)


def _between_centroids(
    graph: SuperpixelGraph, pairs: np.ndarray, weight: np.ndarray
) -> sp.csr_array:
    """Symmetric (N, N) matrix with ``weight`` between the centroid pixels of each pair."""
    pixels = graph.centroid_pixels[pairs].astype(np.int32)  # wider indices would be handed down
    ends = np.concatenate([pixels, pixels[:, ::-1]])
    size = graph.labels.size
    values = np.concatenate([weight, weight])
    return sp.coo_array((values, (ends[:, 0], ends[:, 1])), shape=(size, size)).tocsr()
