"""Resizing on a device, to the numbers that OpenCV gives.

Torch's own ways differ from it: ``area`` there gives pixels that a new pixel only touches full
weight. So both directions are products with a matrix of weights.
"""

from __future__ import annotations

import numpy as np
import torch

LEAST_OVERLAP = 1e-3
"""Parts of a pixel that OpenCV leaves out of averages."""


def resize_linearly(picture: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Resample (H, W, C) float: averages where it shrinks, linear interpolation where it grows.

    The same as :func:`sss.image.resize.resize_linearly` to about 1e-6; of a picture that shrinks
    along one side alone and grows along the other, each side is treated by itself.
    """
    if picture.shape[:2] == tuple(size):
        return picture
    planes = picture.permute(2, 0, 1)
    for axis in (1, 2):
        weights = resampling_weights(planes.shape[axis], size[axis - 1])
        matrix = torch.from_numpy(weights).to(picture)
        planes = matrix @ planes if axis == 1 else planes @ matrix.mT
    return planes.permute(1, 2, 0)


def resampling_weights(before: int, after: int) -> np.ndarray:
    """(after, before) fraction of each new pixel that each pixel is, along one side."""
    return _averaging(before, after) if after < before else _interpolating(before, after)


def _averaging(before: int, after: int) -> np.ndarray:
    scale = before / after
    start = np.arange(after)[:, None] * scale
    cell = np.minimum(scale, before - start)
    pixel = np.arange(before)
    overlap = np.minimum(start + scale, pixel + 1) - np.maximum(start, pixel)
    return np.where(overlap > LEAST_OVERLAP, np.minimum(overlap, 1), 0) / cell


def _interpolating(before: int, after: int) -> np.ndarray:
    # In single precision, as OpenCV has it: 2e-5 of a pixel, seen in what jumps from 0 to 1.
    place = ((np.arange(after) + 0.5) * (before / after) - 0.5).astype(np.float32)
    place = np.clip(place, 0, before - 1)
    left = np.floor(place).astype(int)
    fraction = place - left.astype(np.float32)
    weights = np.zeros((after, before))
    row = np.arange(after)
    weights[row, left] = 1 - fraction
    weights[row, np.minimum(left + 1, before - 1)] += fraction
    return weights
