"""AMI: does k-means of the features find the segments?"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_mutual_info_score
from threadpoolctl import threadpool_limits

RESTARTS = 3


def cluster_agreement(points: np.ndarray, annotators: np.ndarray, seed: int = 0) -> float:
    """Adjusted mutual information of k-means clusters and segments (Vinh, Epps, Bailey, JMLR 2010).

    Per annotator, k is the number of segments among the points. All points are clustered, once per
    k; those that an annotator left unlabelled are not counted.

    Args:
        points: (N, D) finite features.
        annotators: (A, N) integer segment labels, negative = unlabelled.
        seed: Of k-means.

    Returns:
        Mean over the annotators with two segments or more: 1 when clusters and segments are the
        same, about 0 for chance. NaN if there is no such annotator.
    """
    clusters: dict[int, np.ndarray] = {}
    scores = []
    for labels in annotators:
        known = labels >= 0
        count = len(np.unique(labels[known]))
        if count < 2:
            continue
        if count not in clusters:
            clusters[count] = _clusters(points, count, seed)
        scores.append(adjusted_mutual_info_score(labels[known], clusters[count][known]))
    return float(np.mean(scores)) if scores else float("nan")


def _clusters(points: np.ndarray, count: int, seed: int) -> np.ndarray:
    model = KMeans(count, n_init=RESTARTS, random_state=seed)
    # On one thread: more add up the centres in an order that changes from run to run.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different points than clusters
        return model.fit_predict(points)
