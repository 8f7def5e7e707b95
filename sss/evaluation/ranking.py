"""Precision@1 and R-precision: are a pixel's neighbours in feature space of its own segment?

Both after Musgrave, Belongie, Lim, *A Metric Learning Reality Check*, ECCV 2020.
"""

from __future__ import annotations

import numpy as np


def neighbour_order(points: np.ndarray) -> np.ndarray:
    """For each point all the others, nearest first.

    Args:
        points: (N, D) finite features; distances are Euclidean.

    Returns:
        (N, N − 1) indices. Of equally near points the one that stands first in ``points`` comes
        first: shuffle them, or features without information look better than chance.
    """
    points = points.astype(np.float64)
    squared = np.square(points).sum(axis=1)
    distance = squared[:, None] + squared - 2 * (points @ points.T)
    # Equal points have distance zero: rounding must not put them in an order of its own.
    distance[distance < 1e-12 * squared.max(initial=0.0)] = 0.0
    np.fill_diagonal(distance, np.inf)  # a pixel is not its own neighbour
    return distance.argsort(axis=1, kind="stable")[:, :-1]


def ranking_scores(order: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Precision@1 and R-precision, means over the points as queries.

    R of a query is the number of other points with its label; R-precision is the share of its R
    nearest points that have its label, precision@1 the same of its nearest one. Queries with
    R = 0 are left out, and so are unlabelled points, as queries and as neighbours.

    Args:
        order: (N, N − 1) of :func:`neighbour_order`.
        labels: (N,) integer segment labels, negative = unlabelled.

    Returns:
        Both in [0, 1]; NaN if no two segments are there, or none has two points.
    """
    known = labels >= 0
    kept = order[known]
    near = labels[kept]  # (n, N − 1), n the labelled points
    own = labels[known]
    segments, counts = np.unique(own, return_counts=True)
    if len(segments) < 2 or counts.max() < 2:
        return float("nan"), float("nan")
    if not known.all():  # each row loses the same points, so it stays a table
        near = near[near >= 0].reshape(len(own), len(own) - 1)
    mates = counts[np.searchsorted(segments, own)] - 1  # R of each query
    queries = mates > 0
    same = (near == own[:, None])[queries]
    within = np.arange(near.shape[1]) < mates[queries, None]
    r_precision = (same & within).sum(axis=1) / mates[queries]
    return float(same[:, 0].mean()), float(r_precision.mean())
