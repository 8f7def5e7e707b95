from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import cg, spsolve

from sss.spectral.affinities import matting_affinity
from sss.spectral.laplacian import graph_laplacian, soft_segmentation_laplacian
from sss.spectral.relaxed import (
    LOOSE_TOLERANCE,
    gradient_magnitude,
    relaxed_layers,
    solve_layers,
    sparsity_weight,
    threshold_layers,
)
from sss.spectral.superpixels import compute_superpixels

LAYERS = 3


class CountingLaplacian:
    """A Laplacian that counts its products with layers."""

    def __init__(self, matrix: sp.csr_array) -> None:
        self.matrix = matrix
        self.products = 0

    def __matmul__(self, alpha: np.ndarray) -> np.ndarray:
        self.products += 1
        return self.matrix @ alpha

    def diagonal(self) -> np.ndarray:
        return self.matrix.diagonal()


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.random.default_rng(0).random((12, 14, 3))


@pytest.fixture(scope="module")
def laplacian(photo: np.ndarray) -> sp.csr_array:
    features = np.random.default_rng(1).random(photo.shape)
    return soft_segmentation_laplacian(photo, features, compute_superpixels(photo))


@pytest.fixture(scope="module")
def system(laplacian: sp.csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Diagonal, right side and start (168, 3) as a reweighting round has them."""
    rng = np.random.default_rng(2)
    alpha = rng.dirichlet(np.full(LAYERS, 0.2), laplacian.shape[0])
    to_zero, to_one = (np.maximum(abs(alpha - end), 0.01) ** -1.1 for end in (0, 1))
    return to_zero + to_one + 1, to_one + alpha + 100, alpha


@pytest.fixture(scope="module")
def assembled(
    laplacian: sp.csr_array, system: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> sp.csc_array:
    """The same system as one (N·K)² matrix, layer after layer."""
    size = laplacian.shape[0]
    coupling = sp.kron(np.ones((LAYERS, LAYERS)), 100 * sp.eye_array(size))
    own = sp.block_diag([laplacian + sp.diags_array(d) for d in system[0].T])
    return sp.csc_array(own + coupling)


def test_solution_is_that_of_the_assembled_system(
    laplacian: sp.csr_array,
    system: tuple[np.ndarray, np.ndarray, np.ndarray],
    assembled: sp.csc_array,
) -> None:
    diagonal, side, start = system
    expected = spsolve(assembled, side.T.ravel()).reshape(LAYERS, -1).T
    exact = solve_layers(laplacian, diagonal, side, start, tolerance=1e-13)
    np.testing.assert_allclose(exact, expected, rtol=0, atol=1e-9)
    usual = solve_layers(laplacian, diagonal, side, start)
    np.testing.assert_allclose(usual, expected, rtol=0, atol=1e-4)


def test_preconditioner_saves_most_steps_of_plain_conjugate_gradients(
    laplacian: sp.csr_array,
    system: tuple[np.ndarray, np.ndarray, np.ndarray],
    assembled: sp.csc_array,
) -> None:
    diagonal, side, start = system
    steps: list[float] = []
    plain, failed = cg(
        assembled,
        side.T.ravel(),
        x0=start.T.ravel(),
        rtol=1e-6,
        callback=lambda _: steps.append(1.0),
    )
    assert not failed
    counting = CountingLaplacian(laplacian)
    ours = solve_layers(counting, diagonal, side, start)
    np.testing.assert_allclose(ours, plain.reshape(LAYERS, -1).T, rtol=0, atol=1e-4)
    assert 1 < counting.products <= len(steps) / 3


def test_solved_start_is_returned_as_it_is(
    laplacian: sp.csr_array, system: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    diagonal, side, start = system
    solved = solve_layers(laplacian, diagonal, side, start, tolerance=1e-10)
    again = solve_layers(laplacian, diagonal, side, solved, tolerance=1e-6)
    np.testing.assert_array_equal(again, solved)
    assert not np.allclose(start, solved)  # and the caller's start is left alone


# --- start and gradient ------------------------------------------------------------------------


def test_thresholds() -> None:
    alpha = np.array([[0.05, 0.95, 0.0], [0.3, 0.09, 0.61], [0.1, 0.9, 0.0], [1.3, -0.4, 0.1]])
    expected = [[0, 1, 0], [0.3 / 0.91, 0, 0.61 / 0.91], [0.1, 0.9, 0], [1 / 1.1, 0, 0.1 / 1.1]]
    np.testing.assert_allclose(threshold_layers(alpha), expected, atol=1e-12)


def test_alphas_all_below_the_threshold_keep_their_shares() -> None:
    alpha = np.full((1, 12), 1 / 12)
    alpha[0, :2] = 0.09, -0.02
    kept = threshold_layers(alpha)
    assert kept.sum() == pytest.approx(1)
    assert kept[0, 1] == pytest.approx(0, abs=1e-9)
    assert kept[0, 0] / kept[0, 2] == pytest.approx(0.09 * 12)


def test_threshold_leaves_its_argument_alone() -> None:
    alpha = np.array([[0.05, 0.95]])
    threshold_layers(alpha)
    np.testing.assert_array_equal(alpha, [[0.05, 0.95]])


@pytest.mark.parametrize("axis", [0, 1])
def test_gradient_of_a_ramp_is_its_slope(axis: int) -> None:
    slopes = np.array([0.01, -0.02, 0.005])
    photo = np.indices((30, 32))[axis][..., None] * slopes + 0.5
    inner = gradient_magnitude(photo)[8:-8, 8:-8]
    np.testing.assert_allclose(inner, np.linalg.norm(slopes), rtol=5e-4)


def test_gradient_of_a_flat_photo_is_zero() -> None:
    np.testing.assert_allclose(gradient_magnitude(np.full((9, 11, 3), 0.7)), 0, atol=1e-12)


def test_gradient_of_an_edge_is_largest_beside_it() -> None:
    photo = np.zeros((20, 24, 3))
    photo[:, 12:] = 1
    gradient = gradient_magnitude(photo)
    assert set(gradient.argmax(axis=1).tolist()) <= {11, 12}
    assert gradient[:, :5].max() < 1e-12


# --- the whole step ----------------------------------------------------------------------------


def soft_layers(photo: np.ndarray) -> np.ndarray:
    weights = np.random.default_rng(3).dirichlet(np.ones(LAYERS), photo.shape[0] * photo.shape[1])
    return weights.reshape(*photo.shape[:2], LAYERS)


def test_layers_sum_to_one(photo: np.ndarray, laplacian: sp.csr_array) -> None:
    layers = relaxed_layers(laplacian, soft_layers(photo), gradient_magnitude(photo))
    assert layers.shape == (12, 14, LAYERS)
    np.testing.assert_allclose(layers.sum(axis=2), 1, atol=2e-5)


def test_layers_become_sparser() -> None:
    photo = np.full((16, 18, 3), 0.3)
    photo[:, 7:] = (0.8, 0.2, 0.1)
    left = np.zeros((16, 18))
    left[:, :7] = 1
    noisy = 0.6 * left + 0.2 + np.random.default_rng(0).uniform(-0.15, 0.15, left.shape)
    laplacian = graph_laplacian(matting_affinity(photo))
    layers = relaxed_layers(laplacian, np.stack([noisy, 1 - noisy], axis=2), np.zeros((16, 18)))
    assert abs(noisy - left).max() > 0.3
    np.testing.assert_allclose(layers[..., 0], left, atol=0.05)


def test_strong_gradient_keeps_more_softness() -> None:
    # At a pure ramp between two layers, the exponent 1 pulls less towards 0 and 1 than 0.9.
    photo = np.random.default_rng(0).random((12, 30, 3))
    laplacian = graph_laplacian(matting_affinity(photo))
    ramp = np.broadcast_to(np.linspace(0, 1, 30), (12, 30))
    layers = np.stack([ramp, 1 - ramp], axis=2)
    flat, strong = (
        relaxed_layers(laplacian, layers, np.full((12, 30), g))[..., 0] for g in (0.0, 5.0)
    )
    limit = relaxed_layers(laplacian, layers, np.full((12, 30), 0.1))[..., 0]
    assert (strong * (1 - strong)).mean() > 1.02 * (flat * (1 - flat)).mean()
    np.testing.assert_array_equal(strong, limit)


def test_constant_photo() -> None:
    photo = np.full((10, 11, 3), 0.5)
    laplacian = graph_laplacian(matting_affinity(photo))
    layers = relaxed_layers(laplacian, np.full((10, 11, 4), 0.25), gradient_magnitude(photo))
    np.testing.assert_allclose(layers, 0.25, atol=1e-4)


def test_single_layer_is_full(photo: np.ndarray, laplacian: sp.csr_array) -> None:
    layers = relaxed_layers(laplacian, np.full((12, 14, 1), 0.9), gradient_magnitude(photo))
    np.testing.assert_array_equal(layers, np.ones((12, 14, 1)))


def test_progress_rises_to_one(photo: np.ndarray, laplacian: sp.csr_array) -> None:
    shares: list[float] = []
    report: Callable[[float], None] = shares.append
    relaxed_layers(laplacian, soft_layers(photo), gradient_magnitude(photo), report)
    assert len(shares) > 10
    assert shares == sorted(set(shares))
    assert shares[0] > 0
    assert shares[-1] == 1.0


def test_sparsity_weight_is_the_power() -> None:
    rng = np.random.default_rng(0)
    deviation = np.concatenate([rng.uniform(-1.2, 1.2, (50, 3)), [[0.0, 1e-3, -1e-3]]])
    exponent = rng.uniform(-1.1, -1.0, (51, 1))
    expected = np.maximum(abs(deviation), 0.01) ** exponent
    np.testing.assert_allclose(sparsity_weight(deviation, exponent), expected, rtol=2e-6)


def test_loose_rounds_take_fewer_steps_to_nearly_the_same_layers() -> None:
    rng = np.random.default_rng(3)
    photo = np.kron(rng.random((5, 6, 3)), np.ones((8, 8, 1))) + 0.02 * rng.random((40, 48, 3))
    matrix = soft_segmentation_laplacian(photo, photo, compute_superpixels(photo))
    layers = rng.dirichlet(np.full(LAYERS, 0.3), (5, 6)).repeat(8, axis=0).repeat(8, axis=1)
    exact, loose = CountingLaplacian(matrix), CountingLaplacian(matrix)
    gradient = gradient_magnitude(photo)
    expected = relaxed_layers(exact, layers, gradient)
    found = relaxed_layers(loose, layers, gradient, tolerance=LOOSE_TOLERANCE)
    assert loose.products < 0.7 * exact.products
    assert abs(found - expected).mean() < 2e-3
    assert (found.argmax(axis=2) == expected.argmax(axis=2)).mean() > 0.995
