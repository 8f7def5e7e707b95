"""Pixels that stand for all pixels of a photo."""

from __future__ import annotations

import numpy as np


def sample_lattice_pixels(size: tuple[int, int], count: int, seed: int = 0) -> np.ndarray:
    """One random pixel from each cell of a lattice.

    A few thousand unknowns do not need every pixel's equation. The cells spread the pixels more
    evenly than chance, and photos of one shape and any size get the same places.

    Args:
        size: (H, W).
        count: Cells, about; all pixels if there are no more.
        seed: Of the places inside the cells.

    Returns:
        Sorted flat indices.
    """
    height, width = size
    if count >= height * width:
        return np.arange(height * width)
    side = (height * width / count) ** 0.5
    rows = min(max(round(height / side), 1), height)
    columns = min(max(round(count / rows), 1), width)
    if columns == 1:
        rows = min(count, height)
    within = np.random.default_rng(seed).random((2, rows, columns))
    row = ((np.arange(rows)[:, None] + within[0]) * height / rows).astype(int)
    column = ((np.arange(columns) + within[1]) * width / columns).astype(int)
    return np.unique(row * width + column)
