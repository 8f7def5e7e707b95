import numpy as np
import pytest

from data.scenes import generate_scene
from sss.spectral import constrained
from sss.spectral.affinities import matting_affinity
from sss.spectral.clustering import cluster_pixels
from sss.spectral.constrained import _solve_coupled, constrained_components, sparsity_weight
from sss.spectral.eigenvectors import smallest_eigenvectors
from sss.spectral.laplacian import graph_laplacian, soft_segmentation_laplacian
from sss.spectral.superpixels import compute_superpixels

Eigenpairs = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def two_colours() -> Eigenpairs:
    """Of the matting Laplacian of a photo whose columns 0–8 and 9–23 differ in colour."""
    photo = np.full((20, 24, 3), 0.2)
    photo[:, 9:] = (0.9, 0.4, 0.1)
    return smallest_eigenvectors(graph_laplacian(matting_affinity(photo)), 30)


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues, eigenvectors and start of a 48×56 scene of three regions."""
    drawn = generate_scene(5, (48, 56), regions=(3, 3))
    photo = drawn.photo.astype(np.float64)
    features = drawn.alphas @ np.array([[0.1, 0.1, 0.9], [0.9, 0.2, 0.1], [0.2, 0.9, 0.3]])
    laplacian = soft_segmentation_laplacian(photo, features, compute_superpixels(photo))
    return *smallest_eigenvectors(laplacian, 40), cluster_pixels(features, 12)


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
    solved = _solve_coupled(basis, energy, to_zero, to_one)
    assert solved.shape == (7, components - 1)
    expected = dense_system(basis, energy, to_zero, to_one)
    np.testing.assert_allclose(solved, expected, rtol=1e-7, atol=1e-9)


def test_weights_are_those_of_the_sparsity_energy() -> None:
    deviation = np.array([-0.7, -0.01, 0.02, 0.5, 1.4])
    step = 1e-7

    def energy(d: np.ndarray) -> np.ndarray:
        return 0.3**0.8 * abs(d) ** 0.8

    gradient = (energy(deviation + step) - energy(deviation - step)) / (2 * step)
    np.testing.assert_allclose(sparsity_weight(deviation) * deviation, gradient / 0.8, rtol=1e-5)


def test_weight_is_bounded_at_no_deviation() -> None:
    np.testing.assert_allclose(sparsity_weight(np.array([0.0, 1e-12])), 0.3**0.8 * 1e-10**-1.2)


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


def test_a_third_of_the_pixels_gives_much_the_same_components(
    scene: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    every = constrained_components(*scene, sampled_pixels=None)
    sampled = constrained_components(*scene, sampled_pixels=900)
    # The big components carry the picture; a start of small clusters may die otherwise.
    overlap = (every - 0.5 > 0).T.astype(float) @ (sampled - 0.5 > 0)
    union = np.add.outer((every > 0.5).sum(axis=0), (sampled > 0.5).sum(axis=0)) - overlap
    big = (every > 0.5).mean(axis=0) > 0.1
    assert big.sum() >= 2
    assert (overlap / np.maximum(union, 1))[big].max(axis=1).min() > 0.9


def test_sampled_pixels_depend_on_the_seed_alone(
    scene: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    first, second, other = (
        constrained_components(*scene, sampled_pixels=500, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_one_cluster_gives_one_component(two_colours: Eigenpairs) -> None:
    alpha = constrained_components(*two_colours, np.zeros(480, int))
    np.testing.assert_array_equal(alpha, np.ones((480, 1)))


def test_one_component_is_left_when_all_die(
    two_colours: Eigenpairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constrained, "REMOVAL_MAXIMUM", 10.0)
    alpha = constrained_components(*two_colours, np.arange(480) % 4)
    np.testing.assert_array_equal(alpha, np.ones((480, 1)))
