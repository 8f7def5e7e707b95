"""Pair AUC: does the distance of two pixels' features tell one segment from two?"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from sss.errors import InputError

PAIRS = 20_000
"""Random pixel pairs per photo; the AUC's sampling error is then about 0.004 per photo."""


def pair_auc(features: np.ndarray, labels: np.ndarray, seed: int = 0, pairs: int = PAIRS) -> float:
    """Area under the ROC curve of "different segment" predicted by feature distance.

    Pixel pairs are drawn uniformly from the photo. Per annotator, pairs with an unlabelled pixel
    are left out; the annotators' AUCs are averaged.

    Args:
        features: (H, W, D) features; distances are Euclidean.
        labels: (A, H, W) integer segment labels of A annotators, negative = unlabelled.
        seed: Of the drawn pairs: equal for all features that are to be compared.
        pairs: Pixel pairs drawn.

    Returns:
        0.5 for chance, 1 for perfect; NaN if no annotator has pairs of both kinds.

    Raises:
        InputError: The sizes of ``features`` and ``labels`` differ, or features are not finite.
    """
    if features.shape[:2] != labels.shape[1:]:
        raise InputError(
            f"features are {features.shape[:2]} but labels {labels.shape[1:]}; resize one of them"
        )
    rng = np.random.default_rng(seed)
    first, second = rng.integers(labels[0].size, size=(2, pairs))
    flat = features.reshape(-1, features.shape[-1])
    distance = np.linalg.norm(flat[first].astype(np.float32) - flat[second], axis=1)
    if not np.isfinite(distance).all():
        raise InputError("the features hold NaN or infinite values; the training has diverged")
    scores = []
    for annotator in labels.reshape(len(labels), -1):
        known = (annotator[first] >= 0) & (annotator[second] >= 0)
        different = (annotator[first] != annotator[second])[known]
        if different.any() and not different.all():
            scores.append(roc_auc(distance[known], different))
    return float(np.mean(scores)) if scores else float("nan")


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
