"""Blurs of premultiplied pictures: a colour counts by its alpha, so none leaks from elsewhere."""

from __future__ import annotations

import math

import cv2
import numpy as np

from sss.editing.oklab import from_linear, to_linear

_NO_ALPHA = np.float32(1e-6)
_CELL = 8
"""Samples per pixel and side that draw a kernel: its rim is smooth."""


def gaussian(plane: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian.

    Args:
        plane: (H, W, 4) premultiplied.
        sigma: Standard deviation in pixels.
    """
    return cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def lens(plane: np.ndarray, radius: float) -> np.ndarray:
    """Blur as a lens out of focus does: by a disc, in linear light, so that lights become discs.

    Args:
        plane: (H, W, 4) premultiplied.
        radius: Of the disc, in pixels.
    """
    return _filtered(plane, disc_kernel(radius))


def motion(plane: np.ndarray, length: float, angle: float) -> np.ndarray:
    """Blur along a line, in linear light, as a camera that moves.

    Args:
        plane: (H, W, 4) premultiplied.
        length: Of the line, in pixels.
        angle: Of the line in degrees, anticlockwise from the horizontal.
    """
    return _filtered(plane, line_kernel(length, angle))


def disc_kernel(radius: float) -> np.ndarray:
    """(n, n) float32 that sums to one: a disc with a smooth rim."""
    reach = math.ceil(radius)
    offsets = _offsets(reach)
    inside = offsets[:, None] ** 2 + offsets**2 <= radius**2
    return _kernel(inside, reach)


def line_kernel(length: float, angle: float) -> np.ndarray:
    """(n, n) float32 that sums to one: a line a pixel wide."""
    reach = math.ceil(length / 2 + 0.5)
    offsets = _offsets(reach)
    turn = math.radians(angle)
    along = math.cos(turn) * offsets - math.sin(turn) * offsets[:, None]  # rows count downwards
    across = math.sin(turn) * offsets + math.cos(turn) * offsets[:, None]
    return _kernel((abs(along) <= max(length, 1) / 2) & (abs(across) <= 0.5), reach)


def _offsets(reach: int) -> np.ndarray:
    """Of the samples from a kernel's middle."""
    count = (2 * reach + 1) * _CELL
    return (np.arange(count) + 0.5) / _CELL - reach - 0.5


def _kernel(inside: np.ndarray, reach: int) -> np.ndarray:
    side = 2 * reach + 1
    cells = inside.reshape(side, _CELL, side, _CELL).sum(axis=(1, 3)).astype(np.float32)
    return cells / cells.sum()


def _filtered(plane: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    alpha = plane[..., 3:]
    colours = np.divide(plane[..., :3], alpha, out=np.zeros_like(plane[..., :3]), where=alpha > 0)
    light = np.concatenate([to_linear(colours) * alpha, alpha], axis=2)
    light = cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    # Long kernels are applied by Fourier transforms, which leave some dust.
    alpha = np.where(light[..., 3:] > _NO_ALPHA, light[..., 3:].clip(0, 1), 0)
    colours = np.divide(light[..., :3], alpha, out=np.zeros_like(colours), where=alpha > 0)
    return np.concatenate([from_linear(colours) * alpha, alpha], axis=2)
