import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import spsolve

from sss.cuda.refinement import (
    LayerSystem,
    gradient_magnitude,
    relaxed_layers,
    threshold_layers,
    valid_alpha,
)
from sss.cuda.stencil import matting_stencil
from sss.spectral import refinement as spectral
from sss.spectral.refinement import valid_alpha as valid_on_processor
from sss.spectral.stencil import framed, stencil_matrix

SIZE = (18, 22)
LAYERS = 3


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.random((3, 4, 3)), np.ones((6, 6, 1)))[:, : SIZE[1]]
    return np.clip(blocks + 0.02 * rng.standard_normal((*SIZE, 3)), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def stencil(photo: np.ndarray) -> torch.Tensor:
    return matting_stencil(photo)


@pytest.fixture(scope="module")
def layers() -> np.ndarray:
    weights = np.random.default_rng(3).dirichlet(np.full(LAYERS, 0.4), SIZE)
    return weights.astype(np.float32)


@pytest.fixture(scope="module")
def links() -> sp.csr_array:
    """Laplacian of three couplings between pixels far apart."""
    pixels = SIZE[0] * SIZE[1]
    affinity = sp.coo_array(([0.3, -0.1, 0.2], ([0, 50, 390], [200, 301, 7])), (pixels, pixels))
    affinity = (affinity + affinity.T).tocsr()
    return (sp.diags_array(affinity.sum(axis=1)) - affinity).tocsr()


@pytest.mark.parametrize("linked", [False, True])
def test_solution_is_that_of_the_assembled_system(
    stencil: torch.Tensor, layers: np.ndarray, links: sp.csr_array, linked: bool
) -> None:
    rng = np.random.default_rng(2)
    diagonal, side = rng.uniform(1, 50, (LAYERS, *SIZE)), rng.uniform(90, 110, (LAYERS, *SIZE))
    system = LayerSystem(stencil, torch.from_numpy(layers), links if linked else None)
    system.set_round(torch.from_numpy(diagonal).float(), torch.from_numpy(side).float())
    system.solve(1e-7)
    laplacian = stencil_matrix(stencil.numpy()) + (links if linked else 0 * links)
    coupling = sp.kron(np.ones((LAYERS, LAYERS)), 100 * sp.eye_array(laplacian.shape[0]))
    own = sp.block_diag([laplacian + sp.diags_array(d.ravel()) for d in diagonal])
    expected = spsolve(sp.csc_array(own + coupling), side.ravel()).reshape(side.shape)
    np.testing.assert_allclose(system.alpha[:, 2:-2, 2:-2], expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("linked", [False, True])
def test_carried_residual_is_that_of_the_next_equations(
    stencil: torch.Tensor, layers: np.ndarray, links: sp.csr_array, linked: bool
) -> None:
    rng = np.random.default_rng(4)
    system = LayerSystem(stencil, torch.from_numpy(layers), links if linked else None)
    for round_number in range(4):
        diagonal, side = rng.uniform(1, 50, (LAYERS, *SIZE)), rng.uniform(90, 110, (LAYERS, *SIZE))
        system.set_round(torch.from_numpy(diagonal).float(), torch.from_numpy(side).float())
        if round_number > 0:
            expected = (system._side - system.apply(system.alpha))[:, 2:-2, 2:-2]
            assert abs(expected).max() > 1
            found = system._residual[:, 2:-2, 2:-2]
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
        before = system.steps
        system.solve(1e-4, carried=round_number > 0)
        assert system.steps > before


def test_carried_residuals_save_a_product_each_round(
    photo: np.ndarray, stencil: torch.Tensor, layers: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradient = spectral.gradient_magnitude(photo)
    apply, solve = LayerSystem.apply, LayerSystem.solve
    count = 0

    def counted(system: LayerSystem, alpha: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += 1
        return apply(system, alpha)

    def uncarried(system: LayerSystem, tolerance: float, carried: bool = False) -> None:
        solve(system, tolerance)

    def products() -> int:
        before = count
        relaxed_layers(stencil, layers, gradient, None, spectral.LOOSE_TOLERANCE)
        return count - before

    monkeypatch.setattr(LayerSystem, "apply", counted)
    carried = products()
    monkeypatch.setattr(LayerSystem, "solve", uncarried)
    assert products() - carried == pytest.approx(spectral.ITERATIONS - 1, abs=2)


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("tolerance", [spectral.TOLERANCE, spectral.LOOSE_TOLERANCE])
def test_layers_are_those_of_the_processor(
    photo: np.ndarray,
    stencil: torch.Tensor,
    layers: np.ndarray,
    links: sp.csr_array,
    tolerance: float,
    linked: bool,
) -> None:
    coupled = links if linked else None
    gradient = spectral.gradient_magnitude(photo)
    found = relaxed_layers(stencil, layers, gradient, None, tolerance, coupled)
    expected = spectral.relaxed_layers(stencil.numpy(), layers, gradient, None, tolerance, coupled)
    assert found.shape == (*SIZE, LAYERS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)
    assert abs(found.numpy() - expected).mean() < 1e-4
    assert abs(expected - layers).mean() > 0.01  # and the step does something


def test_as_many_products_as_on_the_processor(stencil: torch.Tensor, layers: np.ndarray) -> None:
    ours = LayerSystem(stencil, torch.from_numpy(layers))
    theirs = spectral.LayerSystem(stencil.numpy(), layers)
    ours.set_round(torch.full((LAYERS, *SIZE), 7.0), torch.full((LAYERS, *SIZE), 90.0))
    theirs.diagonal[:] = 7
    theirs.side[:] = framed(np.full((*SIZE, LAYERS), 90.0))
    ours.solve(1e-6)
    theirs.solve(1e-6)
    assert abs(ours.steps - theirs.steps) <= 1
    assert ours.steps > 5


def test_two_runs_give_the_same_bits(stencil: torch.Tensor, layers: np.ndarray) -> None:
    runs = [relaxed_layers(stencil, layers, np.zeros(SIZE, np.float32)) for _ in range(2)]
    assert torch.equal(*runs)


def test_layers_are_left_alone(stencil: torch.Tensor, layers: np.ndarray) -> None:
    before = layers.copy()
    relaxed_layers(stencil, layers, np.zeros(SIZE, np.float32))
    np.testing.assert_array_equal(layers, before)


def test_single_layer_is_full(stencil: torch.Tensor) -> None:
    layers = relaxed_layers(stencil, np.full((*SIZE, 1), 0.9), np.zeros(SIZE, np.float32))
    assert torch.equal(layers, torch.ones((*SIZE, 1)))


def test_progress_rises_to_one(stencil: torch.Tensor, layers: np.ndarray) -> None:
    shares: list[float] = []
    relaxed_layers(stencil, layers, np.zeros(SIZE, np.float32), shares.append)
    assert shares == sorted(set(shares))
    assert len(shares) > 10
    assert shares[-1] == 1.0


def test_thresholds_are_those_of_the_processor() -> None:
    alpha = np.array([[0.05, 0.95, 0.0], [0.3, 0.09, 0.61], [1.3, -0.4, 0.1], [0.09, 0.09, -0.02]])
    expected = spectral.threshold_layers(alpha)
    np.testing.assert_allclose(threshold_layers(torch.from_numpy(alpha)), expected, atol=1e-12)


@pytest.mark.parametrize("size", [(18, 22), (3, 5), (40, 7)])
def test_gradient_is_that_of_opencv(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(1).random((*size, 3)).astype(np.float32)
    expected = spectral.gradient_magnitude(photo)
    np.testing.assert_allclose(gradient_magnitude(photo), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_gradient_of_a_ramp_is_its_slope(axis: int) -> None:
    slopes = np.array([0.01, -0.02, 0.005])
    photo = np.indices((30, 32))[axis][..., None] * slopes + 0.5
    inner = gradient_magnitude(photo)[8:-8, 8:-8]
    np.testing.assert_allclose(inner, np.linalg.norm(slopes), rtol=5e-4)


@pytest.mark.parametrize("floor", [0.0, 0.01])
def test_valid_alpha_is_that_of_the_processor(floor: float) -> None:
    raw = np.random.default_rng(0).normal(0.3, 0.3, (6, 7, 4)).astype(np.float32)
    found = valid_alpha(torch.from_numpy(raw), floor)
    np.testing.assert_allclose(found, valid_on_processor(raw, floor), atol=1e-6)
