"""What negative values of label maps mean, for data sets, training and metrics alike."""

from __future__ import annotations

import numpy as np

UNLABELLED = -1
"""Label of the pixels of which nobody knows the region; they enter no pair. So are all other
negative labels but ``REST``."""

REST = -2
"""Label of what none of the labelled regions covers where that may be several things: of two of
its pixels nobody knows whether they belong together, one of it and one of a region differ."""


def is_labelled(labels: np.ndarray) -> np.ndarray:
    """Which pixels enter pairs: those of a region and those of the rest. Same shape, bool."""
    labelled: np.ndarray = (labels >= 0) | (labels == REST)
    return labelled
