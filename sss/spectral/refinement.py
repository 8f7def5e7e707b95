"""Relaxed sparsification: grouped layers to final ones (Aksoy et al. 2018, Sec. 3.6).

The layers leave the span of the eigenvectors: each pixel's alphas are pulled to 0 or 1 while the
Laplacian keeps them smooth along the photo's structures. Reweighted least squares as in the
constrained step, on all pixels at once, by conjugate gradients.

The matting Laplacian is a stencil, in single precision, and is worked on in bands of rows. The
semantic and colour affinities, at most 0.01 each and at one pixel in sixty, can be left out: the
mean alpha moves by 5e-5 and single pixels by up to 0.04.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numba
import numpy as np
import scipy.sparse as sp

from sss.spectral.solvers.dissection import REACH
from sss.spectral.stencil import AHEAD, bands, framed, framed_index
from sss.threads import map_threads

SPARSITY = 0.9
"""Exponent of the sparsity energy where the photo is flat."""

GRADIENT_LIMIT = 0.1
"""The exponent grows with the image gradient, by this much at most: soft edges may stay soft."""

SUM_WEIGHT = 100.0
"""Of the alphas' sum being one at each pixel."""

LOW, HIGH = 0.1, 0.9
"""Start alphas below and above these become 0 and 1."""

REWEIGHTING_FLOOR = 0.01
ITERATIONS = 20
TOLERANCE = 1e-6
"""Of the conjugate gradients: the residual's norm, relative to that of the right-hand side."""

LOOSE_TOLERANCE = 1e-4
"""Enough for the reweighted rounds, which start from each other, if the last solve is exact: 2.5
times faster, the strongest layer of 1 pixel in 5000 changes."""

MAXIMUM_CG_STEPS = 500

SMOOTHING = np.array([7, 71, 374, 1126, 2119, 2605, 2119, 1126, 374, 71, 7]) / 1e4
DERIVATIVE = np.array([1, 19, 142, 509, 963, 878, 0, -878, -963, -509, -142, -19, -1]) / 1e4
"""The released code's 13-tap pair of matched filters (Farid and Simoncelli, IEEE TIP 2004)."""

OFFSETS = tuple((int(row), int(column)) for row, column in AHEAD)
INNER = slice(REACH, -REACH)


def relaxed_layers(
    stencil: np.ndarray,
    layers: np.ndarray,
    gradient: np.ndarray,
    progress: Callable[[float], None] | None = None,
    tolerance: float = TOLERANCE,
    links: sp.csr_array | None = None,
) -> np.ndarray:
    """Sparsify layers at full size.

    Args:
        stencil: (13, H+4, W+4) float32, see :func:`sss.spectral.stencil.matting_stencil`.
        layers: (H, W, K) grouped layers, summing to about one.
        gradient: (H, W) image gradient, see :func:`gradient_magnitude`.
        progress: Called with the finished share, 0 to 1.
        tolerance: Of the reweighted rounds; the last solve is to ``TOLERANCE`` in any case.
        links: Sparse (N, N) Laplacian of further couplings between a few pixels.

    Returns:
        (H, W, K) float32, summing to one to about 1e-5. As in the reference nothing clips: values
        may leave [0, 1] by about 0.1.
    """
    if layers.shape[2] == 1:
        return np.ones(layers.shape, np.float32)
    system = LayerSystem(stencil, threshold_layers(layers), links)
    start = system.alpha.copy()
    exponent = (SPARSITY + np.minimum(gradient, GRADIENT_LIMIT) - 2).astype(np.float32)
    # In single precision, the rounding of twenty rounds adds up to about the strict tolerance.
    carried = tolerance > TOLERANCE
    for iteration in range(ITERATIONS):
        system.reweight(start, exponent)
        system.solve(tolerance, carried and iteration > 0)
        if progress:
            progress((iteration + 1) / (ITERATIONS + 1))
    # The last solve has no sparsity and stays near what the others found: it undoes the plateau
    # at 0.99 that the floor of the reweighting leaves.
    system.diagonal[:] = 1
    np.add(system.alpha, SUM_WEIGHT, out=system.side)
    system.solve(TOLERANCE)
    if progress:
        progress(1.0)
    return np.moveaxis(system.alpha[:, INNER, INNER], 0, 2)


class LayerSystem:
    """``(L + 100·11ᵀ + diag) α = side`` for all layers together, solved by preconditioned CG.

    The layers of a pixel are coupled by the sum-to-one term alone. The preconditioner inverts
    each pixel's K×K block (diagonal plus ``100·11ᵀ``) by Sherman–Morrison; the reference does
    without one and needs five times the steps.

    Args:
        stencil: See :func:`relaxed_layers`; float32.
        layers: (H, W, K) the first guess.
        links: See :func:`relaxed_layers`.

    Attributes:
        alpha: (K, H+4, W+4) the solution so far.
        diagonal: The same shape, positive.
        side: The same shape.
        steps: Products with the matrix so far.
    """

    def __init__(
        self, stencil: np.ndarray, layers: np.ndarray, links: sp.csr_array | None = None
    ) -> None:
        self.stencil = stencil
        self.alpha = framed(layers)
        self.height = layers.shape[0]
        zeros = [np.zeros_like(self.alpha) for _ in range(5)]
        self.diagonal, self.side, self._residual, self._direction, self._applied = zeros
        self._size = 0.0  # of the side, squared
        self.steps = 0
        self._linked = np.empty(0, np.intp)
        if links is not None:
            self._linked = np.flatnonzero(np.diff(links.indptr))
            self._links = links[self._linked][:, self._linked].astype(np.float32)
            self._linked = framed_index(self._linked, layers.shape[1])

    def reweight(self, start: np.ndarray, exponent: np.ndarray) -> None:
        """Pull ``alpha`` to 0 and 1 as the sparsity at its present values does.

        Args:
            start: Like ``alpha``, from which the layers are not to stray.
            exponent: (H, W) of the sparsity energy's second derivative.
        """
        self._size = self._sum(lambda *rows: _reweight(self, start, exponent, *rows))

    def solve(self, tolerance: float, carried: bool = False) -> None:
        """Improve ``alpha`` until the residual's norm is ``tolerance`` times that of ``side``.

        Args:
            tolerance: As above.
            carried: Trust the residual of the last solve, which :meth:`reweight` keeps up to date,
                instead of working it out, if nothing else has changed ``diagonal`` or ``side``.
        """
        residual, applied, direction = self._residual, self._applied, self._direction
        if not carried:
            self._apply(self.alpha)
            self._size = self._sum(lambda *rows: _begin(self.side, applied, residual, *rows))
        previous, length = np.inf, 0.0  # the first direction has nothing of the last solve's
        for _ in range(MAXIMUM_CG_STEPS):
            current, rest = self._sum(lambda *rows: self._advance(length, *rows))  # noqa: B023
            if rest <= tolerance**2 * self._size:
                break
            ratio = current / previous
            self._sum(lambda *rows: _turn(direction, applied, ratio, *rows))  # noqa: B023
            length = current / self._apply(direction)
            previous = current

    def _advance(self, length: float, first: int, end: int) -> tuple[float, float]:
        arrays = self.alpha, self._residual, self._direction, self._applied
        return _advance(self.stencil, self.diagonal, *arrays, length, first, end)

    def _apply(self, alpha: np.ndarray) -> float:
        """Product of the matrix with ``alpha``; returns that of both."""
        product = self._sum(
            lambda *rows: _apply(self.stencil, self.diagonal, alpha, self._applied, *rows)
        )
        self.steps += 1
        if len(self._linked):
            ends = alpha.reshape(len(alpha), -1)[:, self._linked]
            passed = (self._links @ ends.T).T
            self._applied.reshape(len(alpha), -1)[:, self._linked] += passed
            product += np.vdot(ends, passed)
        return float(product)

    def _sum(self, function: Callable[[int, int], float | tuple[float, ...]]) -> Any:
        """Sum of what ``function`` gives for every band of rows, in their order."""
        return np.sum(map_threads(lambda band: function(*band), bands(self.height)), axis=0)


def _reweight(
    system: LayerSystem, start: np.ndarray, exponent: np.ndarray, first: int, end: int
) -> float:
    """A band's part of :meth:`LayerSystem.reweight`, and of the side's square."""
    rows = slice(first + REACH, end + REACH)
    alpha = system.alpha[:, rows, INNER]
    to_zero = sparsity_weight(alpha, exponent[first:end])
    to_one = sparsity_weight(alpha - 1, exponent[first:end])
    parts = (system.alpha, start, system.diagonal, system.side, system._residual)
    return float(_exchange(to_zero, to_one, *(part[:, rows] for part in parts)))


@numba.njit(cache=True, nogil=True, fastmath=True)
def _exchange(
    to_zero: np.ndarray,
    to_one: np.ndarray,
    alpha: np.ndarray,
    start: np.ndarray,
    diagonal: np.ndarray,
    side: np.ndarray,
    residual: np.ndarray,
) -> float:
    """New diagonal and side in the place of the old, and the residual that these leave."""
    size = np.float64(0)
    for k in range(alpha.shape[0]):
        for row in range(alpha.shape[1]):
            here, held = alpha[k, row, 2:-2], start[k, row, 2:-2]
            own, wanted, left = diagonal[k, row, 2:-2], side[k, row, 2:-2], residual[k, row, 2:-2]
            low, high = to_zero[k, row], to_one[k, row]
            part = np.float32(0)
            for c in range(len(low)):
                weight = low[c] + high[c] + np.float32(1)
                target = high[c] + held[c] + np.float32(100)
                left[c] += (target - wanted[c]) - (weight - own[c]) * here[c]
                own[c] = weight
                wanted[c] = target
                part += target * target
            size += part
    return size


@numba.njit(cache=True, nogil=True, fastmath=True)
def _apply(
    stencil: np.ndarray,
    diagonal: np.ndarray,
    alpha: np.ndarray,
    applied: np.ndarray,
    first: int,
    end: int,
) -> float:
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
                out[c] = (own[c] + middle[c]) * here[c] + np.float32(100) * total[c]
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


@numba.njit(cache=True, nogil=True, fastmath=True)
def _begin(
    side: np.ndarray, applied: np.ndarray, residual: np.ndarray, first: int, end: int
) -> float:
    size = np.float64(0)
    for k in range(side.shape[0]):
        for row in range(first + 2, end + 2):
            wanted, has, left = side[k, row, 2:-2], applied[k, row, 2:-2], residual[k, row, 2:-2]
            part = np.float32(0)
            for c in range(len(wanted)):
                left[c] = wanted[c] - has[c]
                part += wanted[c] * wanted[c]
            size += part
    return float(size)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _advance(
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
            sums[c] *= np.float32(100) / (1 + np.float32(100) * inverses[c])
        for k in range(count):
            own = diagonal[k, row, 2 : width + 2]
            out, left = applied[k, row, 2 : width + 2], residual[k, row, 2 : width + 2]
            part = np.float32(0)
            for c in range(width):
                out[c] -= sums[c] / (own[c] + middle[c])
                part += out[c] * left[c]
            product += part
    return float(product), float(rest)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _turn(
    direction: np.ndarray, conditioned: np.ndarray, ratio: float, first: int, end: int
) -> float:
    share = np.float32(ratio)
    for k in range(direction.shape[0]):
        for row in range(first + 2, end + 2):
            along, out = direction[k, row, 2:-2], conditioned[k, row, 2:-2]
            for c in range(len(along)):
                along[c] = out[c] + share * along[c]
    return 0.0


def threshold_layers(alpha: np.ndarray) -> np.ndarray:
    """Set nearly empty alphas (..., K) to 0 and nearly full ones to 1, then scale to sum one."""
    snapped = np.where(alpha < LOW, 0.0, np.where(alpha > HIGH, 1.0, alpha))
    total = snapped.sum(axis=-1, keepdims=True)
    # With many layers all of a pixel's alphas may be below the threshold.
    snapped = np.where(total == 0, np.maximum(alpha, 0) + 1e-12, snapped)
    return snapped / snapped.sum(axis=-1, keepdims=True)


def sparsity_weight(deviation: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """``max(|deviation|, floor)^exponent``, to single precision: powers are slow in double.

    Args:
        deviation: Float32, of the alphas from 0 or 1.
        exponent: Float32, broadcast.
    """
    weight = np.abs(deviation)
    np.maximum(weight, np.float32(REWEIGHTING_FLOOR), out=weight)
    np.log(weight, out=weight)
    weight *= exponent
    return np.exp(weight, out=weight)


def valid_alpha(raw: np.ndarray, floor: float = 0.0) -> np.ndarray:
    """Layers in [0, 1] that sum to one per pixel; float32.

    Args:
        raw: (H, W, K), summing to about one.
        floor: Alpha that counts as none. The relaxed step leaves about 0.006 of every layer
            everywhere, since it cannot tell less than its reweighting's floor of 0.01 from zero:
            a haze that grows with the number of layers.
    """
    alpha = np.clip(raw - floor, 0, 1)
    alpha /= np.maximum(alpha.sum(axis=2, keepdims=True), 1e-12)
    return alpha.astype(np.float32)


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
