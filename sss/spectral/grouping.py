"""Clusters: where the components start, and which of them form a layer (Sec. 3.5)."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

LAYERS = 5
"""Layers of the reference."""

AUTO_LAYERS = (2, 8)
"""Fewest and most layers that the automatic choice takes."""

AUTO_EXPLAINED = 0.95
"""The automatic choice: share of the components' feature variance that the layers explain."""

GROUPING_RESTARTS = 200
"""k-means of two dozen points has many local optima: with this many draws, the best one found is
the same from seed to seed."""

START_RESTARTS = 3


def cluster_pixels(features: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Hard clusters of the pixels' features: the start of the constrained step.

    Args:
        features: (..., D).
        count: Clusters; fewer come out if there are fewer different features.
        seed: Of k-means.

    Returns:
        (N,) integers 0 … C−1, all present, N the number of pixels.
    """
    points = features.reshape(-1, features.shape[-1])
    labels = _kmeans(points, count, START_RESTARTS, seed).labels_
    return np.unique(labels, return_inverse=True)[1]


def group_components(
    components: np.ndarray, features: np.ndarray, layers: int | None = LAYERS, seed: int = 0
) -> np.ndarray:
    """Add up components whose mean features are alike.

    Args:
        components: (N, C), rows summing to one.
        features: (H, W, D), N = H·W.
        layers: Layers wanted; None chooses from 2 to 8: the fewest that explain 95 % of the
            variance of the components' mean features, components weighted by their area.
        seed: Of k-means.

    Returns:
        (H, W, K) layers, largest first. K is smaller than ``layers`` when there are fewer
        components.
    """
    area = components.sum(axis=0)
    means = components.T @ features.reshape(len(components), -1)
    means /= np.where(np.abs(area) > 1e-9, area, 1.0)[:, None]
    if layers is None:
        groups = _fewest_groups(means, np.maximum(area, 0), seed)
    else:
        groups = _group(means, layers, seed)
    membership = np.eye(groups.max() + 1)[groups]  # (C, K)
    grouped = components @ membership
    order = np.argsort(-grouped.sum(axis=0), kind="stable")
    return grouped[:, order].reshape(*features.shape[:2], -1)


def _group(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Group of each of the (C, D) ``points``, (C,) integers 0 … K−1, all present."""
    if len(points) <= count:
        return np.arange(len(points))
    labels = _kmeans(points, count, GROUPING_RESTARTS, seed).labels_
    return np.unique(labels, return_inverse=True)[1]


def _fewest_groups(points: np.ndarray, area: np.ndarray, seed: int) -> np.ndarray:
    """The grouping of the automatic choice."""
    lowest, highest = AUTO_LAYERS
    spread = _spread(points, area)
    for count in range(lowest, highest + 1):
        groups = _group(points, count, seed)
        within = sum(
            _spread(points[groups == group], area[groups == group]) for group in np.unique(groups)
        )
        if within <= (1 - AUTO_EXPLAINED) * spread or count >= len(points):
            break
    return groups


def _spread(points: np.ndarray, weight: np.ndarray) -> float:
    """Weighted sum of squared distances from the weighted mean."""
    if weight.sum() <= 0:
        return 0.0
    centre = np.average(points, axis=0, weights=weight)
    return float(weight @ np.square(points - centre).sum(axis=1))


def _kmeans(points: np.ndarray, count: int, restarts: int, seed: int) -> KMeans:
    """k-means; fewer different points than clusters are no reason to complain."""
    model = KMeans(min(count, len(points)), n_init=restarts, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(points)
