"""The sizes at which the steps work, and the way between them."""

from __future__ import annotations

import cv2
import numpy as np

from sss.threads import map_threads, slices

COARSE_PIXELS = 25_600
"""Size of the coarse grid: eigenvectors and components are computed on it."""

GRAPH_PIXELS = 160_000
"""Largest size at which superpixels are found, to be carried over to the coarse grid: those of the
coarse grid itself lie elsewhere, and so do then the layers' lesser parts."""

REFINED_PIXELS = 409_600
"""Largest size at which the coarse solver's layers are refined; larger photos take their colours
from there on, see :mod:`sss.spectral.upsampling`. On 12 megapixels the sparsity of the relaxed step
outweighs the matting Laplacian, which knows neighbours only, and hair becomes all or nothing."""


def coarse_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(h, w) of the coarse grid: ``COARSE_PIXELS`` at most, the photo's shape, 3 at least."""
    return size_within(size, COARSE_PIXELS)


def graph_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(h, w) of the grid for superpixels: ``GRAPH_PIXELS`` at most, the photo's shape."""
    return size_within(size, GRAPH_PIXELS)


def size_within(size: tuple[int, ...], pixels: int, least: int = 3) -> tuple[int, int]:
    """(h, w) of a photo shrunk to about ``pixels``; the same if it has no more.

    No side is shorter than ``least``.
    """
    height, width = size
    scale = min(1.0, (pixels / (height * width)) ** 0.5)
    return max(least, round(height * scale)), max(least, round(width * scale))


def refined_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(h, w) at which layers are refined: ``REFINED_PIXELS`` at most, the photo's shape."""
    return size_within(size, REFINED_PIXELS)


def resize_linearly(
    picture: np.ndarray, size: tuple[int, ...], precision: type | None = None
) -> np.ndarray:
    """Resample (H, W, C): averages where it shrinks, linear interpolation where it grows.

    Args:
        picture: Float32 or float64; anything where ``precision`` is given.
        size: (h, w).
        precision: Of a resampled picture; None keeps the picture's.

    Returns:
        (h, w, C); the picture itself if it has this size.
    """
    if picture.shape[:2] == tuple(size):
        return picture
    shrinks = size[0] < picture.shape[0] or size[1] < picture.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    result = np.empty((*size, picture.shape[2]), precision or picture.dtype)

    def resize(channels: slice) -> None:
        part = np.ascontiguousarray(picture[..., channels], result.dtype)
        resized = cv2.resize(part, (size[1], size[0]), interpolation=method)
        result[..., channels] = resized.reshape(*size, -1)

    # Four channels are the most that OpenCV averages at once.
    map_threads(resize, slices(picture.shape[2], 4))
    return result
