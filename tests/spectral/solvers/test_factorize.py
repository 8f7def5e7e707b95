"""All methods against each other and dense solvers."""

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from sss.errors import InputError
from sss.spectral.laplacian import graph_laplacian, matting_laplacian
from sss.spectral.solvers import METHODS, Factors, factorize

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]
SIZES = [(3, 3), (3, 200), (200, 3), (17, 43), (40, 40), (4, 300)]
FRACTIONS = [0.0, 0.05, 0.97, 1.0]
"""Of the pixels that are coupled over any distance."""

SHIFT = -1e-6
"""Of the eigensolver."""

pardiso = pytest.mark.skipif(
    importlib.util.find_spec("pypardiso") is None, reason="pypardiso is not installed"
)
WORKING = [pytest.param(method, marks=pardiso if method == "pardiso" else ()) for method in METHODS]


def coupled_laplacian(
    size: tuple[int, int], fraction: float, photo: np.ndarray | None = None
) -> sp.csr_array:
    """A matting Laplacian and far couplings of either sign between some of the pixels."""
    rng = np.random.default_rng(1)
    matting = matting_laplacian(rng.random((*size, 3)) if photo is None else photo)
    ends = np.flatnonzero(np.random.default_rng(0).random(size) < fraction)
    if not len(ends):
        return matting
    pairs = np.stack([np.tile(ends, 4), np.concatenate([rng.permutation(ends) for _ in range(4)])])
    weights = rng.uniform(-0.01, 0.01, pairs.shape[1])
    affinity = sp.coo_array((weights, (pairs[0], pairs[1])), shape=matting.shape).tocsr()
    return (matting + graph_laplacian(affinity + affinity.T)).tocsr()


def mean_free(size: int, columns: int) -> np.ndarray:
    """Random right-hand sides without the constant part, which the shift blows up."""
    rhs = np.random.default_rng(2).standard_normal((size, columns))
    return rhs - rhs.mean(axis=0)


def relative_residual(laplacian: sp.csr_array, factors: Factors, rhs: np.ndarray) -> float:
    """Of what ``SHIFT`` makes of the Laplacian, in units of the solution."""
    found = factors.solve(rhs)
    missed = laplacian @ found - SHIFT * found - rhs
    return float(np.linalg.norm(missed) / np.linalg.norm(found))


@pytest.mark.parametrize("method", WORKING)
@pytest.mark.parametrize("fraction", FRACTIONS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.slow
def test_solution_is_that_of_a_dense_solver(
    size: tuple[int, int], fraction: float, method: str
) -> None:
    laplacian = coupled_laplacian(size, fraction)
    pixels = laplacian.shape[0]
    shift = -1e-2 - 0.2 * (fraction > 0)  # away from the eigenvalues of the couplings
    rhs = np.random.default_rng(3).standard_normal((pixels, 4))
    before = rhs.copy()
    expected = np.linalg.solve(laplacian.toarray() - shift * np.eye(pixels), rhs)
    found = factorize(laplacian, size, shift, method).solve(rhs)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * abs(expected).max())
    np.testing.assert_array_equal(rhs, before)


@pytest.mark.parametrize("method", WORKING)
@pytest.mark.parametrize("fraction", FRACTIONS[:3])
def test_shift_of_the_eigensolver(fraction: float, method: str) -> None:
    laplacian = coupled_laplacian((33, 52), fraction)
    rhs = mean_free(33 * 52, 3)
    factors = factorize(laplacian, (33, 52), SHIFT, method)
    assert relative_residual(laplacian, factors, rhs) < 1e-9


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_photos_of_few_flat_greys(levels: int) -> None:
    rng = np.random.default_rng(4)
    shades = rng.integers(0, levels, (9, 10)).repeat(3, axis=0).repeat(4, axis=1)
    photo = np.repeat(shades[..., None] / max(levels - 1, 1), 3, axis=2)
    laplacian = coupled_laplacian((27, 40), 0.05, photo)
    factors = factorize(laplacian, (27, 40), SHIFT, "dissection")
    assert relative_residual(laplacian, factors, mean_free(27 * 40, 2)) < 1e-6


@pytest.mark.parametrize("fraction", FRACTIONS[:3])
@pytest.mark.slow
def test_single_precision_keeps_two_digits(fraction: float) -> None:
    size = (33, 52)
    laplacian = coupled_laplacian(size, fraction)
    rhs = mean_free(33 * 52, 3)
    exact = factorize(laplacian, size, SHIFT).solve(rhs)
    single = factorize(laplacian, size, SHIFT, precision=np.float32).solve(rhs.astype(np.float32))
    assert single.dtype == np.float32
    # The constant vector's inverse is 1e6: rounding goes there first, and is taken out again.
    error = (single - single.mean(axis=0)) - (exact - exact.mean(axis=0))
    relative = np.linalg.norm(error) / np.linalg.norm(exact - exact.mean(axis=0))
    assert 1e-9 < relative < 5e-2


@pytest.mark.parametrize("precision", [np.float32, np.float64])
@pytest.mark.parametrize("fraction", FRACTIONS[:3])
def test_threads_do_not_show(
    fraction: float, precision: type, one_and_two_threads: Threads
) -> None:
    laplacian = coupled_laplacian((45, 38), fraction)
    rhs = mean_free(45 * 38, 16).astype(precision)

    def solve() -> np.ndarray:
        return factorize(laplacian, (45, 38), SHIFT, "dissection", precision=precision).solve(rhs)

    np.testing.assert_array_equal(*one_and_two_threads(solve))


# --- where a method does not serve -------------------------------------------------------------


def test_superlu_takes_over_where_nested_dissection_fails() -> None:
    laplacian = coupled_laplacian((20, 30), 0.05)
    rhs = mean_free(600, 3)
    shift = 0.5  # amid the eigenvalues: fronts are not positive definite
    with pytest.raises(np.linalg.LinAlgError):
        factorize(laplacian, (20, 30), shift, "dissection")
    expected = np.linalg.solve(laplacian.toarray() - shift * np.eye(600), rhs)
    np.testing.assert_allclose(
        factorize(laplacian, (20, 30), shift).solve(rhs), expected, rtol=1e-6
    )


def test_singular_separator_is_refused_by_every_method() -> None:
    # Two pixels that are coupled to each other alone, and a zero eigenvalue.
    matrix = sp.lil_array((48, 48))
    matrix.setdiag(1.0)
    matrix[0, 47] = matrix[47, 0] = 1.0
    for method in ("dissection", "superlu", "auto"):
        with pytest.raises(np.linalg.LinAlgError):
            factorize(sp.csr_array(matrix), (6, 8), 0.0, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fraction", [0.0, 0.05, 1.0])
def test_nan_is_refused(fraction: float, method: str) -> None:
    laplacian = coupled_laplacian((30, 30), fraction)
    laplacian.data[100] = np.nan
    with pytest.raises(np.linalg.LinAlgError, match="NaN or infinite"):
        factorize(laplacian, (30, 30), SHIFT, method)


def test_missing_pardiso_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypardiso", None)  # so its import fails
    laplacian = coupled_laplacian((9, 12), 0.05)
    with pytest.warns(RuntimeWarning, match="pypardiso.*SuperLU is used instead") as told:
        both = [factorize(laplacian, (9, 12), SHIFT, "pardiso") for _ in range(2)]
    assert len(told) == 1
    assert relative_residual(laplacian, both[1], mean_free(108, 2)) < 1e-9


def test_bad_arguments_are_told() -> None:
    laplacian = coupled_laplacian((9, 12), 0.0)
    with pytest.raises(InputError, match="'lu'; expected one of auto, dissection"):
        factorize(laplacian, (9, 12), SHIFT, "lu")
    with pytest.raises(InputError, match="108 pixels"):
        factorize(coupled_laplacian((9, 11), 0.0), (9, 12), SHIFT)
