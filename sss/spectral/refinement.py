"""Relaxed sparsification: grouped layers to final ones (Aksoy et al. 2018, Sec. 3.6).

The layers leave the span of the eigenvectors: each pixel's alphas are pulled to 0 or 1 while the
Laplacian keeps them smooth along the photo's structures. Reweighted least squares as in the
constrained step, on all pixels at once, by conjugate gradients.

The matting Laplacian is a stencil, in single precision, and is worked on in bands of rows. The
semantic and colour affinities, at most 0.01 each and at one pixel in sixty, can be left out: the
mean alpha moves by 5e-5 and single pixels by up to 0.04.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from sss.spectral import refinement_kernels as kernels
from sss.spectral.refinement_kernels import SUM_WEIGHT
from sss.spectral.stencil import REACH, bands, frame_indices, framed
from sss.threads import map_threads

Array = Any
"""NumPy's, or a tensor of torch."""

SPARSITY = 0.9
"""Exponent of the sparsity energy where the photo is flat."""

GRADIENT_LIMIT = 0.1
"""The exponent grows with the image gradient, by this much at most: soft edges may stay soft."""

LOW, HIGH = 0.1, 0.9
"""Start alphas below and above these become 0 and 1."""

REWEIGHTING_FLOOR = 0.01
"""Least distance of an alpha from 0 or 1 that the weights tell from none (released code)."""

ITERATIONS = 20
"""Rounds of reweighting (released code)."""

TOLERANCE = 1e-6
"""Of the conjugate gradients: the residual's norm, relative to that of the right-hand side."""

LOOSE_TOLERANCE = 1e-4
"""Enough for the reweighted rounds, which start from each other, if the last solve is exact: 2.5
times faster, the strongest layer of 1 pixel in 5000 changes."""

MAXIMUM_CG_STEPS = 500

INNER = slice(REACH, -REACH)
"""Rows or columns of a framed plane inside its frame."""


class LayerSystem(ABC):
    """``(L + 100·11ᵀ + diag) α = rhs`` for all layers together, solved by preconditioned CG.

    The layers of a pixel are coupled by the sum-to-one term alone. The preconditioner inverts
    each pixel's K×K block (diagonal plus ``100·11ᵀ``) by Sherman–Morrison; the released code does
    without one and needs five times the steps. How arrays are worked on is left to subclasses.

    Attributes:
        alpha: (K, H+4, W+4) float32, the solution so far, in a frame of zeros.
        diagonal: The same shape, positive.
        rhs: The same shape.
        steps: Products with the matrix so far.
    """

    alpha: Array
    diagonal: Array
    rhs: Array
    steps: int
    rhs_square: float
    """Squared norm of ``rhs``, of which the tolerance is a part."""

    @abstractmethod
    def __init__(
        self,
        stencil: Array,
        layers: Array,
        exponent: Array,
        superpixel_laplacian: sp.csr_array | None = None,
    ) -> None:
        """Start from ``layers`` (H, W, K), from which the reweighted ones are not to stray.

        Args:
            stencil: (13, H+4, W+4) float32, see :func:`sss.spectral.stencil.matting_stencil`.
            layers: The first guess.
            exponent: (H, W) of the weights, see :func:`relaxed_layers`.
            superpixel_laplacian: Sparse (N, N), of further couplings between a few pixels.
        """

    @abstractmethod
    def reweight(self) -> None:
        """Pull ``alpha`` to 0 and 1 as the sparsity at its present values does."""

    @abstractmethod
    def drop_sparsity(self) -> None:
        """Only keep ``alpha`` near its present values."""

    @abstractmethod
    def layers(self) -> Array:
        """(H, W, K) the solution so far."""

    @abstractmethod
    def _restart(self) -> None:
        """Work out residual and ``rhs_square``."""

    @abstractmethod
    def _advance(self, length: float) -> tuple[float, float]:
        """Step along the direction, and precondition the residual that is left.

        Returns:
            Product of the residual with the preconditioned one, and with itself.
        """

    @abstractmethod
    def _turn(self, ratio: float) -> None:
        """Next direction: the preconditioned residual and ``ratio`` times the last direction."""

    @abstractmethod
    def _apply_to_direction(self) -> float:
        """Multiply the direction with the matrix; returns the product of both."""

    def solve(self, tolerance: float, carried: bool = False) -> None:
        """Improve ``alpha`` until the residual's norm is ``tolerance`` times that of ``rhs``.

        Args:
            tolerance: As above.
            carried: Trust the residual of the last solve, which :meth:`reweight` keeps up to date,
                instead of working it out, if nothing else has changed ``diagonal`` or ``rhs``.
        """
        if not carried:
            self._restart()
        previous, length = np.inf, 0.0  # the first direction has nothing of the last solve's
        for _ in range(MAXIMUM_CG_STEPS):
            current, rest = self._advance(length)
            if rest <= tolerance**2 * self.rhs_square:
                break
            self._turn(current / previous)
            length = current / self._apply_to_direction()
            previous = current


class StencilSystem(LayerSystem):
    """On NumPy arrays, by compiled loops over bands of rows; see :class:`LayerSystem`."""

    def __init__(
        self,
        stencil: np.ndarray,
        layers: np.ndarray,
        exponent: np.ndarray,
        superpixel_laplacian: sp.csr_array | None = None,
    ) -> None:
        self._stencil = stencil
        self._exponent = exponent.astype(np.float32)
        self.alpha = framed(layers)
        self._start = self.alpha.copy()
        zeros = [np.zeros_like(self.alpha) for _ in range(5)]
        self.diagonal, self.rhs, self._residual, self._direction, self._applied = zeros
        self.rhs_square = 0.0
        self.steps = 0
        self._coupled = np.empty(0, np.intp)
        if superpixel_laplacian is not None:
            coupled = np.flatnonzero(np.diff(superpixel_laplacian.indptr))
            self._couplings = superpixel_laplacian[coupled][:, coupled].astype(np.float32)
            self._coupled = frame_indices(coupled, layers.shape[1])

    def reweight(self) -> None:
        """See :meth:`LayerSystem.reweight`; the residual follows."""
        self.rhs_square = self._sum(self._reweight_band)

    def drop_sparsity(self) -> None:
        """See :meth:`LayerSystem.drop_sparsity`."""
        self.diagonal[:] = 1
        np.add(self.alpha, SUM_WEIGHT, out=self.rhs)

    def layers(self) -> np.ndarray:
        """(H, W, K) the solution so far."""
        return np.moveaxis(self.alpha[:, INNER, INNER], 0, 2)

    def _restart(self) -> None:
        self._apply(self.alpha)
        arrays = self.rhs, self._applied, self._residual
        self.rhs_square = self._sum(lambda *rows: kernels.restart(*arrays, *rows))

    def _advance(self, length: float) -> tuple[float, float]:
        arrays = self._stencil, self.diagonal, self.alpha, self._residual, self._direction
        current, rest = self._sum(
            lambda *rows: kernels.advance(*arrays, self._applied, length, *rows)
        )
        return current, rest

    def _turn(self, ratio: float) -> None:
        self._sum(lambda *rows: kernels.turn(self._direction, self._applied, ratio, *rows))

    def _apply_to_direction(self) -> float:
        return self._apply(self._direction)

    def _apply(self, alpha: np.ndarray) -> float:
        """Product of the matrix with ``alpha``; returns that of both."""
        arrays = self._stencil, self.diagonal, alpha, self._applied
        product = self._sum(lambda *rows: kernels.apply(*arrays, *rows))
        self.steps += 1
        if len(self._coupled):
            ends = alpha.reshape(len(alpha), -1)[:, self._coupled]
            passed = (self._couplings @ ends.T).T
            self._applied.reshape(len(alpha), -1)[:, self._coupled] += passed
            product += np.vdot(ends, passed)
        return float(product)

    def _reweight_band(self, first: int, end: int) -> float:
        rows = slice(first + REACH, end + REACH)
        alpha, exponent = self.alpha[:, rows, INNER], self._exponent[first:end]
        to_zero, to_one = relaxed_weight(alpha, exponent), relaxed_weight(alpha - 1, exponent)
        arrays = self.alpha, self._start, self.diagonal, self.rhs, self._residual
        return float(kernels.exchange(to_zero, to_one, *(array[:, rows] for array in arrays)))

    def _sum(self, function: Callable[[int, int], float | tuple[float, ...]]) -> Any:
        """Sum of what ``function`` gives for every band of rows, in their order."""
        height = self.alpha.shape[1] - 2 * REACH
        return np.sum(map_threads(lambda band: function(*band), bands(height)), axis=0)


def relaxed_layers(
    stencil: Array,
    layers: Array,
    gradient: Array,
    progress: Callable[[float], None] | None = None,
    tolerance: float = TOLERANCE,
    superpixel_laplacian: sp.csr_array | None = None,
    system: type[LayerSystem] = StencilSystem,
) -> Array:
    """Sparsify layers at full size.

    Args:
        stencil: (13, H+4, W+4) float32, see :func:`sss.spectral.stencil.matting_stencil`.
        layers: (H, W, K) grouped layers, summing to about one.
        gradient: (H, W) image gradient, see :func:`sss.spectral.gradient.gradient_magnitude`.
        progress: Called with the finished fraction, 0 to 1.
        tolerance: Of the reweighted rounds; the last solve is to ``TOLERANCE`` in any case.
        superpixel_laplacian: Sparse (N, N), of further couplings between a few pixels.
        system: What the arrays are worked on by.

    Returns:
        (H, W, K) float32, summing to one to about 1e-5. As in the released code nothing clips:
        values may leave [0, 1] by about 0.1.
    """
    exponent = SPARSITY + gradient.clip(max=GRADIENT_LIMIT) - 2
    equations = system(stencil, threshold_layers(layers), exponent, superpixel_laplacian)
    # In single precision, the rounding of twenty rounds adds up to about the strict tolerance.
    carried = tolerance > TOLERANCE
    for iteration in range(ITERATIONS):
        equations.reweight()
        equations.solve(tolerance, carried and iteration > 0)
        if progress:
            progress((iteration + 1) / (ITERATIONS + 1))
    # The last solve has no sparsity and stays near what the others found: it undoes the plateau
    # at 0.99 that the floor of the reweighting leaves.
    equations.drop_sparsity()
    equations.solve(TOLERANCE)
    if progress:
        progress(1.0)
    return equations.layers()


def threshold_layers(alpha: Array) -> Array:
    """Set nearly empty alphas (..., K) to 0 and nearly full ones to 1, then scale to sum one."""
    snapped = alpha + 0  # a copy
    snapped[alpha < LOW] = 0
    snapped[alpha > HIGH] = 1
    # With many layers all of a pixel's alphas may be below the threshold.
    empty = snapped.sum(-1) == 0
    snapped[empty] = alpha[empty].clip(min=0) + 1e-12
    return snapped / snapped.sum(-1)[..., None]


def relaxed_weight(deviation: np.ndarray, exponent: np.ndarray) -> np.ndarray:
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
