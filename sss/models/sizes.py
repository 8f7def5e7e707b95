"""How large the features are that a photo is segmented by."""

from __future__ import annotations

import numpy as np

from sss.spectral.grids import resize_linearly, size_within

MAX_PIXELS = 1_000_000
"""Of the photo that the network sees and of its features.

Training showed it crops of COCO and BSDS500, photos of 0.15 to 0.3 MP at up to 1.5 of their size:
in a photo of 12 MP at its own size each object is four times larger than it ever saw. The
segmentation reads features on a grid of 25 600 cells, so of a million pixels each cell still
averages forty. And 64 channels of them take 256 MB."""


def fitting_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(h, w) of a photo of (H, W) shrunk to ``MAX_PIXELS``; the same if it has no more."""
    return size_within(size[:2], MAX_PIXELS, least=1)


def shrink(values: np.ndarray) -> np.ndarray:
    """Average (H, W, C) of more than ``MAX_PIXELS`` over the pixels of :func:`fitting_size`.

    Returns:
        (h, w, C) float32; ``values`` themselves if they are no larger.
    """
    return resize_linearly(values, fitting_size(values.shape), np.float32)
