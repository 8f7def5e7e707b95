import numpy as np
import pytest
import scipy.sparse as sp
from pymatting import cf_laplacian

from sss.spectral.affinities import colour_affinity, semantic_affinity
from sss.spectral.laplacian import (
    coarsen_laplacian,
    graph_laplacian,
    matting_laplacian,
    superpixel_laplacian,
)
from sss.spectral.superpixels import SuperpixelGraph, build_graph

Inputs = tuple[np.ndarray, np.ndarray, SuperpixelGraph]


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    """Photo, features and superpixels of 2×2 pixels."""
    rng = np.random.default_rng(0)
    labels = np.arange(7 * 8).reshape(7, 8).repeat(2, axis=0).repeat(2, axis=1)
    return rng.random((14, 16, 3)), rng.random((14, 16, 3)), build_graph(labels)


def whole_laplacian(
    photo: np.ndarray, features: np.ndarray, graph: SuperpixelGraph, *weights: float
) -> sp.csr_array:
    return matting_laplacian(photo) + superpixel_laplacian(photo, features, graph, *weights)


def test_laplacian_of_a_small_graph() -> None:
    affinity = sp.csr_array(np.array([[5.0, 1, -2], [1, 0, 3], [-2, 3, 7]]))
    expected = [[-1, -1, 2], [-1, 4, -3], [2, -3, 1]]
    np.testing.assert_array_equal(graph_laplacian(affinity).toarray(), expected)


def test_rows_sum_to_zero(inputs: Inputs) -> None:
    laplacian = whole_laplacian(*inputs)
    assert abs(laplacian.sum(axis=1)).max() < 1e-12


def test_is_symmetric(inputs: Inputs) -> None:
    laplacian = whole_laplacian(*inputs)
    assert abs(laplacian - laplacian.T).max() < 1e-12


def test_energy_is_that_of_the_weighted_differences(inputs: Inputs) -> None:
    photo, features, graph = inputs
    weights = (
        -cf_laplacian(photo, 1e-7, 1)  # what stands on the diagonal plays no part
        + 0.01 * semantic_affinity(graph, features)
        + 0.01 * colour_affinity(graph, photo)
    ).toarray()
    alpha = np.random.default_rng(1).random(photo.shape[0] * photo.shape[1])
    expected = (weights * np.subtract.outer(alpha, alpha) ** 2).sum() / 2
    assert alpha @ (whole_laplacian(*inputs) @ alpha) == pytest.approx(expected)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.3, 0.2)])
def test_terms_of_weight_zero_are_left_out(inputs: Inputs, weights: tuple[float, float]) -> None:
    photo, features, graph = inputs
    affinity = weights[0] * semantic_affinity(graph, features).toarray()
    affinity += weights[1] * colour_affinity(graph, photo).toarray()
    expected = np.diag(affinity.sum(axis=1)) - affinity
    without_matting = superpixel_laplacian(photo, features, graph, *weights)
    np.testing.assert_allclose(without_matting.toarray(), expected, atol=1e-12)
    whole = whole_laplacian(photo, features, graph, *weights)
    expected += cf_laplacian(photo, 1e-7, 1)
    np.testing.assert_allclose(whole.toarray(), expected, atol=1e-10)


def test_couplings_are_stored_at_the_centroids_alone(inputs: Inputs) -> None:
    photo, features, graph = inputs
    stored = np.flatnonzero(np.diff(superpixel_laplacian(photo, features, graph).indptr))
    np.testing.assert_array_equal(stored, np.sort(graph.centroid_pixels))
    assert superpixel_laplacian(photo, features, graph, 0.0, 0.0).nnz == 0


def test_semantic_term_makes_it_indefinite(inputs: Inputs) -> None:
    with_term = np.linalg.eigvalsh(whole_laplacian(*inputs).toarray())
    without = np.linalg.eigvalsh(whole_laplacian(*inputs, 0.0).toarray())
    assert with_term[0] < -1e-3
    assert without[0] > -1e-9


def test_alpha_that_is_linear_in_the_colours_costs_only_the_regularisation(
    inputs: Inputs,
) -> None:
    # Levin et al. 2008, equation 5: each window costs the misfit, here zero, plus ε·‖a‖².
    photo, epsilon = inputs[0], 1e-4
    laplacian = matting_laplacian(photo, epsilon)
    slope = np.array([0.5, -1.0, 2.0])
    alpha = photo.reshape(-1, 3) @ slope + 0.3
    windows = (photo.shape[0] - 2) * (photo.shape[1] - 2)
    assert alpha @ (laplacian @ alpha) == pytest.approx(windows * epsilon * slope @ slope, rel=1e-2)


@pytest.mark.parametrize("wrong", [0, 1])
def test_different_sizes_are_refused(inputs: Inputs, wrong: int) -> None:
    arguments = list(inputs)
    arguments[wrong] = arguments[wrong][:, :-1]
    with pytest.raises(ValueError, match=r"\(14, 15\).*must have one size"):
        superpixel_laplacian(*arguments)


@pytest.mark.parametrize("smaller", [(4, 6), (3, 5), (8, 12)])
def test_couplings_move_to_the_cells_their_pixels_lie_in(smaller: tuple[int, int]) -> None:
    size = (8, 12)
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 96, (40, 2))
    affinity = np.zeros((96, 96))
    for one, other in pairs:
        affinity[one, other] = affinity[other, one] = rng.random() - 0.3
    fine = graph_laplacian(sp.csr_array(affinity))
    cells = np.zeros((96, smaller[0] * smaller[1]))
    for row in range(8):
        for column in range(12):
            down = int((row + 0.5) * smaller[0] / 8)
            right = int((column + 0.5) * smaller[1] / 12)
            cells[row * 12 + column, down * smaller[1] + right] = 1
    moved = coarsen_laplacian(fine, size, smaller)
    np.testing.assert_allclose(moved.toarray(), cells.T @ fine.toarray() @ cells, atol=1e-12)
    np.testing.assert_allclose(moved.sum(axis=1), 0, atol=1e-12)
