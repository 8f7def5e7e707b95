import numpy as np
import pytest

from sss.spectral import linalg as tall
from sss.spectral.linalg import (
    combine,
    complement,
    map_rows,
    orthonormal,
    products,
    remove_parts,
    unit_columns,
)


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tall, "ROWS", 64)


@pytest.fixture
def block() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((300, 7))


def test_products_and_combinations_are_those_of_the_whole(block: np.ndarray) -> None:
    other = np.random.default_rng(1).standard_normal((300, 4))
    np.testing.assert_allclose(products(block, other), block.T @ other, rtol=1e-12)
    np.testing.assert_allclose(combine(block, other[:7]), block @ other[:7], rtol=1e-12)
    doubled = map_rows(lambda rows: 2 * block[rows], 300)
    np.testing.assert_array_equal(doubled, 2 * block)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_orthonormal_is_a_qr_decomposition(block: np.ndarray, precision: type) -> None:
    block = block.astype(precision)
    block[:, 3] = block[:, 2] + 1e-2 * block[:, 3]
    basis, triangle = orthonormal(block)
    rounding = 100 * np.finfo(precision).eps
    assert basis.dtype == precision
    np.testing.assert_allclose(basis.T @ basis, np.eye(7), atol=rounding)
    np.testing.assert_allclose(basis @ triangle, block, atol=100 * rounding)
    np.testing.assert_array_equal(triangle, np.triu(triangle))


def test_what_is_removed_is_told(block: np.ndarray) -> None:
    space = np.linalg.qr(np.random.default_rng(1).standard_normal((300, 5)))[0]
    left = block.copy()
    overlaps = remove_parts(left, space)
    np.testing.assert_allclose(space.T @ left, 0, atol=1e-12)
    np.testing.assert_allclose(left + space @ overlaps, block, atol=1e-12)


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_unit_columns(block: np.ndarray, precision: type) -> None:
    given = (block * [1, 1e-20, 0, 1, 1e15, 1, 1]).astype(precision)
    scaled = given.copy()
    lengths = unit_columns(scaled)
    assert lengths.dtype == np.float64
    np.testing.assert_allclose(lengths, np.linalg.norm(given.astype(float), axis=0))
    np.testing.assert_allclose(np.linalg.norm(scaled, axis=0), [1, 1, 0, 1, 1, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(scaled * lengths, given, rtol=1e-6)


@pytest.mark.parametrize(("precision", "rounding"), [(np.float32, 1e-5), (np.float64, 1e-10)])
def test_complement_leaves_out_what_is_there_already(
    block: np.ndarray, precision: type, rounding: float
) -> None:
    space = np.linalg.qr(block[:, :4])[0].astype(precision)
    given = np.column_stack([block, block[:, 0], np.zeros(300)])  # of 9, only 3 add something
    given *= [1, 1, 1, 1, 1, 1e-3, 1, 1, 1]
    found = complement(given.astype(np.float32).astype(precision), space)
    assert found.dtype == precision
    whole = np.hstack([space, found])
    np.testing.assert_allclose(whole.T @ whole, np.eye(whole.shape[1]), atol=rounding)
    missed = block - whole @ (whole.T @ block)
    assert np.abs(missed).max() < 1e-4  # the given ones were rounded


def test_complement_of_nothing_is_empty(block: np.ndarray) -> None:
    space = np.linalg.qr(block)[0]
    assert complement(np.zeros((300, 3), np.float32), space).shape == (300, 0)


def test_complement_of_nearly_dependent_columns(block: np.ndarray) -> None:
    space = np.linalg.qr(block)[0].astype(np.float32)
    mixed = np.random.default_rng(1).standard_normal((300, 40)) * 0.5 ** np.arange(40)
    given = (mixed @ np.random.default_rng(2).standard_normal((40, 60))).astype(np.float32)
    found = complement(given, space)
    np.testing.assert_allclose(found.T @ found, np.eye(found.shape[1]), atol=1e-4)
    np.testing.assert_allclose(space.T @ found, 0, atol=1e-4)
