import numpy as np
import pytest
import torch

from sss.cuda.components import constrained_components, solve_coupled, sparsity_weight
from sss.data.scenes import generate_scene
from sss.spectral import components as spectral
from sss.spectral.clustering import cluster_pixels
from sss.spectral.eigenvectors import smallest_eigenvectors
from sss.spectral.laplacian import soft_segmentation_laplacian
from sss.spectral.superpixels import compute_superpixels

SIZE = (30, 34)
Scene = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Eigenvalues, eigenvectors and start of three regions."""
    drawn = generate_scene(5, SIZE, regions=(3, 3))
    photo = drawn.photo.astype(np.float64)
    features = drawn.alphas @ np.array([[0.1, 0.1, 0.9], [0.9, 0.2, 0.1], [0.2, 0.9, 0.3]])
    laplacian = soft_segmentation_laplacian(photo, features, compute_superpixels(photo))
    return *smallest_eigenvectors(laplacian, SIZE, 30), cluster_pixels(features, 8)


def test_coefficients_solve_the_system_written_out(scene: Scene) -> None:
    values, vectors = scene[0][:4], scene[1][:60, :4]
    rng = np.random.default_rng(0)
    to_zero, to_one = rng.uniform(0.5, 5, (2, 60, 3))
    # (C−1)·M unknowns: each component's own block, and the last component's on all of them.
    both = to_zero + to_one
    system = np.kron(np.ones((2, 2)), vectors.T @ (both[:, 2:] * vectors) + np.diag(values))
    side = []
    for k in range(2):
        block = slice(4 * k, 4 * k + 4)
        system[block, block] += vectors.T @ (both[:, [k]] * vectors) + np.diag(values)
        side.append(vectors.T @ (to_one[:, k] + to_zero[:, 2]))
    expected = np.linalg.solve(system, np.concatenate(side)).reshape(2, 4).T
    arrays = vectors, np.diag(values), to_zero, to_one
    found = solve_coupled(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_weight_is_that_of_the_processor(kind: type) -> None:
    deviation = np.array([-1.3, -0.2, 0, 1e-12, 1e-5, 0.7]).astype(kind)
    found = sparsity_weight(torch.from_numpy(deviation))
    np.testing.assert_allclose(found, spectral.sparsity_weight(deviation), rtol=2e-6)


@pytest.mark.parametrize("single", [False, True])
def test_first_rounds_are_those_of_the_processor(
    scene: Scene, single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Later ones drift apart: rounding is amplified from round to round.
    monkeypatch.setattr(spectral, "ITERATIONS", 3)
    monkeypatch.setattr("sss.cuda.components.ITERATIONS", 3)
    expected = spectral.constrained_components(*scene, single=single)
    found = constrained_components(*scene, single=single)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-2 if single else 1e-6)


def test_strongest_components_are_those_of_the_processor(scene: Scene) -> None:
    pixels = spectral.sample_pixels(SIZE, 500)
    arguments = scene[0], scene[1], scene[2][pixels], pixels
    expected = spectral.constrained_components(*arguments)
    found = constrained_components(*arguments).numpy()
    assert found.shape == expected.shape
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.99


def test_components_sum_to_one(scene: Scene) -> None:
    np.testing.assert_allclose(constrained_components(*scene).sum(dim=1), 1, atol=1e-12)


def test_two_runs_give_the_same_bits(scene: Scene) -> None:
    assert torch.equal(*(constrained_components(*scene, single=True) for _ in range(2)))


def test_one_cluster_gives_one_component(scene: Scene) -> None:
    found = constrained_components(*scene[:2], np.zeros(len(scene[2]), int))
    assert torch.equal(found, torch.ones((len(scene[2]), 1), dtype=torch.float64))


def test_one_component_is_left_when_all_die(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sss.cuda.components.REMOVAL_MAXIMUM", 10.0)
    assert constrained_components(*scene).shape == (SIZE[0] * SIZE[1], 1)
