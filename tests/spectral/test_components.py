from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sss.data.scenes import generate_scene
from sss.spectral import components as constrained
from sss.spectral.clustering import cluster_pixels
from sss.spectral.components import (
    SINGLE_FLOOR,
    _inverse,
    _solve_coupled,
    constrained_components,
    sample_pixels,
    sparsity_weight,
)
from sss.spectral.eigenvectors import smallest_eigenvectors
from sss.spectral.laplacian import matting_laplacian, soft_segmentation_laplacian
from sss.spectral.superpixels import compute_superpixels

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]
Eigenpairs = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def two_colours() -> Eigenpairs:
    """Of the matting Laplacian of a photo whose columns 0–8 and 9–23 differ in colour."""
    photo = np.full((20, 24, 3), 0.2)
    photo[:, 9:] = (0.9, 0.4, 0.1)
    return smallest_eigenvectors(matting_laplacian(photo), (20, 24), 30)


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues, eigenvectors and start of a 48×56 scene of three regions."""
    drawn = generate_scene(5, (48, 56), regions=(3, 3))
    photo = drawn.photo.astype(np.float64)
    features = drawn.alphas @ np.array([[0.1, 0.1, 0.9], [0.9, 0.2, 0.1], [0.2, 0.9, 0.3]])
    laplacian = soft_segmentation_laplacian(photo, features, compute_superpixels(photo))
    return *smallest_eigenvectors(laplacian, (48, 56), 40), cluster_pixels(features, 12)


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
    solved = _solve_coupled(basis, energy, to_zero.T, to_one.T).T
    assert solved.shape == (7, components - 1)
    expected = dense_system(basis, energy, to_zero, to_one)
    np.testing.assert_allclose(solved, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 25, 26, 51, 100])
def test_inverse_by_sweeps(size: int) -> None:
    rng = np.random.default_rng(size)
    roots = rng.standard_normal((300, size)) * 10 ** rng.uniform(0, 2, (300, 1))
    matrix = roots.T @ roots
    expected = np.linalg.inv(matrix)
    found = _inverse(matrix)
    np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(expected).max())


def test_weights_are_those_of_the_sparsity_energy() -> None:
    deviation = np.array([-0.7, -0.01, 0.02, 0.5, 1.4])
    step = 1e-7

    def energy(d: np.ndarray) -> np.ndarray:
        return 0.3**0.8 * abs(d) ** 0.8

    gradient = (energy(deviation + step) - energy(deviation - step)) / (2 * step)
    np.testing.assert_allclose(sparsity_weight(deviation) * deviation, gradient / 0.8, rtol=1e-5)
    single = sparsity_weight(deviation.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, sparsity_weight(deviation), rtol=1e-5)


@pytest.mark.parametrize(("dtype", "floor"), [(np.float64, 1e-10), (np.float32, 1e-4)])
def test_weight_is_bounded_at_no_deviation(dtype: type, floor: float) -> None:
    weight = sparsity_weight(np.array([0.0, 1e-12, -1e-12], dtype))
    np.testing.assert_allclose(weight, 0.3**0.8 * floor**-1.2, rtol=1e-5)


def test_two_flat_colours_give_two_crisp_components(two_colours: Eigenpairs) -> None:
    truth = np.repeat((np.arange(24) >= 9)[None], 20, axis=0).ravel().astype(int)
    start = truth.copy()
    start[np.random.default_rng(0).random(480) < 0.2] = 1  # a start that is wrong here and there
    alpha = constrained_components(*two_colours, start)
    np.testing.assert_allclose(alpha, np.eye(2)[truth], atol=1e-3)


def test_superfluous_components_die(two_colours: Eigenpairs) -> None:
    start = np.random.default_rng(1).integers(0, 8, 480)
    alpha = constrained_components(*two_colours, start)
    assert 2 <= alpha.shape[1] < 8


def test_components_sum_to_one(scene: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    alpha = constrained_components(*scene)
    assert alpha.shape[0] == 48 * 56
    assert 3 <= alpha.shape[1] <= scene[2].max() + 1
    np.testing.assert_allclose(alpha.sum(axis=1), 1, atol=1e-12)


def test_components_are_combinations_of_the_eigenvectors(
    scene: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    vectors = scene[1]
    alpha = constrained_components(*scene)
    np.testing.assert_allclose(vectors @ (vectors.T @ alpha), alpha, atol=1e-6)


def overlap_of_big_components(every: np.ndarray, other: np.ndarray) -> float:
    """Least intersection over union of the components that own a tenth of the pixels."""
    overlap = (every > 0.5).T.astype(float) @ (other > 0.5)
    union = np.add.outer((every > 0.5).sum(axis=0), (other > 0.5).sum(axis=0)) - overlap
    big = (every > 0.5).mean(axis=0) > 0.1
    assert big.sum() >= 2
    return float((overlap / np.maximum(union, 1))[big].max(axis=1).min())


def test_a_third_of_the_pixels_gives_much_the_same_components(
    scene: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    # The big components carry the picture; a start of small clusters may die otherwise.
    values, vectors, start = scene
    pixels = sample_pixels((48, 56), 900)
    sampled = constrained_components(values, vectors, start[pixels], pixels)
    assert sampled.shape[0] == 48 * 56
    assert overlap_of_big_components(constrained_components(*scene), sampled) > 0.9


def test_every_pixel_is_what_no_choice_of_pixels_means(two_colours: Eigenpairs) -> None:
    start = np.random.default_rng(1).integers(0, 4, 480)
    every = constrained_components(*two_colours, start)
    named = constrained_components(*two_colours, start, np.arange(480))
    np.testing.assert_array_equal(every, named)


def test_sampled_equations_count_for_all(
    two_colours: Eigenpairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half the pixels, each standing for two, are worth as much as these pixels twice.
    monkeypatch.setattr(constrained, "ITERATIONS", 1)  # later rounds amplify rounding
    values, vectors = two_colours
    start = np.random.default_rng(1).integers(0, 4, 480)
    half = np.arange(0, 480, 2)
    twice = np.repeat(half, 2)
    once = constrained_components(values, vectors, start[half], half)
    np.testing.assert_allclose(
        constrained_components(values, vectors, start[twice], twice), once, atol=1e-7
    )


def test_every_other_pixel_is_enough_at_first(
    scene: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []
    solve = constrained._solve_coupled

    def watched(basis: np.ndarray, *rest: np.ndarray) -> np.ndarray:
        used.append(len(basis))
        return solve(basis, *rest)

    monkeypatch.setattr(constrained, "_solve_coupled", watched)
    values, vectors, start = scene
    all_pixels = np.arange(48 * 56)
    few = constrained_components(values, vectors, start, all_pixels)
    assert used == [48 * 56 // 2] * 30 + [48 * 56] * 10
    used.clear()
    assert overlap_of_big_components(constrained_components(*scene), few) > 0.9
    assert used == [48 * 56] * 40
    used.clear()
    pixels = sample_pixels((48, 56), 300)  # too few to leave any out
    constrained_components(values, vectors, start[pixels], pixels)
    assert used == [len(pixels)] * 40


def test_single_precision_gives_much_the_same_components(
    scene: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    single = constrained_components(*scene, single=True)
    np.testing.assert_allclose(single.sum(axis=1), 1, atol=1e-5)
    assert overlap_of_big_components(constrained_components(*scene), single) > 0.9
    # Most of the difference is that of the floor, not that of the precision.
    monkeypatch.setattr(constrained, "REWEIGHTING_FLOOR", SINGLE_FLOOR)
    same_floor = constrained_components(*scene)
    assert overlap_of_big_components(same_floor, single) > 0.97


@pytest.mark.parametrize("single", [False, True])
def test_threads_do_not_show(
    scene: tuple[np.ndarray, np.ndarray, np.ndarray], single: bool, one_and_two_threads: Threads
) -> None:
    alone, two = one_and_two_threads(lambda: constrained_components(*scene, single=single))
    np.testing.assert_array_equal(alone, two)


def test_one_cluster_gives_one_component(two_colours: Eigenpairs) -> None:
    alpha = constrained_components(*two_colours, np.zeros(480, int))
    np.testing.assert_array_equal(alpha, np.ones((480, 1)))


def test_one_component_is_left_when_all_die(
    two_colours: Eigenpairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constrained, "REMOVAL_MAXIMUM", 10.0)
    alpha = constrained_components(*two_colours, np.arange(480) % 4)
    np.testing.assert_array_equal(alpha, np.ones((480, 1)))


# --- sampled pixels ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(40, 60), (33, 57), (3, 900), (900, 3), (1, 50)])
@pytest.mark.parametrize("count", [1, 7, 100, 1000])
def test_sampled_pixels_are_sorted_and_different(size: tuple[int, int], count: int) -> None:
    pixels = sample_pixels(size, count)
    assert (np.diff(pixels) > 0).all()
    assert pixels[0] >= 0
    assert pixels[-1] < size[0] * size[1]
    assert 0.7 * min(count, size[0] * size[1]) <= len(pixels) <= 1.4 * count


@pytest.mark.parametrize("count", [2400, 2401, 10**6])
def test_all_pixels_are_taken_when_there_are_no_more(count: int) -> None:
    np.testing.assert_array_equal(sample_pixels((40, 60), count), np.arange(2400))


@pytest.mark.parametrize("factor", [2, 4, 7])
def test_photos_of_one_shape_get_the_same_places(factor: int) -> None:
    small = sample_pixels((100, 150), 600, seed=3)
    large = sample_pixels((100 * factor, 150 * factor), 600, seed=3)
    rows, columns = np.divmod(large, 150 * factor)
    places = np.sort(rows // factor * 150 + columns // factor)
    np.testing.assert_array_equal(places, small)


def test_every_cell_of_the_lattice_has_one_pixel() -> None:
    rows, columns = np.divmod(sample_pixels((100, 150), 600), 150)
    cells = np.bincount(rows // 5 * 30 + columns // 5, minlength=600)  # cells of 5×5 pixels
    np.testing.assert_array_equal(cells, np.ones(600))


def test_sampled_pixels_depend_on_the_seed_alone() -> None:
    first, second, other = (sample_pixels((40, 60), 300, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
