"""Products with a photo's sparse Laplacian whose order of summation is fixed.

The sparse products of vendors' libraries may add up in another order each time.
"""

from __future__ import annotations

import numba
import numpy as np
import scipy.sparse as sp
import torch

from sss.spectral.solvers.dissection import REACH, far_pixels

NEAR = (2 * REACH + 1) ** 2
"""Pixels that the stencil couples a pixel to, itself included."""


class LaplacianProduct:
    """``L @ x`` on a device.

    Args:
        laplacian: Sparse (N, N): a stencil, and couplings between a few pixels, which make a dense
            matrix of their own.
        size: (H, W), N = H·W.
        device: Of the vectors.
    """

    def __init__(
        self, laplacian: sp.csr_array, size: tuple[int, int], device: torch.device | str = "cpu"
    ) -> None:
        kept = far_pixels(laplacian, size[1])
        pixels = laplacian.shape[0]
        slot = np.full(pixels, -1, np.int32)
        slot[kept] = np.arange(len(kept))
        columns, weights = np.zeros((NEAR, pixels), np.int64), np.zeros((NEAR, pixels))
        far = np.zeros((len(kept), len(kept)))
        data = laplacian.data.astype(np.float64, copy=False)
        _split(laplacian.indptr, laplacian.indices, data, size[1], slot, columns, weights, far)
        self._kept, self._columns, self._weights, self._far = (
            torch.from_numpy(array).to(device)
            for array in (kept.astype(np.int64), columns, weights, far)
        )

    def __matmul__(self, vectors: torch.Tensor) -> torch.Tensor:
        """(N, P) float64 to (N, P)."""
        product = torch.zeros_like(vectors)
        for column, weight in zip(self._columns, self._weights, strict=True):
            product.addcmul_(vectors[column], weight[:, None])
        product[self._kept] = product[self._kept] + self._far @ vectors[self._kept]
        return product


@numba.njit(cache=True, nogil=True)
def _split(
    pointers: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    width: int,
    slot: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
    far: np.ndarray,
) -> None:
    """Fill in what is near, one entry after the other, and what is far."""
    for row in range(len(pointers) - 1):
        near = 0
        for entry in range(pointers[row], pointers[row + 1]):
            column = indices[entry]
            down = abs(row // width - column // width)
            right = abs(row % width - column % width)
            if max(down, right) <= REACH:
                columns[near, row] = column
                weights[near, row] = values[entry]
                near += 1
            else:
                far[slot[row], slot[column]] += values[entry]
