"""All metrics of one photo's embedding, overall and by the distance between the pixels."""

from __future__ import annotations

import numpy as np

from sss.metrics.catalogue import DISTANCE_BANDS, WeightedSum
from sss.metrics.clustering import cluster_like
from sss.metrics.means import mean_known
from sss.metrics.pair_auc import pair_scores
from sss.metrics.pixels import (
    PAIRS,
    LabelledPixels,
    check_sizes,
    draw_labelled_pixels,
    pairs_in_band,
    uniform_pairs,
)
from sss.metrics.ranking import neighbour_order, ranking_scores


def score_embedding(
    embedding: np.ndarray, labels: np.ndarray, seed: int = 0
) -> dict[str, WeightedSum]:
    """Score an embedding by the regions of one photo, each metric averaged over the annotators.

    Pair AUC and equal error rate are of random pairs of pixels, overall as
    :func:`sss.metrics.pair_auc.pair_auc` and anew for each of ``DISTANCE_BANDS``, so that near
    pairs are as many as far ones. The others are of the pixels of
    :func:`sss.metrics.pixels.draw_labelled_pixels`; in a band, a pixel is ranked and judged beside
    those at such a distance only. One k-means, over all distances, is behind AMI and ARI.

    Args:
        embedding: (H, W, D).
        labels: (A, H, W) integer segment labels of A annotators, negative = unlabelled.
        seed: Of all that is drawn: equal for all embeddings that are to be compared.

    Returns:
        Metrics of the group ``features`` in :data:`sss.metrics.catalogue.METRICS` → value and
        weight 1, without those that are not defined on this photo.

    Raises:
        InputError: The sizes differ, or the embedding is not finite.
    """
    check_sizes(embedding, labels)
    values = _pair_metrics(embedding, labels, seed)
    sample = draw_labelled_pixels(embedding, labels, seed)
    within = {band: sample.pairs_within(edges) for band, edges in DISTANCE_BANDS.items()}
    values |= _ranking_metrics(sample, within)
    values |= _cluster_metrics(sample, within, seed)
    return {metric: (value, 1.0) for metric, value in values.items() if not np.isnan(value)}


def _pair_metrics(embedding: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    shape = labels.shape[1:]
    drawn = {"": uniform_pairs(shape, PAIRS, seed)}
    for band, edges in DISTANCE_BANDS.items():
        drawn[f"_{band}"] = pairs_in_band(shape, edges, PAIRS, seed)
    values: dict[str, float] = {}
    for suffix, pairs in drawn.items():
        auc, error = pair_scores(embedding, labels, pairs)
        values |= {f"pair_auc{suffix}": auc, f"eer{suffix}": error}
    return values


def _ranking_metrics(sample: LabelledPixels, within: dict[str, np.ndarray]) -> dict[str, float]:
    order = neighbour_order(sample.points)
    galleries = {"": None} | {f"_{band}": pairs for band, pairs in within.items()}
    values: dict[str, float] = {}
    for suffix, gallery in galleries.items():
        scores = [ranking_scores(order, labels, gallery) for labels in sample.annotators]
        values[f"precision_at_1{suffix}"] = mean_known(precision for precision, _ in scores)
        values[f"r_precision{suffix}"] = mean_known(r_precision for _, r_precision in scores)
    return values


def _cluster_metrics(
    sample: LabelledPixels, within: dict[str, np.ndarray], seed: int
) -> dict[str, float]:
    clusterings = cluster_like(sample.points, sample.annotators, seed)
    values = {
        "ami": mean_known(one.ami() for one in clusterings),
        "ari": mean_known(one.ari() for one in clusterings),
    }
    for band, pairs in within.items():
        values[f"ari_{band}"] = mean_known(one.ari_among(pairs) for one in clusterings)
    return values
