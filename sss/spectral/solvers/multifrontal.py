"""Factors of a photo's Laplacian by the multifrontal method.

(Duff and Reid, *The Multifrontal Solution of Indefinite Sparse Symmetric Linear Equations*, ACM
TOMS 9, 1983.) Pixels are eliminated in the order of nested dissection
(:mod:`sss.spectral.solvers.dissection`), front by front, so that all arithmetic is on small dense
matrices. Without the separator the shifted Laplacian is positive definite: all fronts take
Cholesky's decomposition, which needs no pivoting, though the whole is indefinite. The separator's
Schur complement is left to LAPACK's LU.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from sss.spectral.solvers.dissection import Front, dissect, far_pixels
from sss.spectral.solvers.kernels import (
    add_pivot_rows,
    backward,
    eliminate_pivots,
    extend_add,
    forward,
)
from sss.threads import map_threads


class MultifrontalFactors:
    """Factors of ``matrix − shift·I``; see :func:`sss.spectral.solvers.factorize`.

    Args:
        matrix: Symmetric (N, N), N = H·W: the matting Laplacian, positive semi-definite, and any
            couplings between a few pixels.
        size: (H, W).
        shift: Negative, so that the matting part becomes positive definite.
        separator: Flat indices of all pixels with couplings beside the matting Laplacian's; None
            takes those that are coupled beyond the stencil's reach.
        precision: Of the factors.

    Raises:
        numpy.linalg.LinAlgError: The matrix is not of this kind.
    """

    def __init__(
        self,
        matrix: sp.csr_array,
        size: tuple[int, int],
        shift: float,
        separator: np.ndarray | None = None,
        precision: type = np.float64,
    ) -> None:
        self._precision = precision
        far = far_pixels(matrix, size[1]) if separator is None else np.unique(separator)
        mask = np.zeros(size, bool)
        mask.flat[far] = True
        levels = dissect(mask)
        pixels, top = matrix.shape[0], levels[-1]
        # The strip between the photo's halves, and the separator.
        self._shared = np.concatenate([top[0].pivots, far])
        self._halves = [
            _Subtree(fronts, self._shared, pixels, precision) for fronts in _halves(levels)
        ]
        self._top = _Subtree(top, far, pixels, precision)
        schur = self._eliminate(matrix, levels, size[1], shift)
        self._lu = None
        if len(far):
            schur = schur + matrix[far][:, far].toarray().astype(precision)
            schur[np.diag_indices(len(schur))] -= shift
            whole = np.tril(schur) + np.tril(schur, -1).T
            _drop_negligible(whole)
            self._lu = _lu_factor(whole)

    def _eliminate(
        self, matrix: sp.csr_array, levels: list[list[Front]], width: int, shift: float
    ) -> np.ndarray:
        """Fill the factors in; returns the top front's update matrix, its lower triangle."""
        factors = {
            front: part for tree in (*self._halves, self._top) for front, part in tree.parts()
        }
        updates: list[tuple[Front, np.ndarray]] = []

        def eliminate(front: Front) -> tuple[Front, np.ndarray]:
            children = [updates[index] for index in front.children]
            dense = _front_matrix(matrix, front, children, width, shift, self._precision)
            return front, eliminate_pivots(dense, len(front.pivots), factors[front])

        for level in levels:
            updates = map_threads(eliminate, level)
        return updates[0][1]

    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """Solution (N, P) for right-hand sides (N, P), in the factors' precision."""
        rhs = np.ascontiguousarray(rhs, self._precision)
        shared = rhs[self._shared]

        def eliminate(half: _Subtree) -> np.ndarray:
            # Each half passes on to a copy of its own of what they share.
            own = np.concatenate([rhs[half.pivots], np.zeros_like(shared)])
            half.forward(own)
            return own

        parts = map_threads(eliminate, self._halves)
        for half, part in zip(self._halves, parts, strict=True):
            shared += part[len(half.pivots) :]
        self._top.forward(shared)
        if self._lu is not None:
            last = shared[len(self._top.pivots) :]
            last[:] = scipy.linalg.lu_solve(self._lu, last, check_finite=False)
        self._top.backward(shared)
        solution = np.empty_like(rhs)
        solution[self._shared] = shared

        def substitute(task: tuple[_Subtree, np.ndarray]) -> None:
            half, part = task
            part[len(half.pivots) :] = shared
            half.backward(part)
            solution[half.pivots] = part[: len(half.pivots)]

        map_threads(substitute, zip(self._halves, parts, strict=True))
        return solution


class _Subtree:
    """Fronts that one thread solves with, one after the other; their factors in one array.

    It works on its pivots, in the order of elimination and so side by side in memory, and after
    them on the pixels that it shares with other fronts.

    Args:
        fronts: In the order of elimination.
        shared: Pixels beside the fronts' own that their boundaries may hold.
        pixels: Of the photo.
        precision: Of the factors.
    """

    def __init__(
        self, fronts: list[Front], shared: np.ndarray, pixels: int, precision: type
    ) -> None:
        self._fronts = fronts
        self.pivots = np.concatenate([front.pivots for front in fronts])
        order = np.concatenate([self.pivots, shared])
        place = np.empty(pixels, np.int32)
        place[order] = np.arange(len(order))
        self._boundary = place[np.concatenate([front.boundary for front in fronts])]
        self._counts = np.array([(len(front.pivots), len(front.boundary)) for front in fronts])
        self._sizes = [k * (k + b) for k, b in self._counts.tolist()]
        self._factors = np.empty(sum(self._sizes), precision)

    def parts(self) -> list[tuple[Front, np.ndarray]]:
        """Fronts with their part of the factors, to be filled in."""
        parts = np.split(self._factors, np.cumsum(self._sizes)[:-1])
        return list(zip(self._fronts, parts, strict=True))

    def forward(self, rhs: np.ndarray) -> None:
        """Forward substitution in place; see :func:`sss.spectral.solvers.kernels.forward`."""
        forward(rhs, self._boundary, self._counts, self._factors)

    def backward(self, rhs: np.ndarray) -> None:
        """Backward substitution in place, the shared pixels being solved."""
        backward(rhs, self._boundary, self._counts, self._factors)


def _halves(levels: list[list[Front]]) -> list[list[Front]]:
    """Fronts of the photo's two halves, each in order of elimination; none if it is not cut."""
    halves = []
    for child in levels[-1][0].children:
        indices = [child]
        parts: list[list[Front]] = []
        for level in reversed(levels[:-1]):
            parts.append([level[index] for index in indices])
            indices = [index for front in parts[-1] for index in front.children]
        halves.append([front for part in reversed(parts) for front in part])
    return halves


def _front_matrix(
    matrix: sp.csr_array,
    front: Front,
    children: list[tuple[Front, np.ndarray]],
    width: int,
    shift: float,
    precision: type,
) -> np.ndarray:
    """(k+b, k+b), lower triangle: couplings of the pivots, and the children's update matrices."""
    corner = front.rows[0], front.columns[0]
    place = np.empty((front.rows[1] - corner[0], front.columns[1] - corner[1]), np.int32)
    side = len(front.pivots) + len(front.boundary)
    dense: np.ndarray = np.zeros((side, side), precision)
    entries = matrix.indptr, matrix.indices, matrix.data
    add_pivot_rows(dense, front.pivots, front.boundary, corner, place, width, *entries, shift)
    for child, update in children:
        extend_add(dense, update, child.boundary, corner, place, width)
    _drop_negligible(dense)
    return dense


def _drop_negligible(matrix: np.ndarray) -> None:
    """Set to zero in place what is far below the rounding of the largest entry.

    Couplings of pixels that lie far apart are that small. Their products are denormal numbers,
    which take a processor several times as long: LU eight times in single precision.
    """
    sizes = np.abs(matrix)
    matrix[sizes < np.finfo(matrix.dtype).eps ** 2 * sizes.max()] = 0


def _lu_factor(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`scipy.linalg.lu_factor`, whose warning of a zero pivot is an error here."""
    (getrf,) = scipy.linalg.get_lapack_funcs(("getrf",), (matrix,))
    # A symmetric matrix is its own transpose, which is in LAPACK's order already.
    lu, pivots, info = getrf(matrix.T, overwrite_a=True)
    if info > 0 or not np.isfinite(lu).all():
        raise np.linalg.LinAlgError("the separator's Schur complement is singular or not finite")
    return lu, pivots
