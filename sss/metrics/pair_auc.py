"""Pair AUC and equal error rate: does the embedding's distance tell one segment from two?"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from sss.metrics.means import mean_known
from sss.metrics.pixels import PAIRS, Pairs, scored_pairs, uniform_pairs


def pair_auc(embedding: np.ndarray, labels: np.ndarray, seed: int = 0, pairs: int = PAIRS) -> float:
    """Area under the ROC curve of "different segment" predicted by feature distance.

    Pixel pairs are drawn uniformly from the photo. Per annotator, pairs with an unlabelled pixel
    are left out; the annotators' AUCs are averaged.

    Args:
        embedding: (H, W, D); distances are Euclidean.
        labels: (A, H, W) integer segment labels of A annotators, negative = unlabelled.
        seed: Of the drawn pairs: equal for all embeddings that are to be compared.
        pairs: Pixel pairs drawn.

    Returns:
        0.5 for chance, 1 for perfect; NaN if no annotator has pairs of both kinds.

    Raises:
        InputError: The sizes differ, or the embedding is not finite.
    """
    drawn = uniform_pairs(labels.shape[1:], pairs, seed)
    return mean_known(roc_auc(*scored) for scored in scored_pairs(embedding, labels, drawn))


def pair_scores(embedding: np.ndarray, labels: np.ndarray, pairs: Pairs) -> tuple[float, float]:
    """Pair AUC and equal error rate over given pairs of pixels, means over the annotators.

    Args:
        embedding: (H, W, D); distances are Euclidean.
        labels: (A, H, W) integer segment labels of A annotators, negative = unlabelled.
        pairs: Those with an unlabelled pixel are left out.

    Returns:
        Both in [0, 1], chance is 0.5; NaN if no annotator has pairs of both kinds.

    Raises:
        InputError: The sizes differ, or the embedding is not finite.
    """
    scored = scored_pairs(embedding, labels, pairs)
    return (
        mean_known(roc_auc(*one) for one in scored),
        mean_known(equal_error_rate(*one) for one in scored),
    )


def roc_auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties counted half (Mann–Whitney).

    Args:
        score: (N,) real scores.
        positive: (N,) bool, with both values present.
    """
    ranks = rankdata(score)
    positives = int(positive.sum())
    negatives = positive.size - positives
    above = ranks[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def equal_error_rate(distance: np.ndarray, different: np.ndarray) -> float:
    """The error of "same if the distance is at most t" at the t where both kinds err equally often.

    False acceptance is the fraction of different pairs taken for same, false rejection that of
    same pairs taken for different. Between two thresholds next to each other both are interpolated
    linearly, as on a straight piece of the ROC curve.

    Args:
        distance: (N,) real distances.
        different: (N,) bool, with both values present.

    Returns:
        0 if a threshold separates them, 0.5 for chance, above if different pairs are nearer.
    """
    order = distance.argsort()
    ascending, kind = distance[order], different[order]
    last = np.append(ascending[1:] > ascending[:-1], True)  # of the pairs at equal distance
    acceptance = np.append(0.0, kind.cumsum()[last] / kind.sum())
    rejection = np.append(1.0, 1.0 - (~kind).cumsum()[last] / (~kind).sum())
    # The difference climbs from −1 to 1, strictly: each threshold passes a pair of either kind.
    return float(np.interp(0.0, acceptance - rejection, acceptance))
