"""Linear interpolation as a matrix per axis: several of them in a row are one product.

A network that embeds cells interpolates them to pixels, cuts the padding off, and at each of its
scales resizes the result to the photo. Done one after the other, each step writes an embedding per
pixel to memory, which costs more than the network.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from sss.threads import map_threads, slices

BLOCK = 32
"""Rows of a product that are made at a time from the few entries that they need."""


def interpolation(inputs: int, outputs: int) -> csr_array:
    """(outputs, inputs) matrix of linear interpolation, over the area of a pixel where it shrinks.

    The same as torch's ``interpolate`` with ``mode="bilinear"``, ``align_corners=False`` and, where
    it shrinks, ``antialias=True``.
    """
    scale = inputs / outputs
    reach = max(scale, 1.0)
    centres = (np.arange(outputs) + 0.5) * scale
    first = np.floor(centres - reach).astype(int)
    taps = first[:, None] + np.arange(int(2 * reach) + 2)  # (outputs, T)
    weights = 1 - np.abs(taps + 0.5 - centres[:, None]) / reach
    weights[(weights < 0) | (taps < 0) | (taps >= inputs)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    rows, used = np.nonzero(weights)
    return csr_array((weights[rows, used], (rows, taps[rows, used])), shape=(outputs, inputs))


def span(matrix: csr_array) -> tuple[int, int]:
    """First column that a matrix uses, and the one after the last."""
    return int(matrix.indices.min()), int(matrix.indices.max()) + 1


def add_interpolated(
    rows: csr_array, columns: csr_array, cells: np.ndarray, result: np.ndarray
) -> None:
    """Interpolate along both axes and add, on several threads.

    Args:
        rows: (H, h).
        columns: (W, w).
        cells: (h, w, D) float32.
        result: (H, W, D) float32, to which ``rows · cells · columnsᵀ`` is added for each channel.
    """
    across = _bands(columns)

    def add(band: tuple[slice, slice, np.ndarray]) -> None:
        target, near, weights = band
        wide = np.empty((near.stop - near.start, len(result[0]), cells.shape[2]), np.float32)
        for part, beside, mix in across:
            wide[:, part] = mix @ cells[near, beside]
        flat = weights @ wide.reshape(len(wide), -1)
        result[target] += flat.reshape(result[target].shape)

    map_threads(add, _bands(rows))


def _bands(matrix: csr_array) -> list[tuple[slice, slice, np.ndarray]]:
    """Bands of a matrix: their rows, the columns they use, and what stands there, dense."""
    bands = []
    for rows in slices(matrix.shape[0], BLOCK):
        band = matrix[rows]
        first, end = span(band)
        bands.append((rows, slice(first, end), band[:, first:end].toarray().astype(np.float32)))
    return bands
