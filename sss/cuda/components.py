"""Constrained sparsification on a device, all components at once.

The algorithm is that of :mod:`sss.spectral.components`.
"""

from __future__ import annotations

import logging

import numpy as np
import torch

from sss.cuda.tensors import Array, as_tensor
from sss.spectral.components import (
    EARLY_ITERATIONS,
    ITERATIONS,
    REMOVAL_ITERATIONS,
    REMOVAL_MAXIMUM,
    REWEIGHTING_FLOOR,
    SINGLE_FLOOR,
    SPARSITY,
    SPARSITY_WEIGHT,
    early_stride,
)

log = logging.getLogger(__name__)


def constrained_components(
    eigenvalues: np.ndarray,
    eigenvectors: Array,
    start: np.ndarray,
    pixels: np.ndarray | None = None,
    single: bool = False,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Sparse soft components in the span of the eigenvectors.

    Args:
        eigenvalues: As of :func:`sss.spectral.components.constrained_components`, and so are the
            next four.
        eigenvectors: (N, M); a tensor decides on the device.
        start: (P,) integers 0 … C−1, a hard clustering of ``pixels``.
        pixels: (P,) indices of the pixels whose equations are used; None for all N.
        single: Weigh and add up in single precision.
        device: Where to work.

    Returns:
        (N, C') float64 components, C' ≤ C.
    """
    vectors = as_tensor(eigenvectors, device, torch.float64)
    device = vectors.device
    basis = vectors if pixels is None else vectors[as_tensor(pixels, device)]
    basis = basis.to(torch.float32 if single else torch.float64)
    stride = 1 if pixels is None else early_stride(start, basis.shape[1])
    used = basis[::stride]
    unit = torch.eye(int(start.max()) + 1, dtype=basis.dtype, device=device)
    alpha = unit[as_tensor(start[::stride], device)]  # (P, C)
    energy = torch.diag(as_tensor(eigenvalues, device, torch.float64))
    for iteration in range(1, ITERATIONS + 1):
        if alpha.shape[1] < 2:
            return vectors.new_ones((len(vectors), 1))
        scale = len(vectors) / len(used)
        to_zero, to_one = scale * sparsity_weight(alpha), scale * sparsity_weight(alpha - 1)
        coefficients = solve_coupled(used, energy, to_zero, to_one)
        if iteration == EARLY_ITERATIONS:
            used = basis
        alpha = _with_remainder(used @ coefficients.to(basis.dtype))
        if iteration in REMOVAL_ITERATIONS:
            alpha = alpha[:, alpha.amax(dim=0) > REMOVAL_MAXIMUM]
    log.debug("constrained sparsification kept %d components", alpha.shape[1])
    return _with_remainder(vectors @ coefficients)


def sparsity_weight(deviation: torch.Tensor) -> torch.Tensor:
    """Least-squares weight whose quadratic has the gradient of ``w·|deviation|^0.8``."""
    floor = SINGLE_FLOOR if deviation.dtype == torch.float32 else REWEIGHTING_FLOOR
    weight = deviation.abs().clamp_(min=floor)
    return weight.log_().mul_(SPARSITY - 2).exp_().mul_(SPARSITY_WEIGHT)


def _with_remainder(alpha: torch.Tensor) -> torch.Tensor:
    """Append the component that makes each row sum to one."""
    return torch.cat([alpha, 1 - alpha.sum(dim=1, keepdim=True)], dim=1)


def solve_coupled(
    basis: torch.Tensor, energy: torch.Tensor, to_zero: torch.Tensor, to_one: torch.Tensor
) -> torch.Tensor:
    """Coefficients of all components but the last in one reweighted round.

    The equations are worked out at :func:`sss.spectral.components._solve_coupled`.

    Args:
        basis: (P, M) eigenvectors.
        energy: (M, M) diagonal of eigenvalues, float64.
        to_zero: (P, C) weights that pull towards 0.
        to_one: (P, C) weights that pull towards 1.

    Returns:
        (M, C−1) float64.
    """
    root = (to_zero + to_one).mT.sqrt()
    scaled = root[:, :, None] * basis  # (C, P, M)
    blocks = (scaled.mT @ scaled).double() + energy  # (C, M, M)
    own, last = blocks[:-1], blocks[-1]
    sides = (basis.mT @ (to_one[:, :-1] + to_zero[:, -1:])).double()  # (M, C−1)
    # Without a look at the outcome, for which the processor would have to wait.
    inverses = torch.linalg.inv_ex(own).inverse
    found = (inverses @ sides.mT[:, :, None])[:, :, 0]  # (C−1, M)
    unit = torch.eye(len(last), dtype=last.dtype, device=last.device)
    total = torch.linalg.solve_ex(unit + inverses.sum(dim=0) @ last, found.sum(dim=0)).result
    return (found - inverses @ (last @ total)).mT
