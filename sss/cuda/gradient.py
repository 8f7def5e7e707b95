"""The image gradient on a device; see :mod:`sss.spectral.gradient`."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from sss.spectral.gradient import DERIVATIVE, SMOOTHING


def gradient_magnitude(photo: torch.Tensor) -> torch.Tensor:
    """Length of the gradient over all colour channels, (H, W), per pixel of distance.

    Args:
        photo: (H, W, 3) float in [0, 1]; continued beyond its rim by its outermost pixels.
    """
    planes = photo.permute(2, 0, 1)
    squares = planes.new_zeros(planes.shape[1:])
    for along_width, along_height in ((DERIVATIVE, SMOOTHING), (SMOOTHING, DERIVATIVE)):
        slope = _correlated(_correlated(planes, along_width, 2), along_height, 1)
        squares += slope.square_().sum(dim=0)
    return squares.sqrt_()


def _correlated(planes: torch.Tensor, taps: np.ndarray, axis: int) -> torch.Tensor:
    """Correlation along an axis; a convolution of cuDNN's would round to TF32."""
    margin = len(taps) // 2
    sides = (margin, margin, 0, 0) if axis == 2 else (0, 0, margin, margin)
    padded = functional.pad(planes[None], sides, mode="replicate")[0]
    total = torch.zeros_like(planes)
    for place, tap in enumerate(taps.tolist()):
        total.add_(padded.narrow(axis, place, planes.shape[axis]), alpha=tap)
    return total
