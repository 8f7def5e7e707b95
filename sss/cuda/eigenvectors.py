"""The eigenvectors of the Laplacian nearest zero, on a device.

The algorithm is that of :mod:`sss.spectral.eigenvectors`, but for the exact search: it is in double
precision throughout, and nothing is corrected.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import torch

from sss.cuda.dissection import TorchFactors
from sss.cuda.product import LaplacianProduct
from sss.cuda.tensors import as_tensor
from sss.spectral import eigenvectors as spectral
from sss.spectral.eigenvectors import (
    EIGENVECTORS,
    EXACT,
    LARGEST_SPACE,
    ROUGH,
    SHIFT,
    SPARE,
)

BLOCK = 32
"""Vectors that a Krylov step adds: a device takes no longer for them than for half as many, while
the space, and the small eigenproblems with it, stays below 5 times the vectors wanted."""

FIRST_TEST = 3
"""Times the vectors wanted: size of the space from which on convergence is asked for."""

GROWTH = 4
"""Times the vectors wanted by which the memory of the space grows."""


def smallest_eigenvectors(
    laplacian: sp.csr_array,
    size: tuple[int, int],
    count: int = EIGENVECTORS,
    seed: int = 0,
    rough: bool = False,
    linked: np.ndarray | None = None,
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, torch.Tensor]:
    """Eigenpairs with the smallest |λ|.

    Args:
        laplacian: As of :func:`sss.spectral.eigenvectors.smallest_eigenvectors`, and so are the
            next four. Photos so small that a dense solver does are left to that function.
        size: (H, W) of the photo.
        count: Eigenpairs wanted.
        seed: Of the start vectors.
        rough: Stop at residuals of ``ROUGH``, in single precision, in place of ``EXACT``.
        linked: See :class:`sss.spectral.solvers.dissection.Factors`.
        device: Where to work.

    Returns:
        Eigenvalues (count,) with rising |λ|, signed; orthonormal eigenvectors (N, count), float64,
        on the device.

    Raises:
        RuntimeError: The search did not converge.
        numpy.linalg.LinAlgError: As of :class:`sss.cuda.dissection.TorchFactors`.
    """
    pixels = laplacian.shape[0]
    if pixels <= max(spectral.DENSE_LIMIT, 4 * (count + SPARE)):
        few, dense = spectral.smallest_eigenvectors(laplacian, size, count, seed, rough)
        return few, as_tensor(dense, device)
    factors = TorchFactors(laplacian, size, SHIFT, rough, linked, device)
    precision = np.float32 if rough else np.float64
    start = np.random.default_rng(seed).standard_normal((pixels, BLOCK)).astype(precision)
    try:
        found = _krylov(factors.solve, as_tensor(start, device), count + SPARE - 1)
    except (np.linalg.LinAlgError, RuntimeError) as error:  # torch's LinAlgError is of the latter
        if not rough or isinstance(error, torch.OutOfMemoryError):
            raise
        # As on the CPU: unconnected flat regions are beyond single precision.
        return smallest_eigenvectors(laplacian, size, count, seed, linked=linked, device=device)
    finally:
        del factors
    values, vectors = _rayleigh_ritz(LaplacianProduct(laplacian, size, device), found.double())
    nearest = np.argsort(np.abs(values), kind="stable")[:count]
    return values[nearest], vectors[:, as_tensor(nearest, vectors.device)]


def _krylov(
    solve: Callable[[torch.Tensor], torch.Tensor], block: torch.Tensor, count: int
) -> torch.Tensor:
    """(N, count) eigenvectors of ``solve`` with the largest |θ|, all orthogonal to constants.

    Args:
        solve: A symmetric product with (N, P).
        block: (N, P) start vectors.
        count: Vectors wanted.
    """
    tolerance = ROUGH if block.dtype == torch.float32 else EXACT
    pixels, width = block.shape
    largest = min(LARGEST_SPACE * count, pixels - 1) // width * width
    space = block.new_empty((pixels, 0))
    projected = np.zeros((largest, largest))
    overlaps: list[torch.Tensor] = []
    block, _ = _orthonormal(block - block.mean(dim=0))
    used = 0
    while used + width <= largest:
        if used + width > space.shape[1]:
            more = max(GROWTH * count // width, 1) * width
            space = torch.cat([space[:, :used], block.new_empty((pixels, more))], dim=1)
        space[:, used : used + width] = block
        used += width
        basis = space[:, :used]
        found = solve(block)
        found = found - found.mean(dim=0)
        overlap = basis.mT @ found
        found = found - basis @ overlap
        # Rounding leaves some of what was removed; a second time is enough.
        missed = basis.mT @ found
        overlaps.append(overlap + missed)
        block, rest = _orthonormal(found - basis @ missed)
        if used < FIRST_TEST * count:
            continue
        # The small problem is solved by the processor, which is not slower.
        _fill(projected, overlaps, used)
        values, combinations = np.linalg.eigh(projected[:used, :used])
        wanted = np.argsort(-np.abs(values), kind="stable")[:count]
        last = rest.cpu().numpy() @ combinations[used - width :, wanted]
        if (np.linalg.norm(last, axis=0) <= tolerance * np.abs(values[wanted])).all():
            return basis @ as_tensor(combinations[:, wanted], block.device, block.dtype)
    raise RuntimeError(
        f"{count} eigenvectors did not converge in a space of {used}; try a photo of another size "
        "(--max-side)"
    )


def _fill(projected: np.ndarray, overlaps: list[torch.Tensor], used: int) -> None:
    """Take the overlaps of the last steps over from the device."""
    for overlap in reversed(overlaps):
        first = used - overlap.shape[1]
        numbers = overlap.cpu().numpy()
        projected[:used, first:used] = numbers
        projected[first:used, :used] = numbers.T
        used = first
    overlaps.clear()


def _orthonormal(block: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """QR decomposition of (N, P), P small, by the Cholesky factor of the Gram matrix, twice."""
    unit = torch.eye(block.shape[1], dtype=torch.float64, device=block.device)
    triangle = unit
    for _ in range(2):
        lower = torch.linalg.cholesky((block.mT @ block).double())
        inverse = torch.linalg.solve_triangular(lower, unit, upper=False).mT
        block = block @ inverse.to(block.dtype)
        triangle = lower.mT @ triangle
    return block, triangle


def _rayleigh_ritz(
    laplacian: LaplacianProduct, vectors: torch.Tensor
) -> tuple[np.ndarray, torch.Tensor]:
    """Best eigenpairs in the span of ``vectors`` and of the constant vector."""
    basis, _ = _orthonormal(torch.cat([torch.ones_like(vectors[:, :1]), vectors], dim=1))
    energy = (basis.mT @ (laplacian @ basis)).cpu().numpy()
    values, combinations = np.linalg.eigh(energy)
    return values, basis @ as_tensor(combinations, basis.device)
