"""Class maps that follow the borders of soft layers."""

from __future__ import annotations

import numpy as np

SPLIT_BELOW = 0.6
"""A layer of which no class has this share of the map stays split between classes."""


def refine_by_layers(
    maps: np.ndarray, alpha: np.ndarray, split_below: float = SPLIT_BELOW
) -> np.ndarray:
    """Give each soft layer the class that its alphas give the most of the map.

    Where a class has at least ``split_below`` of a layer, ``Σ_p α_l(p) M_c(p) / Σ_p α_l(p)`` of
    maps that sum to one, the whole layer is that class's, so that the class ends where the layer
    ends. Else the layer holds several things: it keeps its own part of the map.

    Args:
        maps: (h, w, C) class maps with the background among them, not negative; they are scaled
            to sum to one in each pixel.
        alpha: (h, w, L) layers, in [0, 1], summing to one in each pixel.
        split_below: Between 0 (each layer is one class's) and above 1 (nothing changes).

    Returns:
        (h, w, C) float32, summing to one in each pixel.
    """
    shares = normalised(maps)
    alpha = np.asarray(alpha, np.float64)
    area = np.maximum(alpha.sum(axis=(0, 1)), 1e-12)  # (L,)
    of_layers = np.einsum("yxl,yxc->lc", alpha, shares) / area[:, None]
    best = of_layers.argmax(axis=1)
    whole = of_layers.max(axis=1) >= split_below
    refined = shares * alpha[..., ~whole].sum(axis=2, keepdims=True)
    for layer in np.flatnonzero(whole):
        refined[..., best[layer]] += alpha[..., layer]
    return normalised(refined).astype(np.float32)


def normalised(maps: np.ndarray) -> np.ndarray:
    """(h, w, C) maps scaled to sum to one in each pixel, float64; all equal where all are zero."""
    maps = np.asarray(maps, np.float64)
    total = maps.sum(axis=2, keepdims=True)
    return np.where(total > 0, maps / np.where(total > 0, total, 1), 1 / maps.shape[2])
