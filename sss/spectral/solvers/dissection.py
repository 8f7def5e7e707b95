"""Factors of a photo's Laplacian by nested dissection, for solving with it again and again.

The matting Laplacian couples pixels up to two rows and columns apart, so a strip two pixels wide
cuts a photo into halves that do not know of each other (George, *Nested Dissection of a Regular
Finite Element Mesh*, SIAM J. Numer. Anal. 10, 1973). Halving again and again, pixels are eliminated
from the smallest boxes upwards, and all arithmetic is on small dense matrices (the multifrontal
method: Duff and Reid, ACM TOMS 9, 1983): an order of magnitude faster than a general sparse LU.

The pixels that carry semantic and colour affinities couple over any distance. They are kept to the
end and make one dense matrix. Without them the shifted Laplacian is positive definite: all other
factors are Cholesky's, and nothing needs pivoting though the whole is indefinite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import scipy.sparse as sp

from sss.spectral.solvers.block_ldl import SymmetricFactors
from sss.threads import map_threads, slices

REACH = 2
"""Pixels further apart in rows or columns are not coupled by the stencil."""

LEAF_SIDE = 10
"""Boxes are halved until no side is longer."""

COMPILED_SIDE = 512
"""Up to which a front is eliminated by one thread in compiled code."""

PANEL = 256
"""Rows of a front's update that one thread computes at a time."""

Span = tuple[int, int]
"""First index and end."""


@dataclass(frozen=True)
class Front:
    """The pixels of one box that are eliminated together, and those they couple by that.

    Attributes:
        rows, columns: The box with the frame of two pixels around it.
        pivots: (k,) pixels to eliminate: a smallest box's all, else the strip between two halves.
        boundary: (b,) pixels: the frame, and the kept ones inside the box.
        halves: Indices of the halves in the level before.
    """

    rows: Span
    columns: Span
    pivots: np.ndarray
    boundary: np.ndarray
    halves: tuple[int, ...]


def dissect(kept: np.ndarray) -> list[list[Front]]:
    """Cut a photo into fronts.

    Args:
        kept: (H, W) bool: pixels that are not eliminated.

    Returns:
        Levels of fronts, the deepest first; the last level is the photo itself.
    """
    height, width = kept.shape
    levels = []
    boxes: list[tuple[Span, Span]] = [((0, height), (0, width))]
    while boxes:
        fronts: list[Front] = []
        inner: list[tuple[Span, Span]] = []
        for box in boxes:
            strip, halves = _halve(*box)
            indices = tuple(range(len(inner), len(inner) + len(halves)))
            fronts.append(_front(kept, box, strip, indices))
            inner += halves
        levels.append(fronts)
        boxes = inner
    return levels[::-1]


def _halve(rows: Span, columns: Span) -> tuple[tuple[Span, Span], list[tuple[Span, Span]]]:
    """The strip that cuts a box, and the halves; a small box is all strip."""
    tall = rows[1] - rows[0] > columns[1] - columns[0]
    first, end = rows if tall else columns
    if end - first <= LEAF_SIDE:
        return (rows, columns), []
    cut = first + (end - first - REACH) // 2
    spans = (cut, cut + REACH), (first, cut), (cut + REACH, end)
    strip, *halves = [(span, columns) if tall else (rows, span) for span in spans]
    return strip, halves


def _front(
    kept: np.ndarray, box: tuple[Span, Span], strip: tuple[Span, Span], halves: tuple[int, ...]
) -> Front:
    height, width = kept.shape
    rows, columns = (
        (max(first - REACH, 0), min(end + REACH, side))
        for (first, end), side in zip(box, (height, width), strict=True)
    )
    boundary = np.ones((rows[1] - rows[0], columns[1] - columns[0]), bool)
    inside = kept[slice(*box[0]), slice(*box[1])]
    down, right = box[0][0] - rows[0], box[1][0] - columns[0]
    boundary[down : down + inside.shape[0], right : right + inside.shape[1]] = inside
    pivots = _pixels(~kept[slice(*strip[0]), slice(*strip[1])], strip, width)
    return Front(rows, columns, pivots, _pixels(boundary, (rows, columns), width), halves)


def _pixels(mask: np.ndarray, corner: tuple[Span, ...], width: int) -> np.ndarray:
    """Flat indices in the photo of the pixels marked in a box of it."""
    row, column = np.nonzero(mask)
    return ((row + corner[0][0]) * width + column + corner[1][0]).astype(np.int32)


class Factors:
    """``(L − shift)⁻¹`` for the Laplacian L of a photo.

    Args:
        laplacian: Symmetric (N, N), N = H·W: the matting Laplacian, positive semi-definite, and
            any couplings between a few pixels.
        size: (H, W).
        shift: Negative, so that the matting part stays positive definite.
        single: Compute in single precision: half the memory, twice as fast.
        linked: All pixels with couplings beside the matting Laplacian's; None finds those that are
            coupled beyond the stencil's reach, as long as no others are.

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
    ) -> None:
        # LAPACK's Cholesky decomposition passes NaN on.
        if not np.isfinite(laplacian.data).all():
            raise np.linalg.LinAlgError("the Laplacian holds NaN or infinite values")
        self.kept, levels = dissect_coupled(laplacian, size, linked)
        precision = np.float32 if single else np.float64
        pixels, top = laplacian.shape[0], levels[-1]
        # The strip between the halves, and the kept pixels.
        self._shared = np.concatenate([top[0].pivots, self.kept])
        self._halves = [
            _Chain(fronts, self._shared, pixels, precision) for fronts in _subtrees(levels)
        ]
        self._top = _Chain(top, self.kept, pixels, precision)
        update = self._eliminate(laplacian, levels, size[1], shift, precision)
        self._root = None
        if len(self.kept):
            inner = laplacian[self.kept][:, self.kept].tocoo()
            root = np.ascontiguousarray(update)
            np.add.at(root, (inner.row, inner.col), inner.data.astype(precision))
            root[np.diag_indices(len(root))] -= shift
            self._root = SymmetricFactors(root)

    def _eliminate(
        self,
        laplacian: sp.csr_array,
        levels: list[list[Front]],
        width: int,
        shift: float,
        precision: type,
    ) -> np.ndarray:
        """Fill the factors in; returns what the elimination adds to the kept pixels' matrix."""
        slots = {
            id(front): slot
            for chain in (*self._halves, self._top)
            for front, slot in zip(chain.fronts, chain.slots, strict=True)
        }
        updates: list[np.ndarray] = []
        below: list[Front] = []
        for level in levels:
            tasks = [(front, [(below[i], updates[i]) for i in front.halves]) for front in level]

            def eliminate(task: tuple[Front, list[tuple[Front, np.ndarray]]]) -> np.ndarray:
                front, halves = task
                matrix = _front_matrix(laplacian, front, width, shift, halves, precision)
                pivots, slot = len(front.pivots), slots[id(front)]
                small = len(matrix) <= COMPILED_SIDE
                return (_eliminate_small if small else _eliminate_pivots)(matrix, pivots, slot)

            updates = map_threads(eliminate, tasks)
            below = level
        return updates[0]

    def solve(self, sides: np.ndarray) -> np.ndarray:
        """Solve for (N, P) right-hand sides of the factors' precision, in C order."""
        # Each half passes on to its own copy of what they share.
        shared = sides[self._shared]

        def forward(half: _Chain) -> np.ndarray:
            count = len(half.pivots)
            part = np.zeros((count + len(shared), sides.shape[1]), sides.dtype)
            part[:count] = sides[half.pivots]
            half.forward(part)
            return part

        parts = map_threads(forward, self._halves)
        for half, part in zip(self._halves, parts, strict=True):
            shared += part[len(half.pivots) :]
        self._top.forward(shared)
        if self._root is not None:
            kept = shared[len(self._top.pivots) :]
            kept[:] = self._root.solve(kept)
        self._top.backward(shared)
        solution = np.empty_like(sides)
        solution[self._shared] = shared

        def backward(task: tuple[_Chain, np.ndarray]) -> None:
            half, part = task
            count = len(half.pivots)
            part[count:] = shared
            half.backward(part)
            solution[half.pivots] = part[:count]

        map_threads(backward, zip(self._halves, parts, strict=True))
        return solution


class _Chain:
    """Fronts that are eliminated one after the other, and their factors in one array.

    It works on its pivots, in order of elimination and so side by side in memory, and after them on
    what it shares with other chains.

    Args:
        fronts: In order of elimination.
        shared: The pixels that its fronts may pass on to, beside its own.
        pixels: Of the photo.
        precision: Of the factors.

    Attributes:
        fronts: As above.
        pivots: All of the fronts'.
        slots: Where in the array the factors of each front stand.
    """

    def __init__(
        self, fronts: list[Front], shared: np.ndarray, pixels: int, precision: type
    ) -> None:
        self.fronts = fronts
        self.pivots = np.concatenate([front.pivots for front in fronts])
        order = np.concatenate([self.pivots, shared])
        place = np.empty(pixels, np.int32)
        place[order] = np.arange(len(order))
        self._boundary = place[np.concatenate([front.boundary for front in fronts])]
        self._counts = np.array([(len(front.pivots), len(front.boundary)) for front in fronts])
        sizes = [k * (k + b) for k, b in self._counts.tolist()]
        self._numbers = np.empty(sum(sizes), precision)
        self.slots = np.split(self._numbers, np.cumsum(sizes)[:-1])

    def forward(self, sides: np.ndarray) -> None:
        """Eliminate the pivots in ``sides``, in place."""
        _forward(sides, self._boundary, self._counts, self._numbers)

    def backward(self, sides: np.ndarray) -> None:
        """Put the solution of what is shared into the pivots, in place."""
        _backward(sides, self._boundary, self._counts, self._numbers)


def _subtrees(levels: list[list[Front]]) -> list[list[Front]]:
    """Fronts of the photo's two halves, each in order of elimination; none if it is not cut."""
    chains = []
    for half in levels[-1][0].halves:
        indices = [half]
        parts: list[list[Front]] = []
        for level in reversed(levels[:-1]):
            parts.append([level[i] for i in indices])
            indices = [i for front in parts[-1] for i in front.halves]
        chains.append([front for part in reversed(parts) for front in part])
    return chains


def _eliminate_pivots(matrix: np.ndarray, pivots: int, slot: np.ndarray) -> np.ndarray:
    """Store the factors of a front in ``slot``; returns the update of its boundary.

    Of the matrix and the update, only the lower triangles are used and filled in.
    """
    rest = matrix[pivots:, pivots:]
    if pivots:
        triangle = np.linalg.inv(np.linalg.cholesky(matrix[:pivots, :pivots]))
        coupling = triangle @ matrix[pivots:, :pivots].T
        slot[: pivots**2] = triangle.ravel()
        slot[pivots**2 :] = coupling.ravel()

        def subtract(rows: slice) -> None:
            rest[rows, : rows.stop] -= coupling[:, rows].T @ coupling[:, : rows.stop]

        map_threads(subtract, slices(len(rest), PANEL))
    return rest


@numba.njit(cache=True, nogil=True)
def _eliminate_small(matrix: np.ndarray, pivots: int, slot: np.ndarray) -> np.ndarray:
    """:func:`_eliminate_pivots`, compiled: between steps this small threads wait for Python's lock.

    The triangle is found in double precision, which costs nothing here.
    """
    rest = matrix[pivots:, pivots:]
    if pivots:
        own = matrix[:pivots, :pivots].astype(np.float64)
        triangle = np.linalg.inv(np.linalg.cholesky(own)).astype(matrix.dtype)
        coupling = np.dot(triangle, matrix[pivots:, :pivots].copy().T)
        slot[: pivots**2] = triangle.ravel()
        slot[pivots**2 :] = coupling.ravel()
        rest -= np.dot(coupling.T, coupling)
    return rest


def dissect_coupled(
    laplacian: sp.csr_array, size: tuple[int, int], linked: np.ndarray | None = None
) -> tuple[np.ndarray, list[list[Front]]]:
    """The pixels that must be kept, sorted, and the fronts of the others; see :class:`Factors`."""
    kept = far_pixels(laplacian, size[1]) if linked is None else np.unique(linked)
    mask = np.zeros(size, bool)
    mask.flat[kept] = True
    return kept, dissect(mask)


def far_pixels(laplacian: sp.csr_array, width: int) -> np.ndarray:
    """Sorted pixels that are coupled to others beyond the stencil's reach."""
    row = np.repeat(np.arange(laplacian.shape[0], dtype=np.int32), np.diff(laplacian.indptr))
    column = laplacian.indices
    # Two rows and two columns are 2W + 2 at most; what is nearer in the flat index may still
    # be far in columns, around a photo's rim, and in rows where these are shorter than five.
    far = abs(row - column) > REACH * (width + 1)
    near = ~far
    for places in (np.floor_divide, np.remainder):
        far[near] |= abs(places(row[near], width) - places(column[near], width)) > REACH
    return np.unique(row[far])


def _front_matrix(
    laplacian: sp.csr_array,
    front: Front,
    width: int,
    shift: float,
    halves: list[tuple[Front, np.ndarray]],
    precision: type,
) -> np.ndarray:
    """(k+b, k+b): couplings of the pivots, and what the elimination of the halves left.

    The lower triangle; what is above is not used.
    """
    corner = front.rows[0], front.columns[0]
    place = np.empty((front.rows[1] - corner[0], front.columns[1] - corner[1]), np.int32)
    side = len(front.pivots) + len(front.boundary)
    matrix: np.ndarray = np.zeros((side, side), precision)
    _add_own_couplings(
        matrix,
        front.pivots,
        front.boundary,
        corner,
        place,
        width,
        laplacian.indptr,
        laplacian.indices,
        laplacian.data,
        shift,
    )
    for half, update in halves:
        _add_update(matrix, half.boundary, corner, place, width, update)
    return matrix


@numba.njit(cache=True, nogil=True)
def _add_own_couplings(
    matrix: np.ndarray,
    pivots: np.ndarray,
    boundary: np.ndarray,
    corner: tuple[int, int],
    place: np.ndarray,
    width: int,
    pointers: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    shift: float,
) -> None:
    k, b = len(pivots), len(boundary)
    place[:] = -1  # where in the front a pixel of the box stands
    for i in range(k):
        place[pivots[i] // width - corner[0], pivots[i] % width - corner[1]] = i
    for i in range(b):
        place[boundary[i] // width - corner[0], boundary[i] % width - corner[1]] = k + i
    for i in range(k):
        for entry in range(pointers[pivots[i]], pointers[pivots[i] + 1]):
            row, column = indices[entry] // width - corner[0], indices[entry] % width - corner[1]
            j = place[row, column]  # a pivot couples to its box and the frame alone
            if j >= i:  # else it is above the diagonal, or was eliminated before
                matrix[j, i] += values[entry]
        matrix[i, i] -= shift


@numba.njit(cache=True, nogil=True)
def _add_update(
    matrix: np.ndarray,
    pixels: np.ndarray,
    corner: tuple[int, int],
    place: np.ndarray,
    width: int,
    update: np.ndarray,
) -> None:
    where = np.empty(len(pixels), np.int32)
    for i in range(len(pixels)):
        where[i] = place[pixels[i] // width - corner[0], pixels[i] % width - corner[1]]
    for i in range(len(pixels)):
        for j in range(i + 1):
            row, column = where[i], where[j]
            if row < column:
                row, column = column, row
            matrix[row, column] += update[i, j]


@numba.njit(cache=True, nogil=True)
def _parts(numbers: np.ndarray, start: int, k: int, b: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors of a front: (k, k) and (k, b)."""
    middle = start + k * k
    triangle = numbers[start:middle].reshape(k, k)
    return triangle, numbers[middle : middle + k * b].reshape(k, b)


@numba.njit(cache=True, nogil=True)
def _forward(
    sides: np.ndarray, boundary: np.ndarray, counts: np.ndarray, numbers: np.ndarray
) -> None:
    pivot, place, start = 0, 0, 0
    for k, b in counts:
        if k > 0:
            triangle, coupling = _parts(numbers, start, k, b)
            solved = np.dot(triangle, sides[pivot : pivot + k])
            sides[pivot : pivot + k] = solved
            passed = np.dot(coupling.T, solved)
            for i in range(b):
                row = boundary[place + i]
                for column in range(sides.shape[1]):
                    sides[row, column] -= passed[i, column]
        pivot += k
        place += b
        start += k * (k + b)


@numba.njit(cache=True, nogil=True)
def _backward(
    sides: np.ndarray, boundary: np.ndarray, counts: np.ndarray, numbers: np.ndarray
) -> None:
    pivot, place, start = counts[:, 0].sum(), len(boundary), len(numbers)
    for i in range(len(counts) - 1, -1, -1):
        k, b = counts[i]
        pivot -= k
        place -= b
        start -= k * (k + b)
        if k > 0:
            triangle, coupling = _parts(numbers, start, k, b)
            left = sides[pivot : pivot + k] - np.dot(coupling, sides[boundary[place : place + b]])
            sides[pivot : pivot + k] = np.dot(triangle.T, left)
