"""The matting Laplacian as a stencil: per pixel its couplings to the 24 pixels around it.

No index arrays and half the numbers, since the stencil is symmetric: one plane for the diagonal and
twelve for the couplings to the pixels ahead, those behind being the same numbers seen from the
other side. Planes and vectors have a frame of two zeros, so that loops need no special rim.
"""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np
import scipy.sparse as sp

from sss.caches import choose_caches
from sss.threads import map_threads

REACH = 2
"""Pixels, along each side, that the couplings of a 3×3 window span."""

MATTING_EPSILON = 1e-7
"""Regularisation of the colour covariance; divided by the window's 9 pixels."""

AHEAD = np.array(
    [(0, c) for c in range(1, 3)] + [(r, c) for r in range(1, 3) for c in range(-2, 3)]
)
"""Row and column offsets of the planes after the first."""

BAND_ROWS = 32
"""Rows that one thread works on at a time."""


def bands(height: int) -> Iterator[tuple[int, int]]:
    """First row and end of each band of a photo."""
    return ((row, min(row + BAND_ROWS, height)) for row in range(0, height, BAND_ROWS))


def framed(picture: np.ndarray) -> np.ndarray:
    """(H, W, C) to float32 planes (C, H+4, W+4) with a frame of zeros."""
    height, width, channels = picture.shape
    planes = np.zeros((channels, height + 2 * REACH, width + 2 * REACH), np.float32)
    planes[:, REACH:-REACH, REACH:-REACH] = np.moveaxis(picture, 2, 0)
    return planes


def frame_indices(pixels: np.ndarray, width: int) -> np.ndarray:
    """Flat indices in a photo of this width to those in a framed plane."""
    row, column = np.divmod(pixels, width)
    return (row + REACH) * (width + 2 * REACH) + column + REACH


def matting_stencil(photo: np.ndarray, epsilon: float = MATTING_EPSILON) -> np.ndarray:
    """Matting Laplacian of Levin et al. (TPAMI 2008).

    For every 3×3 window inside the photo with colour mean μ and covariance Σ, each two of its
    pixels are coupled by ``(1 + (I_i − μ)ᵀ(Σ + ε/9·1)⁻¹(I_j − μ))/9``.

    Args:
        photo: (H, W, 3) float in [0, 1], H and W at least 3.
        epsilon: Regularisation ε.

    Returns:
        (13, H+4, W+4) in the photo's precision: the diagonal, then the Laplacian's entries (the
        couplings, negated) for the offsets ``AHEAD``. Computed in double precision.

    Raises:
        ValueError: The photo is smaller than a window.
    """
    height, width = photo.shape[:2]
    if min(height, width) < 3:
        raise ValueError(f"photo is {height}×{width}, a matting window needs 3×3 or more")
    photo = np.ascontiguousarray(photo)
    stencil = np.zeros((len(AHEAD) + 1, height + 2 * REACH, width + 2 * REACH), photo.dtype)
    map_threads(lambda band: _add_windows(stencil, photo, epsilon / 9, *band), bands(height))
    return stencil


def stencil_matrix(stencil: np.ndarray) -> sp.csr_array:
    """Symmetric sparse (N, N) matrix of a framed (13, H+4, W+4) stencil, in double precision."""
    height, width = stencil.shape[1] - 2 * REACH, stencil.shape[2] - 2 * REACH
    # Rows (columns) that the pixels of a row (column) couple to: fewer near the rim.
    rows, columns = (
        np.minimum(np.arange(side), REACH) + np.minimum(np.arange(side)[::-1], REACH) + 1
        for side in (height, width)
    )
    pointers = np.concatenate([[0], np.outer(rows, columns).cumsum()]).astype(np.int32)
    indices, values = np.empty(pointers[-1], np.int32), np.empty(pointers[-1])
    _fill_rows(stencil, pointers, indices, values)
    return sp.csr_array((values, indices, pointers), shape=(height * width, height * width))


@numba.njit(cache=choose_caches(), nogil=True)
def _fill_rows(
    stencil: np.ndarray, pointers: np.ndarray, indices: np.ndarray, values: np.ndarray
) -> None:
    height, width = stencil.shape[1] - 4, stencil.shape[2] - 4
    for row in range(height):
        for column in range(width):
            entry = pointers[row * width + column]
            for down in range(-2, 3):
                for right in range(-2, 3):
                    r, c = row + down, column + right
                    if r < 0 or c < 0 or r >= height or c >= width:
                        continue
                    indices[entry] = r * width + c
                    if 5 * down + right >= 0:
                        plane = right if down == 0 else 5 * down + right
                        values[entry] = stencil[plane, row + 2, column + 2]
                    else:
                        plane = -right if down == 0 else -5 * down - right
                        values[entry] = stencil[plane, r + 2, c + 2]
                    entry += 1


@numba.njit(cache=choose_caches(), nogil=True)
def _add_windows(
    stencil: np.ndarray, photo: np.ndarray, regularisation: float, first: int, end: int
) -> None:
    """Fill rows ``first`` to ``end`` in; windows that reach beyond are worked out twice."""
    height, width, _ = photo.shape
    deviation, whitened = np.empty((9, 3)), np.empty((9, 3))
    for row in range(max(first - 1, 1), min(end + 1, height - 1)):
        for column in range(1, width - 1):
            for channel in range(3):
                mean = 0.0
                for i in range(9):
                    deviation[i, channel] = photo[row + i // 3 - 1, column + i % 3 - 1, channel]
                    mean += deviation[i, channel]
                for i in range(9):
                    deviation[i, channel] -= mean / 9
            xx = xy = xz = yy = yz = zz = 0.0
            for i in range(9):
                x, y, z = deviation[i, 0], deviation[i, 1], deviation[i, 2]
                xx += x * x
                xy += x * y
                xz += x * z
                yy += y * y
                yz += y * z
                zz += z * z
            xx, yy, zz = xx / 9 + regularisation, yy / 9 + regularisation, zz / 9 + regularisation
            xy, xz, yz = xy / 9, xz / 9, yz / 9
            # Cholesky's decomposition L·D·Lᵀ: cofactors would lose all digits where colours lie on
            # a line, as greys do.
            below_y, below_z = xy / xx, xz / xx
            yy -= below_y * xy
            yz -= below_y * xz
            last = yz / yy
            zz -= below_z * xz + last * yz
            for i in range(9):
                x = deviation[i, 0]
                y = deviation[i, 1] - below_y * x
                z = (deviation[i, 2] - below_z * x - last * y) / zz
                y = y / yy - last * z
                whitened[i, 0] = x / xx - below_y * y - below_z * z
                whitened[i, 1] = y
                whitened[i, 2] = z
            for i in range(9):
                r, s = row + i // 3 - 1, column + i % 3 - 1
                if r < first or r >= end:
                    continue
                total = 0.0
                for j in range(9):
                    coupling = (
                        1
                        + whitened[i, 0] * deviation[j, 0]
                        + whitened[i, 1] * deviation[j, 1]
                        + whitened[i, 2] * deviation[j, 2]
                    ) / 9
                    if j != i:
                        total += coupling
                    if j > i:
                        down, right = j // 3 - i // 3, j % 3 - i % 3
                        plane = right if down == 0 else 5 * down + right
                        stencil[plane, r + 2, s + 2] -= coupling
                stencil[0, r + 2, s + 2] += total
