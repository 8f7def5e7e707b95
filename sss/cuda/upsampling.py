"""Layers of a shrunk photo at the photo's own size, on a device.

The algorithm is that of :mod:`sss.spectral.upsampling`.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from sss.cuda.resize import resize_linearly
from sss.spectral.upsampling import EPSILON, WINDOW


def enlarge_along_photo(
    layers: torch.Tensor, small: torch.Tensor, photo: torch.Tensor
) -> torch.Tensor:
    """Enlarge layers so that their edges are the photo's.

    Args:
        layers: (h, w, K), of the photo shrunk.
        small: (h, w, 3) that photo.
        photo: (H, W, 3) float32 in [0, 1].

    Returns:
        (H, W, K) float32.
    """
    alpha = layers.double().permute(2, 0, 1)  # (K, h, w)
    guide = small.double().permute(2, 0, 1)  # (3, h, w)
    mean = _box_mean(guide)
    products = _box_mean((guide[:, None] * guide).flatten(0, 1)).unflatten(0, (3, 3))
    covariance = products - mean[:, None] * mean
    unit = torch.eye(3, dtype=covariance.dtype, device=covariance.device)
    inverse = torch.linalg.inv_ex(covariance.permute(2, 3, 0, 1) + EPSILON * unit).inverse
    parts = []
    for plane in alpha:
        level = _box_mean(plane[None])[0]
        shared = _box_mean(guide * plane) - mean * level
        slopes = torch.einsum("hwij,jhw->ihw", inverse, shared)
        offset = level - (slopes * mean).sum(dim=0)
        means = _box_mean(torch.cat([slopes, offset[None]])).float().permute(1, 2, 0)
        enlarged = resize_linearly(means, photo.shape[:2])
        parts.append((enlarged[..., :3] * photo).sum(dim=2) + enlarged[..., 3])
    return torch.stack(parts, dim=2)


def _box_mean(planes: torch.Tensor) -> torch.Tensor:
    """Mean over the window of every pixel; at the border the planes are mirrored, edge included."""
    reach = WINDOW // 2
    for axis in (1, 2):
        first, last = (
            planes.narrow(axis, 0, reach),
            planes.narrow(axis, planes.shape[axis] - reach, reach),
        )
        planes = torch.cat([first.flip(axis), planes, last.flip(axis)], dim=axis)
    return functional.avg_pool2d(planes[None], WINDOW, stride=1)[0]
