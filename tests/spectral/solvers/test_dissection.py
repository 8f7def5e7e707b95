from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.ndimage import binary_dilation

from sss.spectral.solvers.dissection import Front, dissect, far_pixels

SIZES = [(3, 3), (3, 200), (200, 3), (17, 43), (25, 24), (40, 40), (11, 10), (4, 300)]
FRACTIONS = [0.0, 0.05, 0.97, 1.0]
"""Of the pixels that are in the separator."""
NEIGHBOURHOOD = np.ones((5, 5), bool)


def separator_mask(size: tuple[int, int], fraction: float) -> np.ndarray:
    return np.random.default_rng(0).random(size) < fraction


# --- dissection --------------------------------------------------------------------------------


def eliminated(
    levels: list[list[Front]], level: int, index: int, size: tuple[int, int]
) -> np.ndarray:
    """(H, W) bool: pivots of a front and of all fronts below it."""
    front = levels[level][index]
    mask = np.zeros(size, bool)
    mask.flat[front.pivots] = True
    for half in front.children:
        below = eliminated(levels, level - 1, half, size)
        assert not (below & mask).any()
        mask |= below
    return mask


@pytest.mark.parametrize("fraction", FRACTIONS)
@pytest.mark.parametrize("size", SIZES)
def test_every_pixel_is_in_the_separator_or_the_pivot_of_one_front(
    size: tuple[int, int], fraction: float
) -> None:
    separator = separator_mask(size, fraction)
    pivots = [front.pivots for level in dissect(separator) for front in level]
    expected = np.flatnonzero(~separator.ravel())
    np.testing.assert_array_equal(np.sort(np.concatenate(pivots)), expected)


@pytest.mark.parametrize("fraction", FRACTIONS)
@pytest.mark.parametrize("size", SIZES)
def test_last_front_leaves_the_separator(size: tuple[int, int], fraction: float) -> None:
    separator = separator_mask(size, fraction)
    (last,) = dissect(separator)[-1]
    np.testing.assert_array_equal(np.sort(last.boundary), np.flatnonzero(separator))


@pytest.mark.parametrize("size", SIZES)
def test_fronts_are_a_tree(size: tuple[int, int]) -> None:
    levels = dissect(separator_mask(size, 0.05))
    assert all(not front.children for front in levels[0])
    for below, level in pairwise(levels):
        children = [child for front in level for child in front.children]
        assert sorted(children) == list(range(len(below)))


@pytest.mark.parametrize("fraction", FRACTIONS[:3])
@pytest.mark.parametrize("size", SIZES)
def test_boundary_holds_all_that_the_eliminated_pixels_couple_to(
    size: tuple[int, int], fraction: float
) -> None:
    separator = separator_mask(size, fraction)
    levels = dissect(separator)
    for number, level in enumerate(levels):
        for index, front in enumerate(level):
            inside = eliminated(levels, number, index, size)
            boundary = np.zeros(size, bool)
            boundary.flat[front.boundary] = True
            assert boundary.sum() == len(front.boundary)
            assert not (boundary & inside).any()
            around = binary_dilation(inside, NEIGHBOURHOOD) & ~inside
            assert not (around & ~boundary).any()
            halves = [eliminated(levels, number - 1, half, size) for half in front.children]
            if len(halves) == 2:
                assert not (binary_dilation(halves[0], NEIGHBOURHOOD) & halves[1]).any()


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
        coupled = near.astype(float)
        coupled[here, there] = coupled[there, here] = 1
        assert far_pixels(sp.csr_array(coupled), width).tolist() == [here, there]


def test_neighbours_in_memory_at_the_ends_of_rows_are_far() -> None:
    matrix = sp.lil_array((60, 60))
    matrix[11, 12] = matrix[12, 11] = 1.0  # row 0, column 11 and row 1, column 0
    matrix[35, 37] = matrix[37, 35] = 1.0  # row 2, column 11 and row 3, column 1
    matrix[40, 42] = matrix[42, 40] = 1.0  # really two columns apart
    assert far_pixels(sp.csr_array(matrix), 12).tolist() == [11, 12, 35, 37]
