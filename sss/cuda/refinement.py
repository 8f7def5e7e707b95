"""The equations of the relaxed sparsification on a device; see :mod:`sss.spectral.refinement`."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch.nn import functional

from sss.spectral.refinement import INNER, REWEIGHTING_FLOOR, SUM_WEIGHT, LayerSystem
from sss.spectral.refinement_kernels import OFFSETS
from sss.spectral.stencil import REACH, frame_indices


class TorchSystem(LayerSystem):
    """On tensors, all rows at once; see :class:`sss.spectral.refinement.LayerSystem`.

    Args:
        stencil: (13, H+4, W+4) float32.
        layers: (H, W, K) float32, on the stencil's device as all others.
        exponent: (H, W).
        superpixel_laplacian: Sparse (N, N) of SciPy's.
    """

    def __init__(
        self,
        stencil: torch.Tensor,
        layers: torch.Tensor,
        exponent: torch.Tensor,
        superpixel_laplacian: sp.csr_array | None = None,
    ) -> None:
        self._stencil = stencil
        self._exponent = exponent
        self.alpha = functional.pad(layers.permute(2, 0, 1), (REACH,) * 4)
        self._start = self._inner(self.alpha).clone()
        # The frame of the diagonal is one: its inverse must be finite.
        self.diagonal = torch.ones_like(self.alpha)
        zeros = [torch.zeros_like(self.alpha) for _ in range(4)]
        self.rhs, self._residual, self._direction, self._applied = zeros
        self.rhs_square = 0.0
        self.steps = 0
        self._coupled: torch.Tensor | None = None
        if superpixel_laplacian is not None and superpixel_laplacian.nnz:
            coupled = np.flatnonzero(np.diff(superpixel_laplacian.indptr))
            couplings = superpixel_laplacian[coupled][:, coupled].toarray()
            self._couplings = torch.from_numpy(couplings).to(stencil)
            indices = torch.from_numpy(frame_indices(coupled, layers.shape[1]))
            self._coupled = indices.to(stencil.device)

    def reweight(self) -> None:
        """See :meth:`sss.spectral.refinement.LayerSystem.reweight`; the residual follows."""
        alpha = self._inner(self.alpha)
        to_zero = relaxed_weight(alpha, self._exponent)
        to_one = relaxed_weight(alpha - 1, self._exponent)
        diagonal = to_zero.add_(to_one).add_(1)
        rhs = to_one.add_(self._start).add_(SUM_WEIGHT)
        residual = self._inner(self._residual)
        residual.add_(rhs).sub_(self._inner(self.rhs))
        residual.addcmul_(self._inner(self.diagonal), alpha).addcmul_(diagonal, alpha, value=-1)
        self._inner(self.rhs).copy_(rhs)
        self._inner(self.diagonal).copy_(diagonal)
        self.rhs_square = float(_dot(self.rhs, self.rhs))

    def drop_sparsity(self) -> None:
        """See :meth:`sss.spectral.refinement.LayerSystem.drop_sparsity`."""
        self.diagonal.fill_(1)
        self._inner(self.rhs).copy_(self._inner(self.alpha) + SUM_WEIGHT)

    def layers(self) -> torch.Tensor:
        """(H, W, K) the solution so far."""
        return self._inner(self.alpha).permute(1, 2, 0)

    def _restart(self) -> None:
        self._apply(self.alpha)
        torch.sub(self.rhs, self._applied, out=self._residual)
        self.rhs_square = float(_dot(self.rhs, self.rhs))

    def _advance(self, length: float) -> tuple[float, float]:
        residual, conditioned = self._residual, self._applied
        self.alpha.add_(self._direction, alpha=length)
        residual.sub_(self._applied, alpha=length)
        inverse = 1 / (self.diagonal + self._stencil[0])
        torch.mul(inverse, residual, out=conditioned)
        weight = SUM_WEIGHT / (1 + SUM_WEIGHT * inverse.sum(dim=0))
        conditioned.addcmul_(inverse, conditioned.sum(dim=0) * weight, value=-1)
        # Both at once: the processor waits for the device a single time.
        products = torch.stack([_dot(residual, conditioned), _dot(residual, residual)])
        current, rest = products.tolist()
        return current, rest

    def _turn(self, ratio: float) -> None:
        self._direction.mul_(ratio).add_(self._applied)

    def _apply_to_direction(self) -> float:
        self._apply(self._direction)
        return float(_dot(self._direction, self._applied))

    def _apply(self, alpha: torch.Tensor) -> None:
        """Product of the matrix with framed planes (K, H+4, W+4), into ``_applied``."""
        self.steps += 1
        product = self._applied
        torch.mul(self.diagonal + self._stencil[0], alpha, out=product)
        product.add_(alpha.sum(dim=0), alpha=SUM_WEIGHT)
        height, width = alpha.shape[1] - 2 * REACH, alpha.shape[2] - 2 * REACH
        inner = self._inner(product)
        for plane, (down, right) in zip(self._stencil[1:], OFFSETS, strict=True):
            below = slice(REACH + down, REACH + down + height)
            beside = slice(REACH + right, REACH + right + width)
            inner.addcmul_(plane[INNER, INNER], alpha[:, below, beside])
            above = slice(REACH - down, REACH - down + height)
            before = slice(REACH - right, REACH - right + width)
            inner.addcmul_(plane[above, before], alpha[:, above, before])
        if self._coupled is not None:
            flat, ends = product.view(len(product), -1), alpha.view(len(alpha), -1)
            passed = ends[:, self._coupled] @ self._couplings
            flat[:, self._coupled] = flat[:, self._coupled] + passed

    @staticmethod
    def _inner(planes: torch.Tensor) -> torch.Tensor:
        """View of framed planes (K, H+4, W+4) without the frame."""
        return planes[:, INNER, INNER]


def _dot(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Scalar product, added up in double precision, on the device."""
    return (one * other).sum(dtype=torch.float64)


def relaxed_weight(deviation: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    """``max(|deviation|, floor)^exponent``."""
    return deviation.abs().clamp_(min=REWEIGHTING_FLOOR).log_().mul_(exponent).exp_()
