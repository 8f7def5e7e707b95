"""Superpixels and the graph between them (Aksoy et al. 2018, Sec. 3.2 and 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import slic

from sss.spectral.settings import DEFAULT_SETTINGS


@dataclass(frozen=True)
class SuperpixelGraph:
    """Superpixels of a photo, where they sit and which ones touch.

    Attributes:
        labels: (H, W) integers 0 … S−1, the superpixel of every pixel.
        centroids: (S, 2) integers, row and column of the pixel nearest each centroid. For a
            curved superpixel it may lie outside of it.
        neighbours: (P, 2) integers, each adjacent pair (8-neighbourhood) once.
    """

    labels: NDArray[np.integer]
    centroids: NDArray[np.integer]
    neighbours: NDArray[np.integer]

    @property
    def centroid_pixels(self) -> NDArray[np.integer]:
        """(S,) flat pixel index of each centroid; the graph's edges are attached there."""
        return self.centroids[:, 0] * self.labels.shape[1] + self.centroids[:, 1]

    def means(self, values: np.ndarray) -> np.ndarray:
        """Average of ``values`` (H, W, C) over each superpixel, (S, C)."""
        flat = self.labels.ravel()
        count = np.bincount(flat)
        channels = values.reshape(flat.size, -1).T
        return np.stack([np.bincount(flat, channel) / count for channel in channels], axis=1)


def compute_superpixels(
    photo: np.ndarray, count: int = DEFAULT_SETTINGS.n_superpixels
) -> SuperpixelGraph:
    """Split a photo into about ``count`` superpixels by SLIC (Achanta et al. 2012).

    The settings are those that stand in for MATLAB's ``superpixels`` in the reference run:
    SLIC-zero, ten rounds, no smoothing.

    Args:
        photo: (H, W, 3) float in [0, 1].
        count: Superpixels asked for; the result may have some more or fewer.
    """
    labels = slic(
        photo.astype(np.float64),  # in float32 the compactness vanishes and slic fails
        n_segments=min(count, photo.shape[0] * photo.shape[1]),
        compactness=1e-20,
        max_num_iter=10,
        sigma=0,
        slic_zero=True,
        start_label=0,
    )
    return build_graph(labels)


def build_graph(labels: np.ndarray) -> SuperpixelGraph:
    """Centroids and adjacent pairs of a label map.

    Args:
        labels: (H, W) integers, every value of 0 … max present.

    Raises:
        ValueError: A value is missing, so its centroid does not exist.
    """
    flat = labels.ravel()
    count = np.bincount(flat)
    if (count == 0).any():
        raise ValueError(
            f"superpixel label {int(np.argmin(count))} has no pixel; labels must be 0 … S−1 "
            "without a gap"
        )
    position = np.indices(labels.shape).reshape(2, -1)
    means = np.stack([np.bincount(flat, axis) / count for axis in position], axis=1)
    centroids = np.floor(means + 0.5).astype(np.int64)
    return SuperpixelGraph(labels, centroids, adjacent_pairs(labels))


def adjacent_pairs(labels: np.ndarray) -> np.ndarray:
    """(P, 2) pairs of labels that touch by side or corner, smaller first, each once, sorted.

    Args:
        labels: (H, W) integers from 0, of any width.
    """
    labels = labels.astype(np.int64)  # 46 341 regions have more pairs than 32 bits can number
    ahead = [
        (labels[:, :-1], labels[:, 1:]),
        (labels[:-1], labels[1:]),
        (labels[:-1, :-1], labels[1:, 1:]),
        (labels[:-1, 1:], labels[1:, :-1]),
    ]
    count = int(labels.max()) + 1
    numbers = []
    for a, b in ahead:
        apart = a != b
        one, other = a[apart], b[apart]
        numbers.append(np.minimum(one, other) * count + np.maximum(one, other))
    # As single numbers they are found an order of magnitude faster than as rows.
    return np.stack(np.divmod(np.unique(np.concatenate(numbers)), count), axis=1)
