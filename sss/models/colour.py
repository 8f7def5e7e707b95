"""Color and place as the embedding of a photo: what every network should beat."""

from __future__ import annotations

import numpy as np


def lab_embedding(photo: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 photo to its CIE Lab colour, (H, W, 3) float32."""
    from skimage.color import rgb2lab

    return rgb2lab(photo).astype(np.float32)


def with_position(embedding: np.ndarray) -> np.ndarray:
    """An embedding and the pixel's place, which contribute equally to the squared distances.

    Args:
        embedding: (H, W, D).

    Returns:
        (H, W, D + 2), both parts scaled to a summed variance of one; features without any
        variation stay as they are.
    """
    place = np.moveaxis(np.indices(embedding.shape[:2]), 0, -1).astype(np.float32)  # (H, W, 2)
    # Twice the summed variance is the mean squared distance of two random pixels.
    parts = []
    for values in (embedding, place):
        scale = np.sqrt(values.reshape(-1, values.shape[-1]).var(0).sum())
        parts.append(values / scale if scale > 0 else values)
    return np.concatenate(parts, axis=-1)
