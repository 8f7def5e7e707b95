"""Layers of a shrunk photo at the photo's own size.

Where colour tells the layers apart, alpha is nearly an affine function of it in a small window:
what the matting Laplacian rests on (Levin et al. 2008). So that function is found in every window
of the shrunk photo, and applied to the colours of all pixels of the photo itself (He and Sun, *Fast
Guided Filter*, arXiv 1505.00996, 2015). A hair of the photo then has its own alpha, while most of
the work is on the shrunk one.
"""

from __future__ import annotations

import cv2
import numpy as np

from sss.spectral.guided_filter import box_mean, inverse_covariance
from sss.threads import map_threads

WINDOW = 3
"""Side of the windows in pixels of the shrunk photo: the matting Laplacian's. True mattes of
alphamatting.com shrunk fourfold come back with 0.24 to 0.59 of the error, where they are soft, that
linear interpolation makes; with 5 it is a tenth more."""

EPSILON = 1e-4
"""Regularisation of the slopes: variance of colour, in [0, 1], that counts as none."""


def enlarge_along_photo(layers: np.ndarray, small: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Enlarge layers so that their edges are the photo's.

    Args:
        layers: (h, w, K) float32, of the photo shrunk.
        small: (h, w, 3) that photo.
        photo: (H, W, 3) float32 in [0, 1].

    Returns:
        (H, W, K) float32, summing to one where ``layers`` do; may leave [0, 1] by more than they.
    """
    planes = [np.ascontiguousarray(small[..., i], np.float64) for i in range(3)]
    mean = np.stack([box_mean(plane, WINDOW) for plane in planes], axis=1)  # (h, 3, w)
    guide = np.stack(planes, axis=1)
    inverse = inverse_covariance(guide, mean, WINDOW, EPSILON)
    result = np.empty((*photo.shape[:2], layers.shape[2]), np.float32)

    def enlarge(number: int) -> None:
        slopes = _mean_slopes(layers[..., number].astype(np.float64), guide, mean, inverse)
        total = _resized(slopes[3], photo.shape[:2])
        for channel in range(3):
            part = _resized(slopes[channel], photo.shape[:2])
            part *= photo[..., channel]
            total += part
        result[..., number] = total

    map_threads(enlarge, range(layers.shape[2]))
    return result


def _mean_slopes(
    alpha: np.ndarray, guide: np.ndarray, mean: np.ndarray, inverse: np.ndarray
) -> list[np.ndarray]:
    """On red, green and blue, and the offset: each (h, w), the mean over a pixel's windows."""
    level = box_mean(alpha, WINDOW)
    shared = [box_mean(guide[:, i] * alpha, WINDOW) - mean[:, i] * level for i in range(3)]
    # Entries 00, 01, 02, 11, 12, 22 of a symmetric matrix.
    slopes = [
        sum(inverse[:, entry] * shared[j] for j, entry in enumerate(row))
        for row in ((0, 1, 2), (1, 3, 4), (2, 4, 5))
    ]
    offset = level - sum(slope * mean[:, i] for i, slope in enumerate(slopes))
    return [box_mean(plane, WINDOW).astype(np.float32) for plane in (*slopes, offset)]


def _resized(plane: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    resized: np.ndarray = cv2.resize(plane, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return resized
