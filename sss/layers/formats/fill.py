"""Colours beyond a layer's edges, so that none of its hidden pixels is black.

Pull and push (Gortler et al., *The Lumigraph*, SIGGRAPH 1996, Sec. 3.4): colours are averaged to
ever coarser grids, weighted by alpha, and what a finer grid lacks comes back from the coarser one.
"""

from __future__ import annotations

import cv2
import numpy as np

REACH = 8
"""Pixels beyond the edge that are filled smoothly where a layer is not needed everywhere."""

_TINY = np.float32(1e-12)


def extended_colours(plane: np.ndarray) -> np.ndarray:
    """A layer's colours; where it is absent, its surroundings go on smoothly.

    Args:
        plane: (H, W, 4) float32, premultiplied.

    Returns:
        (H, W, 3) float32, not premultiplied: the layer's own colours as far as alpha goes, else
        those around. All zero if alpha is so everywhere.
    """
    pulled = [plane]
    while max(pulled[-1].shape[:2]) > 1:
        pulled.append(_halved(pulled[-1]))
    top = pulled.pop()
    colours = top[..., :3] / np.maximum(top[..., 3:], _TINY)
    while pulled:
        level = pulled.pop()
        height, width = level.shape[:2]
        colours = cv2.resize(colours, (width, height)) * (1 - level[..., 3:]) + level[..., :3]
    return colours


def edge_colours(plane: np.ndarray) -> np.ndarray:
    """As :func:`extended_colours` up to ``REACH`` pixels from the layer, then its mean colour.

    One colour takes no room in a file, and programs that interpolate never look further.
    """
    colours = extended_colours(plane)
    kernel = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    near = cv2.dilate((plane[..., 3] > 0).astype(np.uint8), kernel)
    total = plane.sum(axis=(0, 1), dtype=np.float64)
    colours[near == 0] = total[:3] / max(total[3], _TINY)
    return colours


def _halved(level: np.ndarray) -> np.ndarray:
    """Sums of 2 × 2 pixels, or their means where they are more than one pixel's worth."""
    height, width = level.shape[:2]
    half = cv2.resize(level, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    return half * np.minimum(4, 1 / np.maximum(half[..., 3:], _TINY))
