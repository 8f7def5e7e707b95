from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.ndimage import binary_dilation
from scipy.sparse.linalg import spsolve

from sss.spectral.laplacian import graph_laplacian, matting_laplacian
from sss.spectral.solvers.dissection import Factors, Front, dissect, far_pixels

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]
SIZES = [(3, 3), (3, 200), (200, 3), (17, 43), (25, 24), (40, 40), (11, 10), (4, 300)]
KEPT = ["none", "some", "most", "all"]
REACH = np.ones((5, 5), bool)


def kept_mask(size: tuple[int, int], how_many: str) -> np.ndarray:
    share = {"none": 0.0, "some": 0.05, "most": 0.97, "all": 1.0}[how_many]
    return np.random.default_rng(0).random(size) < share


def linked_laplacian(
    size: tuple[int, int], how_many: str, photo: np.ndarray | None = None
) -> sp.csr_array:
    """A matting Laplacian and far couplings of either sign between some of the pixels."""
    rng = np.random.default_rng(1)
    matting = matting_laplacian(rng.random((*size, 3)) if photo is None else photo)
    ends = np.flatnonzero(kept_mask(size, how_many))
    if not len(ends):
        return matting
    pairs = np.stack([np.tile(ends, 4), np.concatenate([rng.permutation(ends) for _ in range(4)])])
    weights = rng.uniform(-0.01, 0.01, pairs.shape[1])
    affinity = sp.coo_array((weights, (pairs[0], pairs[1])), shape=matting.shape).tocsr()
    return (matting + graph_laplacian(affinity + affinity.T)).tocsr()


def mean_free(size: int, columns: int, seed: int = 2) -> np.ndarray:
    """Random right-hand sides without the constant part, which the shift blows up."""
    sides = np.random.default_rng(seed).standard_normal((size, columns))
    return sides - sides.mean(axis=0)


# --- dissection --------------------------------------------------------------------------------


def eliminated(levels: list[list[Front]], level: int, index: int, size: tuple[int, int]) -> Any:
    """(H, W) bool: pivots of a front and of all fronts below it."""
    front = levels[level][index]
    mask = np.zeros(size, bool)
    mask.flat[front.pivots] = True
    for half in front.halves:
        below = eliminated(levels, level - 1, half, size)
        assert not (below & mask).any()
        mask |= below
    return mask


@pytest.mark.parametrize("how_many", KEPT)
@pytest.mark.parametrize("size", SIZES)
def test_every_pixel_is_kept_or_the_pivot_of_one_front(
    size: tuple[int, int], how_many: str
) -> None:
    kept = kept_mask(size, how_many)
    pivots = [front.pivots for level in dissect(kept) for front in level]
    expected = np.flatnonzero(~kept.ravel())
    np.testing.assert_array_equal(np.sort(np.concatenate(pivots)), expected)


@pytest.mark.parametrize("how_many", KEPT)
@pytest.mark.parametrize("size", SIZES)
def test_last_front_leaves_the_kept_pixels(size: tuple[int, int], how_many: str) -> None:
    kept = kept_mask(size, how_many)
    (last,) = dissect(kept)[-1]
    np.testing.assert_array_equal(np.sort(last.boundary), np.flatnonzero(kept))


@pytest.mark.parametrize("size", SIZES)
def test_fronts_are_a_tree(size: tuple[int, int]) -> None:
    levels = dissect(kept_mask(size, "some"))
    assert all(not front.halves for front in levels[0])
    for below, level in pairwise(levels):
        halves = [half for front in level for half in front.halves]
        assert sorted(halves) == list(range(len(below)))


@pytest.mark.parametrize("how_many", ["none", "some", "most"])
@pytest.mark.parametrize("size", SIZES)
def test_boundary_holds_all_that_the_eliminated_pixels_couple_to(
    size: tuple[int, int], how_many: str
) -> None:
    kept = kept_mask(size, how_many)
    levels = dissect(kept)
    for number, level in enumerate(levels):
        for index, front in enumerate(level):
            inside = eliminated(levels, number, index, size)
            boundary = np.zeros(size, bool)
            boundary.flat[front.boundary] = True
            assert boundary.sum() == len(front.boundary)
            assert not (boundary & inside).any()
            around = binary_dilation(inside, REACH) & ~inside
            assert not (around & ~boundary).any()
            halves = [eliminated(levels, number - 1, half, size) for half in front.halves]
            if len(halves) == 2:
                assert not (binary_dilation(halves[0], REACH) & halves[1]).any()


def test_fronts_stay_small() -> None:
    levels = dissect(np.zeros((150, 170), bool))
    assert max(len(front.pivots) for front in levels[0]) <= 100
    assert max(len(front.pivots) for level in levels for front in level) <= 2 * 150
    assert len(levels[-1][0].boundary) == 0


# --- far pixels --------------------------------------------------------------------------------


def naive_far_pixels(matrix: np.ndarray, width: int) -> list[int]:
    far = set()
    for here, there in np.argwhere(matrix).tolist():
        down, right = np.subtract(divmod(here, width), divmod(there, width))
        if max(abs(down), abs(right)) > 2:
            far.add(here)
    return sorted(far)


@pytest.mark.parametrize("width", [3, 4, 5, 6, 7, 12])
def test_far_pixels_equal_those_of_nested_loops(width: int) -> None:
    rng = np.random.default_rng(width)
    height = 60 // width
    for _ in range(20):
        dense = np.triu(rng.random((height * width,) * 2) < 0.02)
        matrix = (dense | dense.T).astype(float)
        assert far_pixels(sp.csr_array(matrix), width).tolist() == naive_far_pixels(matrix, width)


@pytest.mark.parametrize("width", [3, 4, 5, 8, 30])
def test_reach_of_the_stencil_is_exact(width: int) -> None:
    size = (12, width)
    everything = np.ones((12 * width, 12 * width))
    row, column = (axis.ravel() for axis in np.indices(size))
    near = (abs(row[:, None] - row) <= 2) & (abs(column[:, None] - column) <= 2)
    assert len(far_pixels(sp.csr_array(everything * near), width)) == 0
    for right in (-2, -1, 0, 1, 2):  # three rows down
        here, there = max(-right, 0), 3 * width + max(right, 0)
        linked = near.astype(float)
        linked[here, there] = linked[there, here] = 1
        assert far_pixels(sp.csr_array(linked), width).tolist() == [here, there]


def test_neighbours_in_memory_at_the_ends_of_rows_are_far() -> None:
    matrix = sp.lil_array((60, 60))
    matrix[11, 12] = matrix[12, 11] = 1.0  # row 0, column 11 and row 1, column 0
    matrix[35, 37] = matrix[37, 35] = 1.0  # row 2, column 11 and row 3, column 1
    matrix[40, 42] = matrix[42, 40] = 1.0  # really two columns apart
    assert far_pixels(sp.csr_array(matrix), 12).tolist() == [11, 12, 35, 37]


# --- factors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how_many", KEPT)
@pytest.mark.parametrize("size", SIZES)
def test_solution_is_that_of_a_dense_solver(size: tuple[int, int], how_many: str) -> None:
    laplacian = linked_laplacian(size, how_many)
    count = laplacian.shape[0]
    shift = -1e-2 - 0.2 * (how_many != "none")  # away from the eigenvalues of the couplings
    dense = laplacian.toarray() - shift * np.eye(count)
    sides = np.random.default_rng(3).standard_normal((count, 4))
    expected = np.linalg.solve(dense, sides)
    found = Factors(laplacian, size, shift).solve(sides)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * abs(expected).max())


@pytest.mark.parametrize("how_many", ["none", "some", "most"])
def test_shift_of_the_eigensolver_is_as_good_as_a_sparse_lu(how_many: str) -> None:
    size = (33, 52)
    laplacian = linked_laplacian(size, how_many)
    sides = mean_free(laplacian.shape[0], 3)
    shifted = sp.csc_array(laplacian + 1e-6 * sp.eye_array(laplacian.shape[0]))
    expected = spsolve(shifted, sides)
    found = Factors(laplacian, size, -1e-6).solve(sides)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * abs(expected).max())
    ours, theirs = (np.linalg.norm(shifted @ x - sides) for x in (found, expected))
    assert ours < 100 * theirs + 1e-9


@pytest.mark.parametrize("how_many", ["none", "some", "most"])
def test_single_precision_keeps_two_digits(how_many: str) -> None:
    size = (33, 52)
    laplacian = linked_laplacian(size, how_many)
    sides = mean_free(laplacian.shape[0], 3)
    exact = Factors(laplacian, size, -1e-6).solve(sides)
    single = Factors(laplacian, size, -1e-6, single=True).solve(sides.astype(np.float32))
    assert single.dtype == np.float32
    # The constant vector's inverse is 1e6: rounding goes there first, and is taken out again.
    error = (single - single.mean(axis=0)) - (exact - exact.mean(axis=0))
    relative = np.linalg.norm(error) / np.linalg.norm(exact - exact.mean(axis=0))
    assert 1e-9 < relative < 5e-2


def test_greys_and_flat_colours_are_factorised() -> None:
    rng = np.random.default_rng(4)
    for levels in (1, 2, 5):
        shades = rng.integers(0, levels, (9, 10)).repeat(3, axis=0).repeat(4, axis=1)
        photo = np.repeat(shades[..., None] / max(levels - 1, 1), 3, axis=2)
        laplacian = linked_laplacian((27, 40), "some", photo)
        sides = mean_free(27 * 40, 2)
        shifted = laplacian + 1e-6 * sp.eye_array(27 * 40)
        found = Factors(laplacian, (27, 40), -1e-6).solve(sides)
        assert np.linalg.norm(shifted @ found - sides) < 1e-6 * np.linalg.norm(found)


def test_sides_are_left_alone() -> None:
    laplacian = linked_laplacian((17, 43), "some")
    sides = mean_free(17 * 43, 2)
    before = sides.copy()
    Factors(laplacian, (17, 43), -1e-6).solve(sides)
    np.testing.assert_array_equal(sides, before)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("how_many", ["none", "some", "most"])
def test_threads_do_not_show(how_many: str, single: bool, one_and_two_threads: Threads) -> None:
    laplacian = linked_laplacian((45, 38), how_many)
    sides = mean_free(45 * 38, 16).astype(np.float32 if single else np.float64)
    alone, two = one_and_two_threads(
        lambda: Factors(laplacian, (45, 38), -1e-6, single).solve(sides)
    )
    np.testing.assert_array_equal(alone, two)


@pytest.mark.parametrize("how_many", ["none", "some"])
@pytest.mark.parametrize("place", [(0, 0), (14, 14), (29, 3)])
def test_photo_with_nan_is_refused(how_many: str, place: tuple[int, int]) -> None:
    photo = np.random.default_rng(5).random((30, 30, 3))
    photo[place] = np.nan
    laplacian = linked_laplacian((30, 30), how_many, photo)
    with pytest.raises(np.linalg.LinAlgError):
        Factors(laplacian, (30, 30), -1e-6)


def test_nan_between_kept_pixels_is_refused() -> None:
    laplacian = linked_laplacian((30, 30), "all")
    laplacian.data[:] = np.nan
    with pytest.raises(np.linalg.LinAlgError):
        Factors(laplacian, (30, 30), -1e-6)


def test_negative_definite_matrices_are_refused() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        Factors(-1.0 * matting_laplacian(np.full((20, 30, 3), 0.5)), (20, 30), -1e-6)
