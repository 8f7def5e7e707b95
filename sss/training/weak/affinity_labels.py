"""What AffinityNet learns from: pixels of which the class activation maps are sure.

Ahn & Kwak, CVPR 2018, Sec. 3.3.1.
"""

from __future__ import annotations

import numpy as np

from sss.layers.class_maps import SPLIT_BELOW, refine_by_layers
from sss.training.weak.activation import with_background

NEUTRAL = -1


def affinity_labels(
    maps: np.ndarray,
    classes: np.ndarray,
    object_alpha: float,
    background_alpha: float,
    alpha: np.ndarray | None = None,
    split_below: float = SPLIT_BELOW,
) -> np.ndarray:
    """Confident objects, confident background, and neutral pixels.

    A pixel is confident of an object that beats the amplified background ``(1 − max)^4``, and of
    background where the weakened one, ``(1 − max)^24``, beats all objects.

    Args:
        maps: (h, w, K) in [0, 1].
        classes: (K,) their numbers.
        object_alpha: The small exponent.
        background_alpha: The large one.
        alpha: (h, w, L) soft layers by which both decisions are sharpened; None: as they are.
        split_below: See :func:`sss.layers.class_maps.refine_by_layers`.

    Returns:
        (h, w) int32: 0 background, k + 1 of class k, -1 neutral.
    """
    values = np.concatenate([[0], np.asarray(classes, int) + 1])
    decided = []
    for exponent in (object_alpha, background_alpha):
        scores = with_background(maps, exponent)
        if alpha is not None:
            scores = refine_by_layers(scores, alpha, split_below)
        decided.append(values[scores.argmax(axis=2)])
    sure_object, sure_background = decided
    labels = np.full(maps.shape[:2], NEUTRAL, np.int32)
    # Where the weakened background wins, the amplified one does: the two cannot contradict each
    # other, unless sharpening turns one of them round. Then nothing is sure.
    agree = sure_object == sure_background
    labels[agree] = sure_object[agree]
    return labels
