from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sss.spectral.solvers.block_ldl import BLOCK, SymmetricFactors

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]


def indefinite(size: int, seed: int = 0) -> np.ndarray:
    """Random symmetric matrix with eigenvalues of either sign, none near zero."""
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.standard_normal((size, size)))[0]
    values = rng.uniform(0.1, 2, size) * np.where(np.arange(size) % 3, 1, -1)
    return (vectors * values) @ vectors.T


@pytest.mark.parametrize("size", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 37])
def test_solution_is_that_of_a_dense_solver(size: int) -> None:
    matrix = indefinite(size)
    sides = np.random.default_rng(1).standard_normal((size, 5))
    expected = np.linalg.solve(matrix, sides)
    found = SymmetricFactors(matrix.copy()).solve(sides.copy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * abs(expected).max())


def test_only_the_lower_triangle_is_read() -> None:
    matrix = indefinite(BLOCK + 50)
    sides = np.random.default_rng(1).standard_normal((len(matrix), 3))
    expected = SymmetricFactors(matrix.copy()).solve(sides.copy())
    found = SymmetricFactors(np.tril(matrix)).solve(sides.copy())
    np.testing.assert_array_equal(found, expected)


def test_singular_block_is_left_to_lu() -> None:
    # The first block is zero; the whole swaps both halves.
    matrix = np.zeros((2 * BLOCK, 2 * BLOCK))
    matrix[BLOCK:, :BLOCK] = matrix[:BLOCK, BLOCK:] = np.diag(np.arange(1.0, BLOCK + 1))
    sides = np.random.default_rng(1).standard_normal((2 * BLOCK, 3))
    expected = np.linalg.solve(matrix, sides)
    found = SymmetricFactors(matrix.copy()).solve(sides.copy())
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("nearly", [1e-9, 1e-14])
def test_nearly_singular_block_loses_no_digits(nearly: float) -> None:
    matrix = indefinite(2 * BLOCK)
    matrix[:BLOCK, :BLOCK] = nearly * indefinite(BLOCK, 3)
    sides = np.random.default_rng(1).standard_normal((2 * BLOCK, 3))
    expected = np.linalg.solve(matrix, sides)
    found = SymmetricFactors(matrix.copy()).solve(sides.copy())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * abs(expected).max())


def test_single_precision_keeps_five_digits() -> None:
    matrix = indefinite(BLOCK + 50)
    sides = np.random.default_rng(1).standard_normal((len(matrix), 3))
    expected = np.linalg.solve(matrix, sides)
    found = SymmetricFactors(matrix.astype(np.float32)).solve(sides.astype(np.float32))
    assert found.dtype == np.float32
    relative = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert 1e-9 < relative < 1e-3


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_threads_do_not_show(precision: type, one_and_two_threads: Threads) -> None:
    matrix = indefinite(3 * BLOCK + 11)
    sides = np.random.default_rng(1).standard_normal((len(matrix), 16)).astype(precision)
    alone, two = one_and_two_threads(
        lambda: SymmetricFactors(matrix.astype(precision)).solve(sides.astype(precision))
    )
    np.testing.assert_array_equal(alone, two)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_matrix_that_is_not_finite_is_refused(bad: float) -> None:
    matrix = indefinite(30)
    matrix[7, 3] = matrix[3, 7] = bad
    with pytest.raises(np.linalg.LinAlgError):
        SymmetricFactors(matrix)
