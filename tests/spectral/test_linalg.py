from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from sss.spectral.linalg import inner_products, multiply, orthonormalize, project_out

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]
ROWS = 10_000
"""Several slices for the threads."""


@pytest.fixture
def block() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((ROWS, 7))


def test_products_are_those_of_the_whole(block: np.ndarray) -> None:
    other = np.random.default_rng(1).standard_normal((ROWS, 4))
    np.testing.assert_allclose(inner_products(block, other), block.T @ other, atol=1e-9)
    np.testing.assert_allclose(multiply(block, other[:7]), block @ other[:7], rtol=1e-12)
    sparse = sp.random_array((ROWS, ROWS), density=1e-3, format="csr", rng=2)
    np.testing.assert_allclose(multiply(sparse, block), sparse @ block, rtol=1e-12)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_orthonormalize_is_a_qr_decomposition(block: np.ndarray, precision: type) -> None:
    block = block.astype(precision)
    block[:, 3] = block[:, 2] + 1e-2 * block[:, 3]
    basis, triangle = orthonormalize(block)
    rounding = 100 * np.finfo(precision).eps
    assert basis.dtype == precision
    np.testing.assert_allclose(basis.T @ basis, np.eye(7), atol=rounding)
    np.testing.assert_allclose(basis @ triangle, block, atol=100 * rounding)
    np.testing.assert_array_equal(triangle, np.triu(triangle))


def test_dependent_columns_are_refused(block: np.ndarray) -> None:
    with pytest.raises(np.linalg.LinAlgError):
        orthonormalize(np.hstack([block, block[:, :2]]).astype(np.float32))


def test_what_is_projected_out_is_told(block: np.ndarray) -> None:
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((ROWS, 5)))[0]
    left = block.copy()
    overlaps = project_out(left, basis)
    np.testing.assert_allclose(basis.T @ left, 0, atol=1e-11)
    np.testing.assert_allclose(left + basis @ overlaps, block, atol=1e-12)


def test_threads_do_not_show(block: np.ndarray, one_and_two_threads: Threads) -> None:
    alone, two = one_and_two_threads(lambda: orthonormalize(block))
    np.testing.assert_array_equal(alone[0], two[0])
    np.testing.assert_array_equal(alone[1], two[1])
