from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import spsolve

from sss.cuda.refinement import TorchSystem
from sss.cuda.torch_backend import TorchBackend
from sss.spectral import refinement as spectral
from sss.spectral.refinement import StencilSystem
from sss.spectral.stencil import framed, matting_stencil, stencil_matrix

SIZE = (18, 22)
LAYERS = 3
Tensor = Callable[[np.ndarray], torch.Tensor]


@pytest.fixture(scope="module")
def stencil() -> np.ndarray:
    """Of a photo of noisy blocks."""
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.random((3, 4, 3)), np.ones((6, 6, 1)))[:, : SIZE[1]]
    photo = np.clip(blocks + 0.02 * rng.standard_normal((*SIZE, 3)), 0, 1)
    return matting_stencil(photo.astype(np.float32))


@pytest.fixture(scope="module")
def layers() -> np.ndarray:
    weights = np.random.default_rng(3).dirichlet(np.full(LAYERS, 0.4), SIZE)
    return weights.astype(np.float32)


@pytest.fixture(scope="module")
def gradient() -> np.ndarray:
    return np.random.default_rng(5).uniform(0, 0.2, SIZE).astype(np.float32)


@pytest.fixture(scope="module", params=[False, True])
def far(request: pytest.FixtureRequest) -> sp.csr_array | None:
    """None, and the Laplacian of three couplings between pixels far apart."""
    if not request.param:
        return None
    pixels = SIZE[0] * SIZE[1]
    affinity = sp.coo_array(([0.3, -0.1, 0.2], ([0, 50, 390], [200, 301, 7])), (pixels, pixels))
    affinity = (affinity + affinity.T).tocsr()
    return (sp.diags_array(affinity.sum(axis=1)) - affinity).tocsr()


@pytest.fixture
def system(
    stencil: np.ndarray,
    layers: np.ndarray,
    gradient: np.ndarray,
    far: sp.csr_array | None,
    to_tensor: Tensor,
) -> TorchSystem:
    return TorchSystem(to_tensor(stencil), to_tensor(layers), to_tensor(gradient - 1.1), far)


def test_solution_is_that_of_the_assembled_system(
    system: TorchSystem, stencil: np.ndarray, far: sp.csr_array | None
) -> None:
    rng = np.random.default_rng(2)
    diagonal, rhs = rng.uniform(1, 50, (LAYERS, *SIZE)), rng.uniform(90, 110, (LAYERS, *SIZE))
    for target, values in ((system.diagonal, diagonal), (system.rhs, rhs)):
        target[:, 2:-2, 2:-2] = torch.from_numpy(values)
    system.solve(1e-7)
    laplacian = stencil_matrix(stencil) + (0 if far is None else far)
    coupling = sp.kron(np.ones((LAYERS, LAYERS)), 100 * sp.eye_array(laplacian.shape[0]))
    own = sp.block_diag([laplacian + sp.diags_array(d.ravel()) for d in diagonal])
    expected = spsolve(sp.csc_array(own + coupling), rhs.ravel()).reshape(rhs.shape)
    np.testing.assert_allclose(system.layers().permute(2, 0, 1), expected, rtol=0, atol=2e-5)


def test_rounds_are_those_of_the_processor(
    system: TorchSystem,
    stencil: np.ndarray,
    layers: np.ndarray,
    gradient: np.ndarray,
    far: sp.csr_array | None,
) -> None:
    theirs = StencilSystem(stencil, layers, gradient - 1.1, far)
    for iteration in range(4):
        for one in (system, theirs):
            one.reweight()
            one.solve(1e-4, carried=iteration > 0)
        np.testing.assert_allclose(system.rhs, theirs.rhs, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(system.alpha, theirs.alpha, rtol=0, atol=1e-3)
    assert abs(system.steps - theirs.steps) <= 2
    assert system.steps > 8


def test_reweighting_keeps_the_residual_up_to_date(system: TorchSystem) -> None:
    system.reweight()
    system.solve(1e-3)
    system.reweight()
    carried = system._residual.clone()
    system._restart()
    np.testing.assert_allclose(carried, system._residual, rtol=0, atol=2e-3)
    assert abs(carried).max() > 0.1


@pytest.mark.parametrize("tolerance", [spectral.TOLERANCE, spectral.LOOSE_TOLERANCE])
def test_layers_are_those_of_the_processor(
    stencil: np.ndarray,
    layers: np.ndarray,
    gradient: np.ndarray,
    far: sp.csr_array | None,
    tolerance: float,
    to_tensor: Tensor,
) -> None:
    arrays = stencil, layers, gradient
    tensors = [to_tensor(array) for array in arrays]
    found, again = (
        TorchBackend("cpu").relaxed_layers(*tensors, None, tolerance, far) for _ in range(2)
    )
    expected = spectral.relaxed_layers(*arrays, None, tolerance, far)
    assert found.shape == (*SIZE, LAYERS)
    assert torch.equal(found, again)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)
    assert abs(found.numpy() - expected).mean() < 1e-4
    assert abs(expected - layers).mean() > 0.01  # and the step does something
    np.testing.assert_array_equal(tensors[1], layers)


def test_frame_stays_empty(system: TorchSystem) -> None:
    system.reweight()
    system.solve(1e-6)
    inner = framed(system.layers().numpy())
    np.testing.assert_array_equal(system.alpha, inner)


def test_thresholds_are_those_of_the_processor() -> None:
    alpha = np.array([[0.05, 0.95, 0.0], [0.3, 0.09, 0.61], [1.3, -0.4, 0.1], [0.09, 0.09, -0.02]])
    expected = spectral.threshold_layers(alpha)
    np.testing.assert_allclose(
        spectral.threshold_layers(torch.from_numpy(alpha)), expected, atol=1e-12
    )
