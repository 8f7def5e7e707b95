from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp

from sss.data.scenes import generate_scene
from sss.spectral import eigenvectors
from sss.spectral.eigenvectors import FINE, ROUGH, smallest_eigenvectors
from sss.spectral.laplacian import (
    matting_laplacian,
    soft_segmentation_laplacian,
    superpixel_laplacian,
)
from sss.spectral.superpixels import compute_superpixels

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]
Eigenpairs = tuple[np.ndarray, np.ndarray]

COUNT = 30
SIZE = (40, 40)


@pytest.fixture(scope="module")
def laplacian() -> sp.csr_array:
    """Of a 40×40 scene; unlike features all over make it indefinite."""
    photo = generate_scene(0, SIZE).photo.astype(np.float64)
    features = np.random.default_rng(0).random((*SIZE, 3))
    return soft_segmentation_laplacian(photo, features, compute_superpixels(photo, 400))


def dense_eigenpairs(laplacian: sp.csr_array) -> Eigenpairs:
    """All eigenpairs with rising |λ|."""
    values, vectors = np.linalg.eigh(laplacian.toarray())
    order = np.argsort(abs(values))
    return values[order], vectors[:, order]


@pytest.fixture(scope="module")
def dense(laplacian: sp.csr_array) -> Eigenpairs:
    return dense_eigenpairs(laplacian)


@pytest.fixture
def sparse_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the Krylov branch whatever the size."""

    def refuse(*_: object) -> None:
        raise AssertionError("the dense solver was used")

    monkeypatch.setattr(eigenvectors, "DENSE_LIMIT", 0)
    monkeypatch.setattr(scipy.linalg, "eigh", refuse)


def least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of the angles between two spaces."""
    return float(np.linalg.svd(a.T @ b, compute_uv=False).min())


# --- against a dense solver --------------------------------------------------------------------


@pytest.mark.usefixtures("sparse_only")
def test_exact_eigenpairs_are_those_of_a_dense_solver(
    laplacian: sp.csr_array, dense: Eigenpairs
) -> None:
    values, vectors = smallest_eigenvectors(laplacian, SIZE, COUNT)
    assert dense[0][:COUNT].min() < -1e-4  # nearest zero is not algebraically smallest
    np.testing.assert_allclose(values, dense[0][:COUNT], rtol=1e-6, atol=1e-10)
    assert least_cosine(dense[1][:, :COUNT], vectors) > 1 - 1e-6
    residuals = np.linalg.norm(laplacian @ vectors - vectors * values, axis=0)
    assert residuals.max() < FINE * abs(dense[0][COUNT - 1])


@pytest.mark.usefixtures("sparse_only")
def test_rough_eigenpairs_are_nearly_those_of_a_dense_solver(
    laplacian: sp.csr_array, dense: Eigenpairs
) -> None:
    values, vectors = smallest_eigenvectors(laplacian, SIZE, COUNT, rough=True)
    assert vectors.dtype == np.float64
    largest = abs(dense[0][COUNT - 1])
    np.testing.assert_allclose(values, dense[0][:COUNT], rtol=0, atol=1e-4 * largest)
    # The last wanted one may be mixed with the first that is not.
    assert least_cosine(dense[1][:, : COUNT + 4], vectors) > 1 - 1e-4
    residuals = np.linalg.norm(laplacian @ vectors - vectors * values, axis=0)
    assert residuals.max() < 100 * ROUGH * largest
    assert residuals.max() > 1e-7  # it did stop early


@pytest.mark.usefixtures("sparse_only")
@pytest.mark.parametrize("rough", [False, True])
def test_eigenvectors_are_orthonormal(laplacian: sp.csr_array, rough: bool) -> None:
    _, vectors = smallest_eigenvectors(laplacian, SIZE, COUNT, rough=rough)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(COUNT), atol=1e-10)


@pytest.mark.usefixtures("sparse_only")
@pytest.mark.parametrize("size", [(3, 90), (90, 3), (4, 80), (17, 43)])
def test_narrow_photos(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    photo, features = rng.random((2, *size, 3))
    laplacian = soft_segmentation_laplacian(photo, features, compute_superpixels(photo, 60))
    expected = dense_eigenpairs(laplacian)
    for rough, tolerance in ((False, 1e-8), (True, 1e-4)):
        values, _ = smallest_eigenvectors(laplacian, size, 20, rough=rough)
        np.testing.assert_allclose(values, expected[0][:20], rtol=0, atol=tolerance)


@pytest.mark.usefixtures("sparse_only")
@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("term", ["semantic", "colour"])
def test_superpixels_of_a_pixel_or_two_couple_within_the_stencil(term: str, rough: bool) -> None:
    # Negative couplings that reach no further than the stencil make its part indefinite, too.
    rng = np.random.default_rng(2)
    photo, features = rng.random((2, *SIZE, 3))
    weights = (1.0, 0.0) if term == "semantic" else (0.0, 0.01)
    graph = compute_superpixels(photo)
    laplacian = soft_segmentation_laplacian(photo, features, graph, *weights)
    links = superpixel_laplacian(photo, features, graph, *weights)
    linked = np.flatnonzero(np.diff(links.indptr))
    expected = dense_eigenpairs(laplacian)[0][:COUNT]
    values, _ = smallest_eigenvectors(laplacian, SIZE, COUNT, rough=rough, linked=linked)
    scale = abs(expected[-1])
    tolerance = (1e-3 if rough else 1e-8) * scale
    np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance)


def test_dense_branch_agrees(
    laplacian: sp.csr_array, dense: Eigenpairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eigenvectors, "DENSE_LIMIT", 10_000)
    values, vectors = smallest_eigenvectors(laplacian, SIZE, COUNT)
    assert vectors.shape == (1600, COUNT)
    np.testing.assert_allclose(values, dense[0][:COUNT], rtol=0, atol=1e-12)


def test_order_is_by_magnitude_and_the_sign_is_kept() -> None:
    diagonal = np.array([5.0, -0.1, 0.3, -2.0, 0.0, 0.2, -4.0])
    values, vectors = smallest_eigenvectors(sp.csr_array(np.diag(diagonal)), (7, 1), 5)
    np.testing.assert_allclose(values, [0.0, -0.1, 0.2, 0.3, -2.0], atol=1e-12)
    assert abs(vectors).argmax(axis=0).tolist() == [4, 1, 5, 2, 3]


def test_fewer_pixels_than_eigenvectors() -> None:
    photo = np.random.default_rng(0).random((3, 4, 3))
    laplacian = soft_segmentation_laplacian(photo, photo, compute_superpixels(photo))
    values, vectors = smallest_eigenvectors(laplacian, (3, 4), 100)
    assert values.shape == (12,)
    np.testing.assert_allclose(
        vectors @ np.diag(values) @ vectors.T, laplacian.toarray(), atol=1e-9
    )


# --- graphs that fall apart, or nearly ---------------------------------------------------------


@pytest.mark.usefixtures("sparse_only")
@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("pieces", [2, 5, 20])
def test_every_piece_of_a_graph_has_its_eigenvalue_of_zero(pieces: int, rough: bool) -> None:
    rng = np.random.default_rng(3)
    parts = [matting_laplacian(rng.random((60 // pieces, 24, 3))) for _ in range(pieces)]
    laplacian = sp.csr_array(sp.block_diag(parts, format="csr"))
    values, vectors = smallest_eigenvectors(laplacian, (60, 24), COUNT, rough=rough)
    expected = dense_eigenpairs(laplacian)[0][:COUNT]
    assert (abs(expected) < 1e-9).sum() == pieces
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-4 if rough else 1e-9)
    indicators = np.repeat(np.eye(pieces), 1440 // pieces, axis=0) / (1440 / pieces) ** 0.5
    assert least_cosine(vectors[:, :pieces], indicators) > 1 - (1e-2 if rough else 1e-6)


@pytest.mark.usefixtures("sparse_only")
@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("colours", [1, 2, 12])
def test_photos_of_few_flat_colours(
    colours: int, rough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not rough:
        monkeypatch.setattr(eigenvectors, "EXACT", 0.0)  # found without a space in double precision
    # Eigenvalues of regions that differ in colour are 1e-8 and less: far beyond all others.
    palette = np.random.default_rng(4).random((colours, 3))
    photo = np.broadcast_to(palette[np.arange(48) * colours // 48][:, None], (48, 30, 3))
    laplacian = matting_laplacian(photo)
    expected = dense_eigenpairs(laplacian)[0][:COUNT]
    # The last wanted are among ten that differ by 1e-6.
    relative = 1e-6 if colours == 12 else 1e-7
    tolerance = {"rtol": 0, "atol": 1e-4} if rough else {"rtol": relative, "atol": 1e-9}
    for seed in range(3):
        values, vectors = smallest_eigenvectors(laplacian, (48, 30), COUNT, seed, rough)
        np.testing.assert_allclose(values, expected, **tolerance)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(COUNT), atol=1e-9)


# --- seeds, threads, failure -------------------------------------------------------------------


@pytest.mark.usefixtures("sparse_only")
@pytest.mark.parametrize("rough", [False, True])
def test_same_seed_gives_the_same_bits(laplacian: sp.csr_array, rough: bool) -> None:
    first, second, other = (
        smallest_eigenvectors(laplacian, SIZE, COUNT, seed, rough) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[1], other[1])


@pytest.mark.usefixtures("sparse_only")
@pytest.mark.parametrize("rough", [False, True])
def test_threads_do_not_show(
    laplacian: sp.csr_array,
    rough: bool,
    one_and_two_threads: Threads,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sss.spectral.linalg.ROWS", 300)
    alone, two = one_and_two_threads(
        lambda: smallest_eigenvectors(laplacian, SIZE, COUNT, rough=rough)
    )
    np.testing.assert_array_equal(alone[0], two[0])
    np.testing.assert_array_equal(alone[1], two[1])


@pytest.mark.usefixtures("sparse_only")
def test_no_convergence_is_told(laplacian: sp.csr_array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eigenvectors, "LARGEST_SPACE", 2)
    monkeypatch.setattr(eigenvectors, "MOST_CORRECTIONS", 0)
    with pytest.raises(RuntimeError, match="33 eigenvectors did not converge in a space of 64"):
        smallest_eigenvectors(laplacian, SIZE, COUNT)


@pytest.mark.usefixtures("sparse_only")
def test_a_correction_finishes_an_interrupted_search(
    laplacian: sp.csr_array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eigenvectors, "FINE", 0.0)
    monkeypatch.setattr(eigenvectors, "CORRECTED_SPACE", 4)
    monkeypatch.setattr(eigenvectors, "EXACT", 0.0)  # nothing else would find them

    def residual() -> float:
        values, vectors = smallest_eigenvectors(laplacian, SIZE, COUNT)
        return float(np.linalg.norm(laplacian @ vectors - vectors * values, axis=0).max())

    assert residual() < 5e-5
    values, _ = smallest_eigenvectors(laplacian, SIZE, COUNT)
    np.testing.assert_allclose(values, dense_eigenpairs(laplacian)[0][:COUNT], rtol=1e-6, atol=1e-9)
    monkeypatch.setattr(
        eigenvectors,
        "_corrected",
        lambda laplacian, _, found: eigenvectors._rayleigh_ritz(laplacian, found),
    )
    assert residual() > 2e-4


@pytest.mark.usefixtures("sparse_only")
def test_what_does_not_settle_is_searched_for_in_double_precision(
    laplacian: sp.csr_array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eigenvectors, "SETTLED", 0.0)
    monkeypatch.setattr(eigenvectors, "ZERO", 0.0)
    values, vectors = smallest_eigenvectors(laplacian, SIZE, COUNT)
    np.testing.assert_allclose(values, dense_eigenpairs(laplacian)[0][:COUNT], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(COUNT), atol=1e-10)
