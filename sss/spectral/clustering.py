"""k-means, of pixels and of components."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

START_RESTARTS = 3
"""Of the start's k-means, whose clusters the sparsification reshapes anyway."""


def cluster_pixels(features: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Hard clusters of pixels' features: the start of the constrained step.

    Args:
        features: (..., D).
        count: Clusters; fewer come out if there are fewer different features.
        seed: Of k-means.

    Returns:
        (N,) integers 0 … C−1, all present, N the number of pixels.
    """
    points = features.reshape(-1, features.shape[-1])
    labels = best_kmeans(points, count, START_RESTARTS, seed).labels_
    return np.unique(labels, return_inverse=True)[1]


def clusters_from(
    examples: np.ndarray, points: np.ndarray, count: int, seed: int = 0
) -> np.ndarray:
    """Hard clusters of ``points`` by the centres that k-means finds for ``examples``.

    Args:
        examples: (N, D).
        points: (P, D).
        count: Clusters of the examples; fewer come out if there are fewer different ones.
        seed: Of k-means.

    Returns:
        (P,) integers 0 … C−1, all present.
    """
    centres = best_kmeans(examples, count, START_RESTARTS, seed).cluster_centers_
    return np.unique(cdist(points, centres).argmin(axis=1), return_inverse=True)[1]


def best_kmeans(points: np.ndarray, count: int, restarts: int, seed: int) -> KMeans:
    """The best of ``restarts`` runs of k-means on (N, D) points.

    In one thread: several would add up centres in the order in which they happen to end. Fewer
    different points than clusters are no reason to complain.
    """
    model = KMeans(min(count, len(points)), n_init=restarts, random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(points)
