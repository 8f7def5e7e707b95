from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sss.spectral.components import constrained_components, constrained_weight, solve_coupled
from sss.spectral.eigenvectors import smallest_eigenvectors
from sss.spectral.laplacian import matting_laplacian
from sss.spectral.sampling import sample_lattice_pixels

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]
Pairs = tuple[np.ndarray, np.ndarray]
Started = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def two_colours() -> Pairs:
    """Eigenpairs of a photo whose columns 0–8 and 9–23 differ in colour."""
    photo = np.full((20, 24, 3), 0.2)
    photo[:, 9:] = (0.9, 0.4, 0.1)
    return smallest_eigenvectors(matting_laplacian(photo), (20, 24), 30)


def dense_system(
    basis: np.ndarray, energy: np.ndarray, to_zero: np.ndarray, to_one: np.ndarray
) -> np.ndarray:
    """The round's normal equations written out, ((C−1)·M)² unknowns at once.

    Minimises Σ_k y_kᵀ Λ y_k + Σ w0·α² + w1·(α − 1)² over y_1 … y_{C−1}, α_C = 1 − Σ α_k.
    """
    size, count = basis.shape[1], to_zero.shape[1] - 1
    matrix = np.zeros((count * size, count * size))
    side = np.zeros(count * size)
    for j in range(count):
        rows = slice(j * size, (j + 1) * size)
        for k in range(count):
            weight = to_zero[:, -1] + to_one[:, -1] + (to_zero[:, j] + to_one[:, j]) * (j == k)
            block = basis.T @ np.diag(weight) @ basis + energy * (1 + (j == k))
            matrix[rows, k * size : (k + 1) * size] = block
        side[rows] = basis.T @ (to_one[:, j] + to_zero[:, -1])
    return np.linalg.solve(matrix, side).reshape(count, size).T


@pytest.mark.parametrize("components", [2, 3, 6])
def test_coupled_solve_equals_the_whole_system(components: int) -> None:
    rng = np.random.default_rng(components)
    basis = np.linalg.qr(rng.standard_normal((60, 7)))[0]
    energy = np.diag(rng.uniform(-0.01, 0.5, 7))
    to_zero, to_one = 10 ** rng.uniform(-1, 4, (2, 60, components))
    solved = solve_coupled(basis, energy, to_zero.T, to_one.T).T
    assert solved.shape == (7, components - 1)
    expected = dense_system(basis, energy, to_zero, to_one)
    np.testing.assert_allclose(solved, expected, rtol=1e-7, atol=1e-9)


def test_weights_are_those_of_the_sparsity_energy() -> None:
    deviation = np.array([-0.7, -0.01, 0.02, 0.5, 1.4])
    step = 1e-7

    def energy(d: np.ndarray) -> np.ndarray:
        return 0.3**0.8 * abs(d) ** 0.8

    gradient = (energy(deviation + step) - energy(deviation - step)) / (2 * step)
    np.testing.assert_allclose(constrained_weight(deviation) * deviation, gradient / 0.8, rtol=1e-5)
    single = constrained_weight(deviation.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, constrained_weight(deviation), rtol=1e-5)


@pytest.mark.parametrize(("dtype", "floor"), [(np.float64, 1e-10), (np.float32, 1e-4)])
def test_weight_is_bounded_at_no_deviation(dtype: type, floor: float) -> None:
    weight = constrained_weight(np.array([0.0, 1e-12, -1e-12], dtype))
    np.testing.assert_allclose(weight, 0.3**0.8 * floor**-1.2, rtol=1e-5)


def test_two_flat_colours_give_two_crisp_components(two_colours: Pairs) -> None:
    truth = np.repeat((np.arange(24) >= 9)[None], 20, axis=0).ravel().astype(int)
    start = truth.copy()
    start[np.random.default_rng(0).random(480) < 0.2] = 1  # a start that is wrong here and there
    alpha = constrained_components(*two_colours, start)
    np.testing.assert_allclose(alpha, np.eye(2)[truth], atol=1e-3)


def test_superfluous_components_die(two_colours: Pairs) -> None:
    start = np.random.default_rng(1).integers(0, 8, 480)
    assert 2 <= constrained_components(*two_colours, start).shape[1] < 8


@pytest.fixture(scope="module")
def components(eigenpairs: Started) -> np.ndarray:
    """Of all pixels' equations in double precision."""
    return constrained_components(*eigenpairs)


def test_components_sum_to_one(eigenpairs: Started, components: np.ndarray) -> None:
    assert components.shape[0] == 48 * 56
    assert 3 <= components.shape[1] <= eigenpairs[2].max() + 1
    np.testing.assert_allclose(components.sum(axis=1), 1, atol=1e-12)


def test_components_are_combinations_of_the_eigenvectors(
    eigenpairs: Started, components: np.ndarray
) -> None:
    vectors = eigenpairs[1]
    np.testing.assert_allclose(vectors @ (vectors.T @ components), components, atol=1e-6)


def overlap_of_big_components(every: np.ndarray, other: np.ndarray) -> float:
    """Least intersection over union of the components that own a tenth of the pixels."""
    overlap = (every > 0.5).T.astype(float) @ (other > 0.5)
    union = np.add.outer((every > 0.5).sum(axis=0), (other > 0.5).sum(axis=0)) - overlap
    big = (every > 0.5).mean(axis=0) > 0.1
    assert big.sum() >= 2
    return float((overlap / np.maximum(union, 1))[big].max(axis=1).min())


def test_a_third_of_the_pixels_gives_much_the_same_components(
    eigenpairs: Started, components: np.ndarray
) -> None:
    # The big components carry the picture; a start of small clusters may die otherwise.
    values, vectors, start = eigenpairs
    pixels = sample_lattice_pixels((48, 56), 900)
    sampled = constrained_components(values, vectors, start[pixels], pixels)
    assert sampled.shape[0] == 48 * 56
    assert overlap_of_big_components(components, sampled) > 0.9


def test_every_pixel_is_what_no_choice_of_pixels_means(two_colours: Pairs) -> None:
    start = np.random.default_rng(1).integers(0, 4, 480)
    every = constrained_components(*two_colours, start)
    named = constrained_components(*two_colours, start, np.arange(480))
    np.testing.assert_array_equal(every, named)


def test_sampled_equations_count_for_all(two_colours: Pairs) -> None:
    # Half the pixels, each standing for two, are worth as much as these pixels twice. One round:
    # later ones amplify rounding.
    start = np.random.default_rng(1).integers(0, 4, 480)
    half = np.arange(0, 480, 2)
    twice = np.repeat(half, 2)
    once, doubled = (
        constrained_components(*two_colours, start[pixels], pixels, iterations=1)
        for pixels in (half, twice)
    )
    np.testing.assert_allclose(doubled, once, atol=1e-7)


def test_single_precision_gives_much_the_same_components(
    eigenpairs: Started, components: np.ndarray
) -> None:
    single = constrained_components(*eigenpairs, single=True)
    np.testing.assert_allclose(single.sum(axis=1), 1, atol=1e-5)
    assert overlap_of_big_components(components, single) > 0.9


@pytest.mark.parametrize("single", [False, True])
def test_threads_do_not_show(
    eigenpairs: Started, single: bool, one_and_two_threads: Threads
) -> None:
    alone, two = one_and_two_threads(
        lambda: constrained_components(*eigenpairs, single=single, iterations=12)
    )
    np.testing.assert_array_equal(alone, two)


def test_one_cluster_gives_one_component(two_colours: Pairs) -> None:
    alpha = constrained_components(*two_colours, np.zeros(480, int))
    np.testing.assert_array_equal(alpha, np.ones((480, 1)))


def test_one_component_is_left_when_all_die(two_colours: Pairs) -> None:
    alpha = constrained_components(*two_colours, np.arange(480) % 4, removal_maximum=10.0)
    np.testing.assert_array_equal(alpha, np.ones((480, 1)))
