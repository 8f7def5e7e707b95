"""Validation of a network: its scores on photos spread evenly over a labelled data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from sss.data.base import RegionDataset
from sss.errors import InputError
from sss.metrics.clustering import cluster_agreement
from sss.metrics.means import mean_known
from sss.metrics.pair_auc import pair_auc
from sss.metrics.pixels import draw_labelled_pixels
from sss.metrics.ranking import neighbour_order, ranking_scores
from sss.training.task import ALONE, Share

CURVES = {
    "val_pair_auc": "pair AUC",
    "val_precision_at_1": "precision@1",
    "val_r_precision": "R-precision",
    "val_ami": "AMI of k-means",
}
"""Columns of metrics.csv, and what they are called where they are drawn."""

METRICS = tuple(column.removeprefix("val_") for column in CURVES)

Embed = Callable[[np.ndarray], np.ndarray]
"""Maps an (H, W, 3) uint8 photo to its (H, W, D) embedding."""


def validate_photos(
    embed: Embed, dataset: RegionDataset, photos: int, share: Share = ALONE
) -> dict[int, dict[str, float]]:
    """Score the embeddings of ``photos`` photos spread evenly over the data set.

    Args:
        embed: Maps an (H, W, 3) uint8 photo to its (H, W, D) embedding.
        dataset: Photos with their annotators' label maps.
        photos: How many to use; all if there are fewer.
        share: Of several processes. The dictionaries of all of them, put together, are what a
            single process would have found.

    Returns:
        For each photo's index in the data set the scores of :func:`photo_scores`.

    Raises:
        InputError: An embedding is not finite, or not of the photo's size.
    """
    scores = {}
    for index in share.of(len(dataset), photos):
        photo, labels = dataset[index]
        scores[index] = photo_scores(embed(photo), labels, seed=index)
    return scores


def mean_over_sets(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """One score for several data sets, each counting the same.

    Args:
        scores: Of :func:`summarise`, by the name of the data set.

    Returns:
        ``METRICS`` → mean over the data sets where it is defined; with several sets also
        ``NAME_pair_auc`` of each.
    """
    means = {metric: mean_known(one[metric] for one in scores.values()) for metric in METRICS}
    if len(scores) > 1:
        means |= {f"{name}_pair_auc": one["pair_auc"] for name, one in scores.items()}
    return means


def validation_row(scores: Mapping[str, float]) -> dict[str, float]:
    """What ``metrics.csv`` and checkpoints hold of scores: ``val_NAME``, rounded, without NaN."""
    return {f"val_{name}": round(value, 5) for name, value in scores.items() if not np.isnan(value)}


def photo_scores(embedding: np.ndarray, labels: np.ndarray, seed: int = 0) -> dict[str, float]:
    """All metrics of one photo, each averaged over its annotators.

    ``pair_auc`` is of random pairs of pixels (:func:`sss.metrics.pair_auc.pair_auc`); the others
    are of the pixels of :func:`sss.metrics.pixels.draw_labelled_pixels`.

    Args:
        embedding: (H, W, D).
        labels: (A, H, W) integer segment labels of A annotators, negative = unlabelled.
        seed: Of the drawn pixels.

    Returns:
        ``METRICS`` → value, NaN where no annotator sees two segments.

    Raises:
        InputError: The sizes differ, or the embedding is not finite.
    """
    auc = pair_auc(embedding, labels, seed)
    sample = draw_labelled_pixels(embedding, labels, seed)
    order = neighbour_order(sample.points)
    rankings = [ranking_scores(order, annotator) for annotator in sample.annotators]
    precision, r_precision = (mean_known(values) for values in zip(*rankings, strict=True))
    ami = cluster_agreement(sample.points, sample.annotators, seed)
    return dict(zip(METRICS, (auc, precision, r_precision, ami), strict=True))


def summarise(scores: Mapping[int, Mapping[str, float]]) -> dict[str, float]:
    """Mean of each metric over the photos where it is defined.

    Args:
        scores: Of :func:`validate_photos`, of all processes together.

    Returns:
        ``METRICS`` → mean; NaN for a metric that no photo has, but never for ``pair_auc``.

    Raises:
        InputError: No photo has a pair AUC.
    """
    # In the order of the photos: sums in another order differ in their last bits.
    ordered = [scores[index] for index in sorted(scores)]
    means = {metric: mean_known(photo[metric] for photo in ordered) for metric in METRICS}
    if np.isnan(means["pair_auc"]):
        raise InputError(
            f"none of the {len(scores)} validation photos has two segments; choose another "
            "data.validation or more data.validation_photos"
        )
    return means
