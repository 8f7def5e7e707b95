"""AMI and ARI: does k-means of the features find the segments?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from sss.metrics.means import mean_known
from sss.spectral.clustering import best_kmeans

RESTARTS = 3


@dataclass(frozen=True)
class Clustering:
    """One annotator's segments beside as many clusters.

    Attributes:
        segments: (N,) integer labels, negative = unlabelled; two segments or more.
        clusters: (N,) integers 0 … k−1, k the number of segments.
    """

    segments: np.ndarray
    clusters: np.ndarray

    def ami(self) -> float:
        """Adjusted mutual information (Vinh, Epps, Bailey, JMLR 2010) over the labelled points."""
        known = self.segments >= 0
        return float(adjusted_mutual_info_score(self.segments[known], self.clusters[known]))

    def ari(self) -> float:
        """Adjusted Rand index (Hubert, Arabie, J. Classification 1985) over the labelled points."""
        known = self.segments >= 0
        return float(adjusted_rand_score(self.segments[known], self.clusters[known]))

    def ari_among(self, pairs: np.ndarray) -> float:
        """Adjusted Rand index restricted to some pairs of points.

        Over all pairs it is Cohen's kappa of the decisions "same segment" and "same cluster"
        (Warrens, *On the equivalence of Cohen's kappa and the Hubert–Arabie adjusted Rand index*,
        J. Classification 25, 2008); here it is that kappa over the given pairs.

        Args:
            pairs: (N, N) bool, symmetric, the diagonal False.

        Returns:
            1 when both always agree, about 0 for chance; NaN if the pairs are not of both kinds,
            same segment and different segment.
        """
        known = self.segments >= 0
        counted = pairs & known & known[:, None]
        total = np.count_nonzero(counted)
        same_segment = counted & (self.segments[:, None] == self.segments)
        same_cluster = counted & (self.clusters[:, None] == self.clusters)
        in_segment, in_cluster = np.count_nonzero(same_segment), np.count_nonzero(same_cluster)
        if in_segment in (0, total):
            return float("nan")
        in_both = np.count_nonzero(same_segment & same_cluster)
        agreement = (total - in_segment - in_cluster + 2 * in_both) / total
        apart = (total - in_segment) * (total - in_cluster)
        chance = (in_segment * in_cluster + apart) / total**2  # below 1: the segments differ
        return (agreement - chance) / (1 - chance)


def cluster_like(points: np.ndarray, annotators: np.ndarray, seed: int = 0) -> list[Clustering]:
    """Cluster the features by k-means into as many clusters as each annotator has segments.

    All points are clustered, also those that an annotator left unlabelled, once per k.

    Args:
        points: (N, D) finite features.
        annotators: (A, N) integer segment labels, negative = unlabelled.
        seed: Of k-means.

    Returns:
        One for each annotator with two segments or more among the points.
    """
    clusters: dict[int, np.ndarray] = {}
    found = []
    for segments in annotators:
        count = len(np.unique(segments[segments >= 0]))
        if count < 2:
            continue
        if count not in clusters:
            clusters[count] = best_kmeans(points, count, RESTARTS, seed).labels_
        found.append(Clustering(segments, clusters[count]))
    return found


def cluster_agreement(points: np.ndarray, annotators: np.ndarray, seed: int = 0) -> float:
    """Mean AMI over the annotators; see :func:`cluster_like`.

    Returns:
        1 when clusters and segments are the same, about 0 for chance. NaN if no annotator has two
        segments.
    """
    return mean_known(one.ami() for one in cluster_like(points, annotators, seed))
