"""Relaxed sparsification on a device; the algorithm is that of :mod:`sss.spectral.refinement`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F

from sss.cuda.tensors import Array, as_tensor
from sss.spectral.refinement import (
    DERIVATIVE,
    GRADIENT_LIMIT,
    HIGH,
    INNER,
    ITERATIONS,
    LOW,
    MAXIMUM_CG_STEPS,
    OFFSETS,
    REWEIGHTING_FLOOR,
    SMOOTHING,
    SPARSITY,
    SUM_WEIGHT,
    TOLERANCE,
)
from sss.spectral.solvers.dissection import REACH
from sss.spectral.stencil import framed_index


def relaxed_layers(
    stencil: Array,
    layers: Array,
    gradient: Array,
    progress: Callable[[float], None] | None = None,
    tolerance: float = TOLERANCE,
    links: sp.csr_array | None = None,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Sparsify layers at full size.

    Args:
        stencil: As of :func:`sss.spectral.refinement.relaxed_layers`, and so are the next five; a
            tensor decides on the device.
        layers: (H, W, K) grouped layers, summing to about one.
        gradient: (H, W) image gradient.
        progress: Called with the finished share, 0 to 1.
        tolerance: Of the reweighted rounds.
        links: Sparse (N, N) Laplacian of further couplings between a few pixels.
        device: Where to work.

    Returns:
        (H, W, K) float32, summing to one to about 1e-5.
    """
    planes = as_tensor(stencil, device, torch.float32)
    first = as_tensor(layers, planes.device, torch.float32)
    if first.shape[2] == 1:
        return torch.ones_like(first)
    system = LayerSystem(planes, threshold_layers(first), links)
    start = system.alpha[:, INNER, INNER].clone()
    slope = as_tensor(gradient, planes.device, torch.float32)
    exponent = SPARSITY + slope.clamp(max=GRADIENT_LIMIT) - 2
    # See the reference for when residuals may be carried from round to round.
    carried = tolerance > TOLERANCE
    for iteration in range(ITERATIONS):
        alpha = system.alpha[:, INNER, INNER]
        to_zero, to_one = sparsity_weight(alpha, exponent), sparsity_weight(alpha - 1, exponent)
        system.set_round(to_zero.add_(to_one).add_(1), to_one.add_(start).add_(SUM_WEIGHT))
        del to_zero, to_one
        system.solve(tolerance, carried and iteration > 0)
        if progress:
            progress((iteration + 1) / (ITERATIONS + 1))
    # See the reference for the last solve, without sparsity.
    alpha = system.alpha[:, INNER, INNER]
    system.set_round(torch.ones_like(alpha), alpha + SUM_WEIGHT)
    system.solve(TOLERANCE)
    if progress:
        progress(1.0)
    return system.alpha[:, INNER, INNER].permute(1, 2, 0)


class LayerSystem:
    """``(L + 100·11ᵀ + diag) α = side`` for all layers together, solved by preconditioned CG.

    See :class:`sss.spectral.refinement.LayerSystem`.

    Args:
        stencil: (13, H+4, W+4) float32.
        layers: (H, W, K) the first guess.
        links: Sparse (N, N) Laplacian of further couplings between a few pixels.

    Attributes:
        alpha: (K, H+4, W+4) the solution so far, in a frame of zeros.
        steps: Products with the matrix so far.
    """

    def __init__(
        self, stencil: torch.Tensor, layers: torch.Tensor, links: sp.csr_array | None = None
    ) -> None:
        self._stencil = stencil
        self.alpha = F.pad(layers.permute(2, 0, 1), (REACH,) * 4)
        self._own = torch.ones_like(self.alpha)
        self._side = torch.zeros_like(self.alpha)
        self._inverse, self._share = self._own, self._own[0]
        self._residual = torch.zeros_like(self.alpha)
        self._size = self._side.sum(dtype=torch.float64)
        self.steps = 0
        self._linked: torch.Tensor | None = None
        if links is not None and links.nnz:
            linked = np.flatnonzero(np.diff(links.indptr))
            dense = links[linked][:, linked].toarray()
            self._links = as_tensor(dense, stencil.device, torch.float32)
            self._linked = as_tensor(framed_index(linked, layers.shape[1]), stencil.device)

    def set_round(self, diagonal: torch.Tensor, side: torch.Tensor) -> None:
        """Set diagonal and right-hand side, (K, H, W) each; the residual follows."""
        # The frame keeps its ones here: its inverse must be finite.
        own, wanted = self._own[:, INNER, INNER], self._side[:, INNER, INNER]
        left = self._residual[:, INNER, INNER]
        left.add_(side).sub_(wanted)
        wanted.copy_(side)
        here = self.alpha[:, INNER, INNER]
        left.addcmul_(own, here)
        torch.add(diagonal, self._stencil[0, INNER, INNER], out=own)
        left.addcmul_(own, here, value=-1)
        self._size = _dot(self._side, self._side)
        self._inverse = 1 / self._own
        self._share = SUM_WEIGHT / (1 + SUM_WEIGHT * self._inverse.sum(dim=0))

    def solve(self, tolerance: float, carried: bool = False) -> None:
        """Improve ``alpha`` until the residual's norm is ``tolerance`` times that of ``side``.

        Args:
            tolerance: As above.
            carried: Trust the residual of the last solve, which :meth:`set_round` keeps up to date,
                instead of working it out.
        """
        if not carried:
            torch.sub(self._side, self.apply(self.alpha), out=self._residual)
        residual = self._residual
        direction: torch.Tensor | None = None
        previous = self._size
        limit = tolerance**2 * float(self._size)
        for _ in range(MAXIMUM_CG_STEPS):
            if float(_dot(residual, residual)) <= limit:
                break
            conditioned = self._conditioned(residual)
            current = _dot(residual, conditioned)
            if direction is None:
                direction = conditioned
            else:
                direction.mul_((current / previous).float()).add_(conditioned)
            applied = self.apply(direction)
            # Stays on the device: the processor need not wait for it.
            length = (current / _dot(direction, applied)).float()
            self.alpha.addcmul_(direction, length)
            residual.addcmul_(applied, length, value=-1)
            previous = current

    def _conditioned(self, residual: torch.Tensor) -> torch.Tensor:
        scaled = self._inverse * residual
        return scaled.addcmul_(self._inverse, scaled.sum(dim=0) * self._share, value=-1)

    def apply(self, alpha: torch.Tensor) -> torch.Tensor:
        """Product of the matrix with framed planes (K, H+4, W+4)."""
        self.steps += 1
        product = self._own * alpha
        product.add_(alpha.sum(dim=0), alpha=SUM_WEIGHT)
        height, width = alpha.shape[1] - 2 * REACH, alpha.shape[2] - 2 * REACH
        inner = product[:, INNER, INNER]
        for plane, (down, right) in zip(self._stencil[1:], OFFSETS, strict=True):
            below = slice(REACH + down, REACH + down + height)
            beside = slice(REACH + right, REACH + right + width)
            inner.addcmul_(plane[INNER, INNER], alpha[:, below, beside])
            above = slice(REACH - down, REACH - down + height)
            before = slice(REACH - right, REACH - right + width)
            inner.addcmul_(plane[above, before], alpha[:, above, before])
        if self._linked is not None:
            flat, ends = product.view(len(product), -1), alpha.view(len(alpha), -1)
            passed = ends[:, self._linked] @ self._links
            flat[:, self._linked] = flat[:, self._linked] + passed
        return product


def _dot(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Scalar product, added up in double precision, on the device."""
    return (one * other).sum(dtype=torch.float64)


def threshold_layers(alpha: torch.Tensor) -> torch.Tensor:
    """Set nearly empty alphas (..., K) to 0 and nearly full ones to 1, then scale to sum one."""
    snapped = torch.where(alpha < LOW, 0.0, torch.where(alpha > HIGH, 1.0, alpha))
    empty = snapped.sum(dim=-1, keepdim=True) == 0
    snapped = torch.where(empty, alpha.clamp(min=0) + 1e-12, snapped)
    return snapped / snapped.sum(dim=-1, keepdim=True)


def sparsity_weight(deviation: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    """``max(|deviation|, floor)^exponent``."""
    return deviation.abs().clamp_(min=REWEIGHTING_FLOOR).log_().mul_(exponent).exp_()


def gradient_magnitude(photo: Array, device: torch.device | str = "cpu") -> torch.Tensor:
    """Length of the gradient over all colour channels, (H, W), per pixel of distance.

    Args:
        photo: (H, W, 3) float in [0, 1]; continued beyond its rim by its outermost pixels.
        device: Where to work, unless the photo is a tensor.
    """
    planes = as_tensor(photo, device).permute(2, 0, 1)
    squares = planes.new_zeros(planes.shape[1:])
    for along_width, along_height in ((DERIVATIVE, SMOOTHING), (SMOOTHING, DERIVATIVE)):
        slope = _correlated(_correlated(planes, along_width, 2), along_height, 1)
        squares += slope.square_().sum(dim=0)
    return squares.sqrt_()


def _correlated(planes: torch.Tensor, taps: np.ndarray, axis: int) -> torch.Tensor:
    """Correlation along an axis; a convolution of cuDNN's would round to TF32."""
    margin = len(taps) // 2
    sides = (margin, margin, 0, 0) if axis == 2 else (0, 0, margin, margin)
    padded = F.pad(planes[None], sides, mode="replicate")[0]
    total = torch.zeros_like(planes)
    for place, tap in enumerate(taps.tolist()):
        total.add_(padded.narrow(axis, place, planes.shape[axis]), alpha=tap)
    return total


def valid_alpha(raw: torch.Tensor, floor: float = 0.0) -> torch.Tensor:
    """(H, W, K) layers in [0, 1]; see :func:`sss.spectral.refinement.valid_alpha`."""
    alpha = (raw - floor).clamp_(0, 1)
    return alpha / alpha.sum(dim=2, keepdim=True).clamp_(min=1e-12)
