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


def ranking_scores(
    order: np.ndarray, labels: np.ndarray, gallery: np.ndarray | None = None
) -> tuple[float, float]:
    """Precision@1 and R-precision, means over the points as queries.

    R of a query is the number of points with its label in its gallery; R-precision is the fraction
    of the R nearest points of the gallery that have its label, precision@1 the same of the nearest
    one. Unlabelled points are left out, as queries and of all galleries. Queries with R = 0 cannot
    be right, and those with no other label in their gallery cannot be wrong: they are left out.

    Args:
        order: (N, N − 1) of :func:`neighbour_order`.
        labels: (N,) integer segment labels, negative = unlabelled.
        gallery: (N, N) bool, a row per query: which points it is compared with; all others if not
            given.

    Returns:
        Both in [0, 1]; NaN if no query is left.
    """
    near = labels[order]  # (N, N − 1)
    counted = near >= 0
    if gallery is not None:
        counted &= np.take_along_axis(gallery, order, axis=1)
    same = counted & (near == labels[:, None])
    mates = same.sum(axis=1)  # R of each query
    queries = (labels >= 0) & (mates > 0) & (mates < counted.sum(axis=1))
    if not queries.any():
        return float("nan"), float("nan")
    same, mates = same[queries], mates[queries]
    rank = counted[queries].cumsum(axis=1, dtype=np.int32)  # 1 = nearest of the gallery
    r_precision = (same & (rank <= mates[:, None])).sum(axis=1) / mates
    precision = (same & (rank == 1)).any(axis=1)
    return float(precision.mean()), float(r_precision.mean())
