"""Validation of a network: pair AUC over the photos of a labelled data set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data.sources import RegionDataset
from sss.errors import InputError
from sss.evaluation.pair_auc import pair_auc


def mean_pair_auc(
    embed: Callable[[np.ndarray], np.ndarray], dataset: RegionDataset, photos: int
) -> float:
    """Mean pair AUC over ``photos`` photos spread evenly over the data set.

    Args:
        embed: Maps an (H, W, 3) uint8 photo to (H, W, D) features.
        dataset: Photos with their annotators' label maps.
        photos: How many to use; all if there are fewer. A photo whose annotators all see a single
            segment has no score and is left out.

    Raises:
        InputError: No photo has a score, or the features are not finite.
    """
    picked = np.unique(np.linspace(0, len(dataset) - 1, min(photos, len(dataset))).astype(int))
    scores = []
    for index in picked:
        photo, labels = dataset[int(index)]
        scores.append(pair_auc(embed(photo), labels, seed=int(index)))
    known = [score for score in scores if not np.isnan(score)]
    if not known:
        raise InputError(
            f"none of the {len(scores)} validation photos has two segments; choose another "
            "data.validation or more data.validation_photos"
        )
    return float(np.mean(known))
