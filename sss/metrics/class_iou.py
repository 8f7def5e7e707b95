"""Intersection over union of classes."""

from __future__ import annotations

import numpy as np


def mean_iou(counts: np.ndarray) -> np.ndarray:
    """Mean intersection over union of the classes that occur.

    Args:
        counts: (…, 1 + C, 2) sums of what :func:`count_pixels` gives.

    Returns:
        (…); NaN where no class occurs.
    """
    both, either = counts[..., 0], counts[..., 1]
    known = either > 0
    values = np.where(known, both, 0) / np.where(known, either, 1)
    occurring = known.sum(axis=-1)
    return np.where(occurring > 0, values.sum(axis=-1) / np.maximum(occurring, 1), np.nan)


def count_pixels(found: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Pixels of intersection and of union of background and each class of one photo.

    Of several photos they add up, as in PASCAL VOC's measure (Everingham et al., IJCV 2010, Sec.
    4.5).

    Args:
        found: (H, W) integers from 0, the background, to C.
        truth: The same; pixels with a negative value count nowhere.
        classes: C.

    Returns:
        (1 + C, 2) int64.
    """
    known = truth >= 0
    confusion = np.bincount(
        truth[known].astype(np.int64) * (classes + 1) + found[known], minlength=(classes + 1) ** 2
    ).reshape(classes + 1, classes + 1)
    both = np.diag(confusion)
    return np.stack([both, confusion.sum(axis=0) + confusion.sum(axis=1) - both], axis=1)
