"""Compiled loops of :class:`sss.spectral.refinement.StencilSystem`, each on a band of rows.

Layers are framed planes (K, H+4, W+4), the stencil is (13, H+4, W+4), all float32. Sums are added
up in double precision row by row, so bands give the same bits on any number of threads.
"""

from __future__ import annotations

import numba
import numpy as np

from sss.caches import choose_caches
from sss.spectral.stencil import AHEAD

SUM_WEIGHT = 100.0
"""Of the alphas' sum being one at each pixel (released code)."""

SUM = np.float32(SUM_WEIGHT)
OFFSETS = tuple((int(row), int(column)) for row, column in AHEAD)


@numba.njit(cache=choose_caches(), nogil=True, fastmath=True)
def exchange(
    to_zero: np.ndarray,
    to_one: np.ndarray,
    alpha: np.ndarray,
    start: np.ndarray,
    diagonal: np.ndarray,
    rhs: np.ndarray,
    residual: np.ndarray,
) -> float:
    """Put a round's diagonal and right-hand side in place, and update the residual to them.

    Returns:
        Squared norm of the right-hand side.
    """
    size = np.float64(0)
    for k in range(alpha.shape[0]):
        for row in range(alpha.shape[1]):
            here, held = alpha[k, row, 2:-2], start[k, row, 2:-2]
            own, wanted, left = diagonal[k, row, 2:-2], rhs[k, row, 2:-2], residual[k, row, 2:-2]
            low, high = to_zero[k, row], to_one[k, row]
            part = np.float32(0)
            for c in range(len(low)):
                weight = low[c] + high[c] + np.float32(1)
                target = high[c] + held[c] + SUM
                left[c] += (target - wanted[c]) - (weight - own[c]) * here[c]
                own[c] = weight
                wanted[c] = target
                part += target * target
            size += part
    return size


@numba.njit(cache=choose_caches(), nogil=True, fastmath=True)
def apply(
    stencil: np.ndarray,
    diagonal: np.ndarray,
    alpha: np.ndarray,
    applied: np.ndarray,
    first: int,
    end: int,
) -> float:
    """Product of the matrix with ``alpha``, into ``applied``; returns that of both."""
    count, width = alpha.shape[0], alpha.shape[2] - 4
    total = np.empty(width, np.float32)
    product = np.float64(0)
    for row in range(first + 2, end + 2):
        total[:] = 0
        for k in range(count):
            here = alpha[k, row, 2 : width + 2]
            for c in range(width):
                total[c] += here[c]
        for k in range(count):
            here = alpha[k, row, 2 : width + 2]
            out = applied[k, row, 2 : width + 2]
            own = diagonal[k, row, 2 : width + 2]
            middle = stencil[0, row, 2 : width + 2]
            for c in range(width):
                out[c] = (own[c] + middle[c]) * here[c] + SUM * total[c]
            for plane, (down, right) in enumerate(OFFSETS):
                ahead = stencil[plane + 1, row, 2 : width + 2]
                far = alpha[k, row + down, 2 + right : width + 2 + right]
                behind = stencil[plane + 1, row - down, 2 - right : width + 2 - right]
                near = alpha[k, row - down, 2 - right : width + 2 - right]
                for c in range(width):
                    out[c] += ahead[c] * far[c] + behind[c] * near[c]
            part = np.float32(0)
            for c in range(width):
                part += out[c] * here[c]
            product += part
    return float(product)


@numba.njit(cache=choose_caches(), nogil=True, fastmath=True)
def restart(
    rhs: np.ndarray, applied: np.ndarray, residual: np.ndarray, first: int, end: int
) -> float:
    """Residual ``rhs − applied``; returns the squared norm of the right-hand side."""
    size = np.float64(0)
    for k in range(rhs.shape[0]):
        for row in range(first + 2, end + 2):
            wanted, has, left = rhs[k, row, 2:-2], applied[k, row, 2:-2], residual[k, row, 2:-2]
            part = np.float32(0)
            for c in range(len(wanted)):
                left[c] = wanted[c] - has[c]
                part += wanted[c] * wanted[c]
            size += part
    return float(size)


@numba.njit(cache=choose_caches(), nogil=True, fastmath=True)
def advance(
    stencil: np.ndarray,
    diagonal: np.ndarray,
    alpha: np.ndarray,
    residual: np.ndarray,
    direction: np.ndarray,
    applied: np.ndarray,
    length: float,
    first: int,
    end: int,
) -> tuple[float, float]:
    """Step by ``length``, then precondition the residual into ``applied``.

    Returns:
        Product of residual and preconditioned residual; squared norm of the residual.
    """
    count, width = alpha.shape[0], alpha.shape[2] - 4
    inverses, sums = np.empty(width, np.float32), np.empty(width, np.float32)
    step = np.float32(length)
    product, rest = np.float64(0), np.float64(0)
    for row in range(first + 2, end + 2):
        middle = stencil[0, row, 2 : width + 2]
        inverses[:] = 0
        sums[:] = 0
        for k in range(count):
            own = diagonal[k, row, 2 : width + 2]
            out, left = applied[k, row, 2 : width + 2], residual[k, row, 2 : width + 2]
            here, along = alpha[k, row, 2 : width + 2], direction[k, row, 2 : width + 2]
            part = np.float32(0)
            for c in range(width):
                here[c] += step * along[c]
                left[c] -= step * out[c]
                part += left[c] * left[c]
                inverse = np.float32(1) / (own[c] + middle[c])
                inverses[c] += inverse
                out[c] = inverse * left[c]
                sums[c] += out[c]
            rest += part
        for c in range(width):
            sums[c] *= SUM / (1 + SUM * inverses[c])
        for k in range(count):
            own = diagonal[k, row, 2 : width + 2]
            out, left = applied[k, row, 2 : width + 2], residual[k, row, 2 : width + 2]
            part = np.float32(0)
            for c in range(width):
                out[c] -= sums[c] / (own[c] + middle[c])
                part += out[c] * left[c]
            product += part
    return float(product), float(rest)


@numba.njit(cache=choose_caches(), nogil=True, fastmath=True)
def turn(
    direction: np.ndarray, conditioned: np.ndarray, ratio: float, first: int, end: int
) -> float:
    """Next direction: the preconditioned residual plus ``ratio`` times the last direction."""
    factor = np.float32(ratio)
    for k in range(direction.shape[0]):
        for row in range(first + 2, end + 2):
            along, out = direction[k, row, 2:-2], conditioned[k, row, 2:-2]
            for c in range(len(along)):
                along[c] = out[c] + factor * along[c]
    return 0.0
