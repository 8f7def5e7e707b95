"""The image gradient that the exponent of the relaxed sparsification grows with (Sec. 3.6)."""

from __future__ import annotations

import cv2
import numpy as np

from sss.spectral.stencil import bands
from sss.threads import map_threads

SMOOTHING = np.array([7, 71, 374, 1126, 2119, 2605, 2119, 1126, 374, 71, 7]) / 1e4
DERIVATIVE = np.array([1, 19, 142, 509, 963, 878, 0, -878, -963, -509, -142, -19, -1]) / 1e4
"""The released code's 13-tap pair of matched filters (Farid and Simoncelli, IEEE TIP 2004)."""


def gradient_magnitude(photo: np.ndarray) -> np.ndarray:
    """Length of the gradient over all colour channels, (H, W), per pixel of distance.

    Args:
        photo: (H, W, 3) float in [0, 1]; continued beyond its rim by its outermost pixels.
    """
    margin = len(DERIVATIVE) // 2
    padded = np.pad(photo, ((margin, margin), (margin, margin), (0, 0)), mode="edge")

    def slopes(rows: tuple[int, int]) -> np.ndarray:
        band = padded[rows[0] : rows[1] + 2 * margin]
        total = np.zeros((rows[1] - rows[0], photo.shape[1]), photo.dtype)
        for filters in ((DERIVATIVE, SMOOTHING), (SMOOTHING, DERIVATIVE)):
            slope = cv2.sepFilter2D(band, -1, *filters)[margin:-margin, margin:-margin]
            total += np.square(slope).sum(axis=2)
        return np.sqrt(total)

    return np.concatenate(map_threads(slopes, bands(photo.shape[0])))
