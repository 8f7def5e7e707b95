"""Every resize of photos and of what belongs to their pixels."""

from __future__ import annotations

import numpy as np

from sss.threads import map_threads, slices

MIN_SIDE = 16
"""Least height and width of a photo in pixels: a smaller one shows nothing to split."""

EMBEDDED_PIXELS = 1_000_000
"""Most pixels of the photo that a network sees, and so of its embedding.

Training shows networks crops of COCO and BSDS500, photos of 0.15 to 0.3 MP at up to 1.5 of their
size: in a photo of 12 MP at its own size each object is four times larger than any of them. The
spectral core reads the embedding on a grid of 25 600 cells, so of a million pixels each cell still
averages forty. And 64 channels of them take 256 MB."""


def size_within(size: tuple[int, ...], pixels: int, least: int = 3) -> tuple[int, int]:
    """(h, w) of a photo of ``size`` (H, W) shrunk to about ``pixels``; the same if it has no more.

    No side becomes shorter than ``least``.
    """
    height, width = size
    scale = min(1.0, (pixels / (height * width)) ** 0.5)
    return max(least, round(height * scale)), max(least, round(width * scale))


def fitting_size(size: tuple[int, ...], pixels: int = EMBEDDED_PIXELS) -> tuple[int, int]:
    """(h, w) of a photo of (H, W, …) shrunk to ``pixels``; the same if it has no more."""
    return size_within(size[:2], pixels, least=1)


def size_of_side(size: tuple[int, ...], side: int | None) -> tuple[int, int]:
    """(h, w) of a photo of (H, W, …) shrunk to a longer side of ``side``.

    The same if it is no longer, or with None.
    """
    height, width = size[:2]
    longer = max(height, width)
    if side is None or longer <= side:
        return height, width
    return max(1, round(height * side / longer)), max(1, round(width * side / longer))


def shrink_to_fit(values: np.ndarray, pixels: int = EMBEDDED_PIXELS) -> np.ndarray:
    """Average (H, W, C) of more than ``pixels`` over the pixels of :func:`fitting_size`.

    Returns:
        (h, w, C) float32; ``values`` themselves if they are no larger.
    """
    return resize_linearly(values, fitting_size(values.shape, pixels), np.float32)


def resize_bytes(pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Resample (H, W, C) uint8 to (h, w, C) uint8, as :func:`resize_linearly` does."""
    return np.rint(resize_linearly(pixels, size, np.float32)).astype(np.uint8)


def resize_mask(mask: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Resample (H, W) bool to (h, w) bool: what the mask holds at least half of.

    Of a mask that holds half of no pixel, those that it holds the most of.
    """
    share = resize_linearly(mask[..., None], size, np.float32)[..., 0]
    held: np.ndarray = share >= min(0.5, share.max())
    return held


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
    import cv2  # where a photo keeps its size, nothing of it is needed

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
