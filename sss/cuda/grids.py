"""Resizing on a device, to the numbers that OpenCV gives.

Torch's own ways differ from it: ``area`` there gives pixels that a new pixel only touches full
weight. So both directions are products with a matrix of weights.
"""

from __future__ import annotations

import numpy as np
import torch

from sss.cuda.tensors import Array, as_tensor

LEAST_OVERLAP = 1e-3
"""Parts of a pixel that OpenCV leaves out of averages."""


def resize_linearly(
    picture: Array, size: tuple[int, ...], device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Resample (H, W, C) float: averages where it shrinks, linear interpolation where it grows.

    The same as :func:`sss.spectral.grids.resize_linearly` to about 1e-6; of a picture that shrinks
    along one side alone and grows along the other, each side is treated by itself.
    """
    tensor = as_tensor(picture, device)
    if tensor.shape[:2] == tuple(size):
        return tensor
    planes = tensor.permute(2, 0, 1)
    for axis in (1, 2):
        weights = resampling_weights(planes.shape[axis], size[axis - 1])
        matrix = as_tensor(weights, tensor.device, tensor.dtype)
        planes = matrix @ planes if axis == 1 else planes @ matrix.mT
    return planes.permute(1, 2, 0)


def resampling_weights(before: int, after: int) -> np.ndarray:
    """(after, before) share of each pixel in each new one along one side."""
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
    share = place - left.astype(np.float32)
    weights = np.zeros((after, before))
    row = np.arange(after)
    weights[row, left] = 1 - share
    weights[row, np.minimum(left + 1, before - 1)] += share
    return weights
