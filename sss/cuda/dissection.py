"""Factors of a photo's Laplacian by nested dissection, all fronts of a level at once.

The algorithm is that of :mod:`sss.spectral.solvers.dissection`. Where it adds into shared arrays,
front after front, here every front fetches what its halves left (Duff and Reid, ACM TOMS 9, 1983): each
number has one writer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch

from sss.cuda.plan import LevelPlan, plan_levels
from sss.spectral.solvers.dissection import dissect_coupled
from sss.threads import slices

LARGEST_BATCH = 2**25
"""Numbers of the fronts that are put together at once: 256 MB in double precision."""


@dataclass(frozen=True)
class LevelFactors:
    """Factors of a level of n fronts; see :class:`sss.cuda.plan.LevelPlan` for K and B.

    Attributes:
        pivots: (n·K,) pixels; N for none.
        boundary: (n·B,) pixels; N for none.
        inherited: Of each half: for the pivots (n·K,) and the boundaries (n·B,), which row of what
            the level before passed on, flat, is theirs.
        triangle: (n, K, K) inverse of the pivots' Cholesky factor.
        coupling: (n, K, B) the triangle times the couplings to the boundary.
    """

    pivots: torch.Tensor
    boundary: torch.Tensor
    inherited: list[tuple[torch.Tensor, torch.Tensor]]
    triangle: torch.Tensor
    coupling: torch.Tensor


class TorchFactors:
    """``(L − shift)⁻¹`` for the Laplacian L of a photo, on a device.

    Args:
        laplacian: As of :class:`sss.spectral.solvers.dissection.Factors`.
        size: (H, W).
        shift: Negative, so that the matting part stays positive definite.
        single: Keep the factors in single precision; they are computed in double.
        linked: As of the same class.
        device: Of the factors and of the right-hand sides.

    Raises:
        numpy.linalg.LinAlgError: The matrix is not of this kind, or not finite.
    """

    def __init__(
        self,
        laplacian: sp.csr_array,
        size: tuple[int, int],
        shift: float,
        single: bool = False,
        linked: np.ndarray | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.kept, levels = dissect_coupled(laplacian, size, linked)
        self._precision = torch.float32 if single else torch.float64
        self._device = torch.device(device)
        self._levels: list[LevelFactors] = []
        self._failures: list[torch.Tensor] = []
        update: torch.Tensor | None = None
        for plan in plan_levels(laplacian, levels, shift):
            update = self._eliminate(plan, update)
        assert update is not None
        if len(self.kept):
            self._factor_kept(laplacian, update[0], shift)
        self._kept = torch.from_numpy(self.kept.astype(np.int64)).to(self._device)
        # Asked for once, at the end: every question makes the processor wait for the device.
        failed = sum(failure.any() for failure in self._failures)
        if failed or not bool(torch.isfinite(update).all()):
            raise np.linalg.LinAlgError("the matting part is not positive definite, or not finite")
        self._failures.clear()

    def _eliminate(self, plan: LevelPlan, passed: torch.Tensor | None) -> torch.Tensor:
        """Add a level's factors; returns the (n, B, B) updates of its boundaries."""
        count, pivots = plan.pivots.shape
        boundary = plan.boundary.shape[1]
        double, device = torch.float64, self._device
        updates = torch.empty((count, boundary, boundary), dtype=double, device=device)
        triangle = torch.empty((count, pivots, pivots), dtype=self._precision, device=device)
        coupling = torch.empty((count, pivots, boundary), dtype=self._precision, device=device)
        step = max(1, LARGEST_BATCH // (pivots + boundary) ** 2)
        for part in slices(count, step):
            rows, corner = self._assemble(plan, part, passed)
            lower, failure = torch.linalg.cholesky_ex(rows[:, :, :pivots])
            self._failures.append(failure)
            unit = torch.eye(pivots, dtype=double, device=device).expand_as(lower)
            inverse = torch.linalg.solve_triangular(lower, unit, upper=False)
            solved = inverse @ rows[:, :, pivots:]
            triangle[part], coupling[part] = inverse, solved
            updates[part] = torch.baddbmm(corner, solved.mT, solved, alpha=-1)
        self._levels.append(
            LevelFactors(
                self._indices(plan.pivots),
                self._indices(plan.boundary),
                self._inherited(plan, 0 if passed is None else passed.shape[1]),
                triangle,
                coupling,
            )
        )
        return updates

    def _assemble(
        self, plan: LevelPlan, part: slice, passed: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of the pivots (m, K, K+B) and the boundaries' corner (m, B, B) of some fronts."""
        count, pivots = part.stop - part.start, plan.pivots.shape[1]
        boundary = plan.boundary.shape[1]
        width = pivots + boundary
        entries = slice(int(plan.starts[part.start]), int(plan.starts[part.stop]))
        rows = torch.zeros(count * pivots * width, dtype=torch.float64, device=self._device)
        positions = self._indices(plan.positions[entries] - part.start * pivots * width)
        rows[positions] = torch.from_numpy(plan.values[entries]).to(self._device)
        rows = rows.view(count, pivots, width)
        corner = rows.new_zeros((count, boundary, boundary))
        if plan.places is not None and passed is not None:
            halves = torch.from_numpy(plan.halves[part]).to(self._device)
            places = torch.from_numpy(plan.places[part]).to(self._device)
            for side in range(2):
                half = halves[:, side, None, None]
                down, right = places[:, side, :, None], places[:, side, None, :]
                rows += passed[half, down[:, :pivots], right]
                corner += passed[half, down[:, pivots:], right[:, :, pivots:]]
        return rows, corner

    def _inherited(self, plan: LevelPlan, boundary: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        if plan.places is None:
            return []
        rows = plan.halves[:, :, None] * boundary + plan.places  # (n, 2, K+B)
        cut = plan.pivots.shape[1]
        return [
            (self._indices(rows[:, side, :cut]), self._indices(rows[:, side, cut:]))
            for side in range(2)
        ]

    def _indices(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array).reshape(-1)).to(self._device)

    def _factor_kept(self, laplacian: sp.csr_array, update: torch.Tensor, shift: float) -> None:
        count = len(self.kept)
        inner = laplacian[self.kept][:, self.kept].tocoo()
        matrix = update[:count, :count].clone()
        where = self._indices(inner.coords[0].astype(np.int64) * count + inner.coords[1])
        flat = matrix.view(-1)
        flat[where] = flat[where] + torch.from_numpy(inner.data).to(self._device)
        matrix.diagonal().sub_(shift)
        triangles, swaps, failure = torch.linalg.lu_factor_ex(matrix)
        self._failures.append(failure)
        self._root = triangles.to(self._precision), swaps

    def solve(self, sides: torch.Tensor) -> torch.Tensor:
        """Solve for (N, P) right-hand sides of the factors' precision."""
        width = sides.shape[1]
        solution = torch.cat([sides, sides.new_zeros((1, width))])
        solved = []
        passed = sides
        for level in self._levels:
            count, pivots, boundary = level.coupling.shape
            here = solution[level.pivots]
            out = sides.new_zeros((count * boundary, width))
            for own, rest in level.inherited:
                here += passed[own]
                out += passed[rest]
            here = level.triangle @ here.view(count, pivots, width)
            out = out.view(count, boundary, width)
            passed = torch.baddbmm(out, level.coupling.mT, here, alpha=-1).view(-1, width)
            solved.append(here)
        if len(self.kept):
            left = solution[self._kept] + passed[: len(self.kept)]
            solution[self._kept] = torch.linalg.lu_solve(*self._root, left)
        for level, here in zip(self._levels[::-1], solved[::-1], strict=True):
            count, _, boundary = level.coupling.shape
            known = solution[level.boundary].view(count, boundary, width)
            left = torch.baddbmm(here, level.coupling, known, alpha=-1)
            # What is filled up is zero, and so is all that is written to row N.
            solution.index_copy_(0, level.pivots, (level.triangle.mT @ left).view(-1, width))
        return solution[:-1]
