"""What lies behind: pictures continued to where they were hidden."""

from __future__ import annotations

import cv2
import numpy as np

_TRUST = np.float32(1e-3)
"""Weight of the surroundings against a pixel of its own, per pixel that is hidden."""

_SMALLEST = 2

REACH = 8
"""Pixels beyond the edge that are filled smoothly where a layer is not needed everywhere."""

_RIM = np.ones((5, 5), np.uint8)
"""Around what is hidden: colours there hold a little of what hides it."""


def continued_behind(planes: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Layers as they would be without what lies in front of them.

    Args:
        planes: (K, H, W, 4) float32, premultiplied.
        alpha: (H, W) in [0, 1], the sum of theirs.

    Returns:
        (K, H, W, 4), whose alphas sum to one.
    """
    surely = cv2.erode(alpha, _RIM) ** 2
    scale = np.divide(surely, alpha, out=np.zeros_like(alpha), where=alpha > 0)
    return fill(planes * scale[..., None], surely)


def extended_colours(plane: np.ndarray) -> np.ndarray:
    """A layer's colours; where it is faint or absent, its surroundings go on smoothly.

    Args:
        plane: (H, W, 4) float32, premultiplied.

    Returns:
        (H, W, 3) float32, not premultiplied. All zero if alpha is so everywhere.
    """
    alpha = plane[..., 3]
    filled: np.ndarray = fill(plane[None, ..., :3] * alpha[..., None], alpha**2)[0]
    return filled


def edge_colours(plane: np.ndarray) -> np.ndarray:
    """As :func:`extended_colours` up to ``REACH`` pixels from the layer, then its mean colour.

    One colour takes no room in a file, and programs that interpolate never look further.
    """
    colours = extended_colours(plane)
    kernel = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    near = cv2.dilate((plane[..., 3] > 0).astype(np.uint8), kernel)
    total = plane.sum(axis=(0, 1), dtype=np.float64)
    colours[near == 0] = total[:3] / max(total[3], 1e-12)
    return colours


def fill(planes: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Continue pictures smoothly to where they are absent.

    Pull and push over a pyramid (Gortler, Grzeszczuk, Szeliski, Cohen, *The Lumigraph*, SIGGRAPH
    1996, Sec. 3.4): what a pixel lacks comes from the mean of its surroundings, the next ones
    first.

    Args:
        planes: (K, H, W, C) float32, already multiplied by ``weight``.
        weight: (H, W) float32 in [0, 1]: how much of each pixel is there; the same for all planes.

    Returns:
        (K, H, W, C): divided by ``weight`` where there is any. Planes that add up to ``weight``
        add up to one.
    """
    filled = np.empty_like(planes)
    for number, plane in enumerate(planes):
        filled[number] = _filled(np.concatenate([plane, weight[..., None]], axis=2))
    return filled


def _filled(level: np.ndarray) -> np.ndarray:
    """(h, w, C + 1), the last channel being the weight → (h, w, C)."""
    height, width, _ = level.shape
    if min(height, width) <= _SMALLEST:
        total = level.sum(axis=(0, 1), keepdims=True)
        around = total[..., :-1] / np.maximum(total[..., -1:], np.float32(1e-12))
    else:
        half = _resized(level, -(-height // 2), -(-width // 2), cv2.INTER_AREA)
        around = _resized(_filled(half), height, width, cv2.INTER_LINEAR)
    weight = level[..., -1:]
    trust = _TRUST * (1 - weight)
    return (level[..., :-1] + trust * around) / (weight + trust + np.float32(1e-12))


def _resized(picture: np.ndarray, height: int, width: int, how: int) -> np.ndarray:
    # OpenCV resizes four channels at a time.
    parts = [
        cv2.resize(
            np.ascontiguousarray(picture[..., start : start + 4]),
            (width, height),
            interpolation=how,
        ).reshape(height, width, -1)
        for start in range(0, picture.shape[2], 4)
    ]
    return np.concatenate(parts, axis=2)
