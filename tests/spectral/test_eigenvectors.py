from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import eigsh

from sss.data.scenes import generate_scene
from sss.spectral.eigenvectors import smallest_eigenvectors
from sss.spectral.laplacian import (
    graph_laplacian,
    matting_laplacian,
    superpixel_laplacian,
)
from sss.spectral.superpixels import compute_superpixels

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]
Eigenpairs = tuple[np.ndarray, np.ndarray]

COUNT = 30
SIZE = (40, 40)

sparse_eigenvectors = partial(smallest_eigenvectors, dense_limit=0)


def photo_laplacian(
    photo: np.ndarray, features: np.ndarray, superpixels: int = 2500
) -> sp.csr_array:
    far = superpixel_laplacian(photo, features, compute_superpixels(photo, superpixels))
    return matting_laplacian(photo) + far


def scene_laplacian(size: tuple[int, int], superpixels: int = 400) -> sp.csr_array:
    """Of a generated scene; unlike features all over make it indefinite."""
    photo = generate_scene(0, size).photo.astype(np.float64)
    features = np.random.default_rng(0).random((*size, 3))
    return photo_laplacian(photo, features, superpixels)


@pytest.fixture(scope="module")
def laplacian() -> sp.csr_array:
    return scene_laplacian(SIZE)


def dense_eigenpairs(laplacian: sp.csr_array, count: int = COUNT) -> Eigenpairs:
    """``count`` eigenpairs with rising |λ|."""
    values, vectors = np.linalg.eigh(laplacian.toarray())
    order = np.argsort(abs(values))[:count]
    return values[order], vectors[:, order]


def least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of the angles between two spaces."""
    return float(np.linalg.svd(a.T @ b, compute_uv=False).min())


def largest_residual(laplacian: sp.csr_array, values: np.ndarray, vectors: np.ndarray) -> float:
    return float(np.linalg.norm(laplacian @ vectors - vectors * values, axis=0).max())


# --- against closed forms and independent solvers ----------------------------------------------


@pytest.mark.parametrize("size", [(40, 40), (30, 50)])
def test_grid_graph_has_its_known_eigenvalues(size: tuple[int, int]) -> None:
    # Sums of a path's, 4·sin²(πi/2n); on a square nearly all of them are double.
    paths = []
    for side in size:
        path = sp.diags_array([-np.ones(side - 1)] * 2, offsets=[-1, 1])
        paths.append(path + sp.diags_array(-np.asarray(path.sum(axis=1)).ravel()))
    laplacian = sp.csr_array(sp.kronsum(paths[1], paths[0], format="csr"))
    down, across = (4 * np.sin(np.pi * np.arange(side) / (2 * side)) ** 2 for side in size)
    expected = np.sort(np.add.outer(down, across).ravel())[:COUNT]
    values, vectors = sparse_eigenvectors(laplacian, size, COUNT)
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(COUNT), atol=1e-10)


@pytest.mark.parametrize("method", ["auto", pytest.param("superlu", marks=pytest.mark.slow)])
def test_exact_eigenpairs_are_those_of_a_dense_solver(laplacian: sp.csr_array, method: str) -> None:
    expected = dense_eigenpairs(laplacian)
    values, vectors = sparse_eigenvectors(laplacian, SIZE, COUNT, method=method)
    assert expected[0].min() < -1e-4  # nearest zero is not algebraically smallest
    np.testing.assert_allclose(values, expected[0], rtol=1e-8, atol=1e-12)
    assert least_cosine(expected[1], vectors) > 1 - 1e-9
    assert largest_residual(laplacian, values, vectors) < 1e-7
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(COUNT), atol=1e-10)


@pytest.mark.slow
def test_exact_eigenpairs_are_those_of_arpack() -> None:
    size = (90, 120)
    laplacian = scene_laplacian(size, 1000)
    values, vectors = smallest_eigenvectors(laplacian, size)
    expected = eigsh(laplacian, 100, sigma=-1e-6)[0]
    np.testing.assert_allclose(np.sort(values), np.sort(expected), rtol=1e-8, atol=1e-12)
    assert largest_residual(laplacian, values, vectors) < 1e-6


def test_rough_eigenpairs_are_nearly_those_of_a_dense_solver(laplacian: sp.csr_array) -> None:
    expected = dense_eigenpairs(laplacian, COUNT + 4)
    values, vectors = sparse_eigenvectors(laplacian, SIZE, COUNT, rough=True)
    assert vectors.dtype == np.float64
    largest = abs(expected[0][COUNT - 1])
    np.testing.assert_allclose(values, expected[0][:COUNT], rtol=0, atol=1e-4 * largest)
    # The last wanted one may be mixed with the first that is not.
    assert least_cosine(expected[1], vectors) > 1 - 1e-4
    assert 1e-7 < largest_residual(laplacian, values, vectors) < largest
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(COUNT), atol=1e-10)


@pytest.mark.parametrize("size", [(3, 90), (90, 3), (4, 80), (17, 43)])
def test_narrow_photos(size: tuple[int, int]) -> None:
    photo, features = np.random.default_rng(1).random((2, *size, 3))
    laplacian = photo_laplacian(photo, features, 60)
    expected, _ = dense_eigenpairs(laplacian, 20)
    for rough, tolerance in ((False, 1e-9), (True, 1e-4)):
        values, _ = sparse_eigenvectors(laplacian, size, 20, rough=rough)
        np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("weights", [(1.0, 0.0), pytest.param((0.0, 0.01), marks=pytest.mark.slow)])
def test_superpixels_of_a_pixel_or_two_couple_within_the_stencil(
    weights: tuple[float, float], rough: bool
) -> None:
    # Negative couplings that reach no further than the stencil make its part indefinite, too.
    photo, features = np.random.default_rng(2).random((2, *SIZE, 3))
    graph = compute_superpixels(photo)
    coupled = superpixel_laplacian(photo, features, graph, *weights)
    laplacian = matting_laplacian(photo) + coupled
    separator = np.flatnonzero(np.diff(coupled.indptr))
    expected, _ = dense_eigenpairs(laplacian)
    values, _ = sparse_eigenvectors(laplacian, SIZE, COUNT, rough=rough, separator=separator)
    tolerance = (1e-3 if rough else 1e-9) * abs(expected[-1])
    np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance)


def test_small_photos_are_left_to_a_dense_solver() -> None:
    diagonal = np.array([5.0, -0.1, 0.3, -2.0, 0.0, 0.2, -4.0])
    values, vectors = smallest_eigenvectors(sp.csr_array(np.diag(diagonal)), (7, 1), 5)
    np.testing.assert_allclose(values, [0.0, -0.1, 0.2, 0.3, -2.0], atol=1e-12)
    assert abs(vectors).argmax(axis=0).tolist() == [4, 1, 5, 2, 3]


def test_fewer_pixels_than_eigenvectors() -> None:
    photo = np.random.default_rng(0).random((3, 4, 3))
    laplacian = photo_laplacian(photo, photo)
    values, vectors = smallest_eigenvectors(laplacian, (3, 4), 100)
    assert values.shape == (12,)
    np.testing.assert_allclose(
        vectors @ np.diag(values) @ vectors.T, laplacian.toarray(), atol=1e-9
    )


# --- graphs that fall apart, or nearly; repeated eigenvalues -----------------------------------


@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize(
    "pieces", [pytest.param(2, marks=pytest.mark.slow), 5, pytest.param(20, marks=pytest.mark.slow)]
)
def test_every_piece_of_a_graph_has_its_eigenvalue_of_zero(pieces: int, rough: bool) -> None:
    rng = np.random.default_rng(3)
    parts = [matting_laplacian(rng.random((60 // pieces, 24, 3))) for _ in range(pieces)]
    laplacian = sp.csr_array(sp.block_diag(parts, format="csr"))
    values, vectors = sparse_eigenvectors(laplacian, (60, 24), COUNT, rough=rough)
    expected, _ = dense_eigenpairs(laplacian)
    assert (abs(expected) < 1e-9).sum() == pieces
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-4 if rough else 1e-9)
    indicators = np.repeat(np.eye(pieces), 1440 // pieces, axis=0) / (1440 / pieces) ** 0.5
    assert least_cosine(vectors[:, :pieces], indicators) > 1 - (1e-2 if rough else 1e-6)


@pytest.mark.parametrize("rough", [False, True])
def test_two_identical_halves_have_every_eigenvalue_twice(rough: bool) -> None:
    half = matting_laplacian(np.random.default_rng(5).random((26, 30, 3)))
    laplacian = sp.csr_array(sp.block_diag([half, half], format="csr"))
    once, _ = dense_eigenpairs(half, COUNT // 2)
    values, vectors = sparse_eigenvectors(laplacian, (52, 30), COUNT, rough=rough)
    tolerance = 1e-3 * abs(once[-1]) if rough else 1e-9
    np.testing.assert_allclose(values, np.repeat(once, 2), rtol=0, atol=tolerance)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(COUNT), atol=1e-9)


@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize(
    "colours",
    [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(12, marks=pytest.mark.slow)],
)
def test_photos_of_few_flat_colours(colours: int, rough: bool) -> None:
    # Eigenvalues of regions that differ in colour are 1e-8 and less: far beyond all others.
    palette = np.random.default_rng(4).random((colours, 3))
    photo = np.broadcast_to(palette[np.arange(48) * colours // 48][:, None], (48, 30, 3))
    laplacian = matting_laplacian(photo)
    expected, _ = dense_eigenpairs(laplacian)
    # Rough ones have residuals of 1e-2; how far off the values are then depends on the processor.
    tolerance = {"rtol": 0, "atol": 5e-4} if rough else {"rtol": 1e-9, "atol": 1e-10}
    for seed in range(3):
        values, vectors = sparse_eigenvectors(laplacian, (48, 30), COUNT, seed, rough)
        np.testing.assert_allclose(values, expected, **tolerance)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(COUNT), atol=1e-9)


def test_what_single_precision_cannot_tell_is_found_in_double(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Two flat regions and a thread between them: an eigenvalue ten thousand times below the others.
    photo = np.broadcast_to(np.repeat([0.2, 0.8], 24)[:, None, None], (48, 30, 3))
    upper = np.arange(23 * 30, 24 * 30)
    thread = sp.coo_array((np.full(30, 0.001), (upper, upper + 30)), shape=(1440, 1440))
    laplacian = matting_laplacian(photo) + graph_laplacian(sp.csr_array(thread + thread.T))
    expected, _ = dense_eigenpairs(laplacian)
    with caplog.at_level("DEBUG", "sss"):
        values, _ = sparse_eigenvectors(laplacian, (48, 30), COUNT, rough=True)
    assert "eigenvalues span a factor of" in caplog.text  # found at once, not by trying for long
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-4)


# --- seeds, threads, failure -------------------------------------------------------------------


@pytest.mark.parametrize("rough", [False, True])
def test_same_seed_gives_the_same_bits(laplacian: sp.csr_array, rough: bool) -> None:
    first, second, other = (
        sparse_eigenvectors(laplacian, SIZE, COUNT, seed, rough) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("rough", [False, True])
def test_threads_do_not_show(rough: bool, one_and_two_threads: Threads) -> None:
    laplacian = scene_laplacian((70, 72))  # more rows than one thread takes at a time
    alone, two = one_and_two_threads(
        lambda: smallest_eigenvectors(laplacian, (70, 72), COUNT, rough=rough)
    )
    np.testing.assert_array_equal(alone[0], two[0])
    np.testing.assert_array_equal(alone[1], two[1])


def test_no_convergence_is_told(laplacian: sp.csr_array) -> None:
    with pytest.raises(RuntimeError, match="33 eigenvectors did not converge in a space of 64"):
        sparse_eigenvectors(laplacian, SIZE, COUNT, largest_space=2)
