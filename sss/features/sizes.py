"""How large the features are that a photo is segmented by."""

from __future__ import annotations

import cv2
import numpy as np

from sss.threads import map_threads

MAX_PIXELS = 1_000_000
"""Of the photo that the network sees and of its features.

Training showed it crops of COCO and BSDS500, photos of 0.15 to 0.3 MP at up to 1.5 of their size:
in a photo of 12 MP at its own size each object is four times larger than it ever saw. The
segmentation reads features on a grid of 25 600 cells, so of a million pixels each cell still
averages forty. And 64 channels of them take 256 MB."""

CHANNELS = 16
"""Shrunk at a time: those of one line of the cache."""


def fitting_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(h, w) of a photo of (H, W) shrunk to ``MAX_PIXELS``; the same if it has no more."""
    height, width = size[:2]
    scale = min(1.0, (MAX_PIXELS / (height * width)) ** 0.5)
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink(values: np.ndarray) -> np.ndarray:
    """Average (H, W, C) of more than ``MAX_PIXELS`` over the pixels of :func:`fitting_size`.

    Returns:
        (h, w, C) float32; ``values`` themselves if they are no larger.
    """
    size = fitting_size(values.shape)
    if size == values.shape[:2]:
        return values
    result = np.empty((*size, values.shape[2]), np.float32)

    def shrink_channels(first: int) -> None:
        part = np.ascontiguousarray(values[..., first : first + CHANNELS], np.float32)
        small = cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA)
        result[..., first : first + CHANNELS] = small.reshape(*size, -1)

    map_threads(shrink_channels, range(0, values.shape[2], CHANNELS))
    return result
