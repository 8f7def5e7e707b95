"""Linear interpolation as a matrix per axis: several of them in a row are one product.

A network that embeds cells interpolates them to pixels, cuts the padding off, and at each of its
scales resizes the result to the photo. Done one after the other, each step writes an embedding per
pixel to memory, which costs more than the network.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

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


def add_interpolated(rows: csr_array, columns: csr_array, cells: Tensor, result: Tensor) -> None:
    """Interpolate along both axes and add.

    Args:
        rows: (H, h).
        columns: (W, w).
        cells: (h, w, D).
        result: (H, W, D), to which ``rows · cells · columnsᵀ`` is added for each channel.
    """
    wide = cells.new_empty(cells.shape[0], columns.shape[0], cells.shape[2])  # (h, W, D)
    for begin, first, part in _blocks(columns, cells):
        near = cells[:, first : first + part.shape[1]]
        wide[:, begin : begin + len(part)] = torch.matmul(part, near)
    flat = wide.flatten(1)
    for begin, first, part in _blocks(rows, cells):
        block = result[begin : begin + len(part)].flatten(1)
        block.addmm_(part, flat[first : first + part.shape[1]])


def _blocks(matrix: csr_array, like: Tensor) -> list[tuple[int, int, Tensor]]:
    """Bands of a matrix: their first row, their first column, and what is not zero of them."""
    blocks = []
    for begin in range(0, matrix.shape[0], BLOCK):
        band = matrix[begin : begin + BLOCK]
        first, end = span(band)
        part = torch.from_numpy(band[:, first:end].toarray())
        blocks.append((begin, first, part.to(like.device, like.dtype)))
    return blocks
