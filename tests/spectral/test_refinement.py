from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import cg, spsolve

from sss.spectral.gradient import gradient_magnitude
from sss.spectral.laplacian import matting_laplacian, superpixel_laplacian
from sss.spectral.refinement import (
    LOOSE_TOLERANCE,
    StencilSystem,
    relaxed_layers,
    relaxed_weight,
    threshold_layers,
    valid_alpha,
)
from sss.spectral.stencil import framed, matting_stencil
from sss.spectral.superpixels import compute_superpixels

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]
Equations = tuple[np.ndarray, np.ndarray, np.ndarray]

LAYERS = 3
SIZE = (12, 14)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.random.default_rng(0).random((*SIZE, 3))


@pytest.fixture(scope="module")
def far(photo: np.ndarray) -> sp.csr_array:
    """Laplacian between superpixels."""
    features = np.random.default_rng(1).random(photo.shape)
    return superpixel_laplacian(photo, features, compute_superpixels(photo, 40))


@pytest.fixture(scope="module")
def equations() -> Equations:
    """Diagonal, right side and start (12, 14, 3) as a reweighting round has them."""
    alpha = np.random.default_rng(2).dirichlet(np.full(LAYERS, 0.2), SIZE)
    to_zero, to_one = (np.maximum(abs(alpha - end), 0.01) ** -1.1 for end in (0, 1))
    return to_zero + to_one + 1, to_one + alpha + 100, alpha


def single(photo: np.ndarray) -> np.ndarray:
    return matting_stencil(photo.astype(np.float32))


def layer_system(
    photo: np.ndarray, equations: Equations, far: sp.csr_array | None = None
) -> StencilSystem:
    diagonal, rhs, start = equations
    system = StencilSystem(single(photo), start, np.full(start.shape[:2], -1.1), far)
    system.diagonal[:], system.rhs[:] = framed(diagonal), framed(rhs)
    return system


def assembled(laplacian: sp.csr_array, diagonal: np.ndarray) -> sp.csc_array:
    """The system as one (N·K)² matrix, layer after layer."""
    size, count = laplacian.shape[0], diagonal.shape[2]
    coupling = sp.kron(np.ones((count, count)), 100 * sp.eye_array(size))
    own = sp.block_diag([laplacian + sp.diags_array(d) for d in diagonal.reshape(size, count).T])
    return sp.csc_array(own + coupling)


def flat(layers: np.ndarray) -> np.ndarray:
    return layers.reshape(-1, layers.shape[2]).T.ravel()


# --- the system of all layers ------------------------------------------------------------------


@pytest.mark.parametrize("coupled", [False, True])
def test_solution_is_that_of_the_assembled_system(
    photo: np.ndarray,
    far: sp.csr_array,
    equations: Equations,
    coupled: bool,
) -> None:
    far = 100 * far  # to be seen
    system = layer_system(photo, equations, far if coupled else None)
    laplacian = matting_laplacian(photo) + far if coupled else matting_laplacian(photo)
    expected = spsolve(assembled(laplacian, equations[0]), flat(equations[1]))
    expected = expected.reshape(LAYERS, -1).T.reshape(*SIZE, LAYERS)
    system.solve(1e-6)
    np.testing.assert_allclose(system.layers(), expected, rtol=0, atol=1e-4)
    other = layer_system(photo, equations, None if coupled else far)
    other.solve(1e-6)
    assert abs(other.layers() - expected).max() > 1e-2


@pytest.mark.parametrize("coupled", [False, True])
def test_carried_residual_is_that_of_the_reweighted_equations(
    photo: np.ndarray,
    far: sp.csr_array,
    equations: Equations,
    coupled: bool,
) -> None:
    laplacian = matting_laplacian(photo) + far if coupled else matting_laplacian(photo)
    system = layer_system(photo, equations, far if coupled else None)
    system.solve(1e-3)
    for _ in range(5):
        system.reweight()
        diagonal, rhs = (part[:, 2:-2, 2:-2] for part in (system.diagonal, system.rhs))
        matrix = assembled(laplacian, np.moveaxis(diagonal, 0, 2).astype(np.float64))
        expected = rhs.ravel() - matrix @ flat(system.layers()).astype(np.float64)
        found = system._residual[:, 2:-2, 2:-2].ravel()
        assert abs(found - expected).max() < 1e-5 * abs(rhs).max()
        assert abs(expected).max() > 1e-2  # so the bound says something
        before = system.steps
        system.solve(1e-3, carried=True)
        assert system.steps > before


@pytest.mark.parametrize("size", [(3, 3), (3, 40), (40, 3), (65, 4)])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_odd_sizes_and_numbers_of_layers(size: tuple[int, int], count: int) -> None:
    rng = np.random.default_rng(3)
    photo, diagonal = rng.random((*size, 3)), rng.uniform(1, 100, (*size, count))
    side, start = rng.uniform(0, 100, (2, *size, count))
    system = layer_system(photo, (diagonal, side, start))
    system.solve(1e-6)
    expected = spsolve(assembled(matting_laplacian(photo), diagonal), flat(side))
    found = flat(system.layers())
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * abs(expected).max())


def test_frame_stays_zero(photo: np.ndarray, equations: Equations) -> None:
    system = layer_system(photo, equations)
    system.solve(1e-6)
    inner = np.zeros_like(system.alpha)
    inner[:, 2:-2, 2:-2] = system.alpha[:, 2:-2, 2:-2]
    np.testing.assert_array_equal(system.alpha, inner)


def test_preconditioner_saves_most_steps_of_plain_conjugate_gradients(
    photo: np.ndarray, equations: Equations
) -> None:
    diagonal, side, start = equations
    steps: list[float] = []
    plain, failed = cg(
        assembled(matting_laplacian(photo), diagonal),
        flat(side),
        x0=flat(start),
        rtol=1e-6,
        callback=lambda _: steps.append(1.0),
    )
    assert not failed
    system = layer_system(photo, equations)
    system.solve(1e-6)
    np.testing.assert_allclose(flat(system.layers()), plain, rtol=0, atol=2e-4)
    assert 1 < system.steps <= len(steps) / 3


def test_solved_system_is_left_as_it_is(photo: np.ndarray, equations: Equations) -> None:
    system = layer_system(photo, equations)
    system.solve(1e-6)
    solved, steps = system.alpha.copy(), system.steps
    system.solve(1e-4)
    np.testing.assert_array_equal(system.alpha, solved)
    assert system.steps == steps + 1  # to see that nothing is left


def test_couplings_without_an_entry_are_none(photo: np.ndarray, equations: Equations) -> None:
    empty = sp.csr_array((168, 168))
    with_empty, without = layer_system(photo, equations, empty), layer_system(photo, equations)
    with_empty.solve(1e-6)
    without.solve(1e-6)
    np.testing.assert_array_equal(with_empty.alpha, without.alpha)


# --- start and end -----------------------------------------------------------------------------


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


def test_alpha_is_clipped_and_scaled() -> None:
    raw = np.array([[[1.05, -0.05], [0.5, 0.75], [0.0, 0.0]]])
    expected = [[[1.0, 0.0], [0.4, 0.6], [0.0, 0.0]]]
    alpha = valid_alpha(raw)
    np.testing.assert_allclose(alpha, expected, atol=1e-7)
    assert alpha.dtype == np.float32
    assert raw[0, 0, 0] == 1.05


def test_alpha_below_the_floor_is_none() -> None:
    raw = np.array([[[0.006, 0.974, 0.006, 0.014], [0.3, 0.7, -0.01, 0.01]]])
    alpha = valid_alpha(raw, floor=0.01)
    np.testing.assert_allclose(alpha[0, 0], [0, 0.964 / 0.968, 0, 0.004 / 0.968], rtol=1e-6)
    np.testing.assert_allclose(alpha[0, 1], [0.29 / 0.98, 0.69 / 0.98, 0, 0], rtol=1e-6)


# --- the whole step ----------------------------------------------------------------------------


def soft_layers() -> np.ndarray:
    return np.random.default_rng(3).dirichlet(np.ones(LAYERS), SIZE)


@pytest.mark.parametrize("coupled", [False, True])
def test_step_equals_reweighting_with_a_direct_solver(
    photo: np.ndarray, far: sp.csr_array, coupled: bool
) -> None:
    gradient = gradient_magnitude(photo)
    layers = soft_layers()
    laplacian = matting_laplacian(photo) + far if coupled else matting_laplacian(photo)
    alpha = np.where(layers < 0.1, 0.0, np.where(layers > 0.9, 1.0, layers))
    alpha = start = alpha / alpha.sum(axis=2, keepdims=True)
    power = 0.9 + np.minimum(gradient, 0.1)[..., None] - 2
    for round_ in range(21):
        to_zero, to_one = (np.maximum(abs(alpha - end), 0.01) ** power for end in (0, 1))
        diagonal, side = to_zero + to_one + 1, to_one + start + 100
        if round_ == 20:
            diagonal, side = np.ones_like(alpha), alpha + 100
        alpha = spsolve(assembled(laplacian, diagonal), flat(side))
        alpha = alpha.reshape(LAYERS, -1).T.reshape(layers.shape)
    found = relaxed_layers(
        single(photo), layers, gradient, superpixel_laplacian=far if coupled else None
    )
    np.testing.assert_allclose(found, alpha, rtol=0, atol=1e-3)
    assert abs(found - alpha).mean() < 1e-4
    assert abs(alpha - layers).max() > 0.2


def test_layers_sum_to_one(photo: np.ndarray) -> None:
    layers = relaxed_layers(single(photo), soft_layers(), gradient_magnitude(photo))
    assert layers.shape == (*SIZE, LAYERS)
    assert layers.dtype == np.float32
    np.testing.assert_allclose(layers.sum(axis=2), 1, atol=2e-5)


def test_layers_become_sparser() -> None:
    photo = np.full((16, 18, 3), 0.3)
    photo[:, 7:] = (0.8, 0.2, 0.1)
    left = np.zeros((16, 18))
    left[:, :7] = 1
    noisy = 0.6 * left + 0.2 + np.random.default_rng(0).uniform(-0.15, 0.15, left.shape)
    layers = relaxed_layers(single(photo), np.stack([noisy, 1 - noisy], axis=2), np.zeros((16, 18)))
    assert abs(noisy - left).max() > 0.3
    np.testing.assert_allclose(layers[..., 0], left, atol=0.05)


def test_strong_gradient_keeps_more_softness() -> None:
    # At a pure ramp between two layers, the exponent 1 pulls less towards 0 and 1 than 0.9.
    stencil = single(np.random.default_rng(0).random((12, 30, 3)))
    ramp = np.broadcast_to(np.linspace(0, 1, 30), (12, 30))
    layers = np.stack([ramp, 1 - ramp], axis=2)
    flat, strong, limit = (
        relaxed_layers(stencil, layers, np.full((12, 30), g))[..., 0] for g in (0.0, 5.0, 0.1)
    )
    assert (strong * (1 - strong)).mean() > 1.02 * (flat * (1 - flat)).mean()
    np.testing.assert_array_equal(strong, limit)


def test_constant_photo() -> None:
    photo = np.full((10, 11, 3), 0.5)
    layers = relaxed_layers(single(photo), np.full((10, 11, 4), 0.25), gradient_magnitude(photo))
    np.testing.assert_allclose(layers, 0.25, atol=1e-4)


def test_layers_given_are_left_alone(photo: np.ndarray) -> None:
    layers = soft_layers().astype(np.float32)
    before = layers.copy()
    relaxed_layers(single(photo), layers, gradient_magnitude(photo))
    np.testing.assert_array_equal(layers, before)


def test_progress_rises_to_one(photo: np.ndarray) -> None:
    shares: list[float] = []
    report: Callable[[float], None] = shares.append
    relaxed_layers(single(photo), soft_layers(), gradient_magnitude(photo), report)
    assert len(shares) > 10
    assert shares == sorted(set(shares))
    assert shares[0] > 0
    assert shares[-1] == 1.0


def test_sparsity_weight_is_the_power() -> None:
    rng = np.random.default_rng(0)
    deviation = np.concatenate([rng.uniform(-1.2, 1.2, (50, 3)), [[0.0, 1e-3, -1e-3]]])
    exponent = rng.uniform(-1.1, -1.0, (51, 1))
    expected = np.maximum(abs(deviation), 0.01) ** exponent
    found = relaxed_weight(deviation.astype(np.float32), exponent.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=2e-6)


def mosaic() -> tuple[np.ndarray, np.ndarray]:
    """A (80, 48, 3) photo of patches with a little noise, and layers (80, 48, 3) of patches."""
    rng = np.random.default_rng(3)
    photo = np.kron(rng.random((10, 6, 3)), np.ones((8, 8, 1))) + 0.02 * rng.random((80, 48, 3))
    layers = rng.dirichlet(np.full(LAYERS, 0.3), (10, 6)).repeat(8, axis=0).repeat(8, axis=1)
    return photo, layers


def test_loose_rounds_give_nearly_the_same_layers() -> None:
    photo, layers = mosaic()
    gradient = gradient_magnitude(photo)
    expected = relaxed_layers(single(photo), layers, gradient)
    found = relaxed_layers(single(photo), layers, gradient, tolerance=LOOSE_TOLERANCE)
    assert 0 < abs(found - expected).mean() < 2e-3
    assert (found.argmax(axis=2) == expected.argmax(axis=2)).mean() > 0.995
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=2e-5)  # the last solve is never loose


@pytest.mark.parametrize("coupled", [False, True])
def test_threads_do_not_show(coupled: bool, one_and_two_threads: Threads) -> None:
    photo, layers = mosaic()
    far = superpixel_laplacian(photo, photo, compute_superpixels(photo)) if coupled else None
    gradient = gradient_magnitude(photo)
    alone, two = one_and_two_threads(
        lambda: relaxed_layers(single(photo), layers, gradient, superpixel_laplacian=far)
    )
    np.testing.assert_array_equal(alone, two)
