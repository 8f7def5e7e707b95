import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackNoConvergence

from data.scenes import generate_scene
from sss.spectral import eigenvectors
from sss.spectral.eigenvectors import smallest_eigenvectors
from sss.spectral.laplacian import soft_segmentation_laplacian
from sss.spectral.superpixels import compute_superpixels

COUNT = 30


@pytest.fixture(scope="module")
def laplacian() -> sp.csr_array:
    """Of a 40×40 scene; unlike features all over make it indefinite."""
    photo = generate_scene(0, (40, 40)).photo.astype(np.float64)
    features = np.random.default_rng(0).random((40, 40, 3))
    return soft_segmentation_laplacian(photo, features, compute_superpixels(photo, 400))


@pytest.fixture(scope="module")
def dense(laplacian: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """All eigenpairs with rising |λ|."""
    values, vectors = np.linalg.eigh(laplacian.toarray())
    order = np.argsort(abs(values))
    return values[order], vectors[:, order]


@pytest.fixture
def sparse_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the shift-invert branch whatever the size."""

    def refuse(*_: object) -> None:
        raise AssertionError("the dense solver was used")

    monkeypatch.setattr(eigenvectors, "DENSE_LIMIT", 0)
    monkeypatch.setattr(scipy.linalg, "eigh", refuse)


@pytest.mark.usefixtures("sparse_only")
def test_shift_invert_finds_the_eigenpairs_of_a_dense_solver(
    laplacian: sp.csr_array, dense: tuple[np.ndarray, np.ndarray]
) -> None:
    values, vectors = smallest_eigenvectors(laplacian, COUNT)
    assert dense[0][:COUNT].min() < -1e-4  # nearest zero is not algebraically smallest
    np.testing.assert_allclose(values, dense[0][:COUNT], rtol=0, atol=1e-9)
    cosines = np.linalg.svd(dense[1][:, :COUNT].T @ vectors, compute_uv=False)
    assert cosines.min() > 1 - 1e-9


@pytest.mark.usefixtures("sparse_only")
def test_shift_invert_gives_orthonormal_eigenvectors(laplacian: sp.csr_array) -> None:
    values, vectors = smallest_eigenvectors(laplacian, COUNT)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(COUNT), atol=1e-10)
    assert np.linalg.norm(laplacian @ vectors - vectors * values, axis=0).max() < 1e-10


@pytest.mark.usefixtures("sparse_only")
def test_same_seed_gives_the_same_bits(laplacian: sp.csr_array) -> None:
    first, second, other = (smallest_eigenvectors(laplacian, COUNT, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[1], other[1])


def test_order_is_by_magnitude_and_the_sign_is_kept() -> None:
    diagonal = np.array([5.0, -0.1, 0.3, -2.0, 0.0, 0.2, -4.0])
    values, vectors = smallest_eigenvectors(sp.csr_array(np.diag(diagonal)), 5)
    np.testing.assert_allclose(values, [0.0, -0.1, 0.2, 0.3, -2.0], atol=1e-12)
    assert abs(vectors).argmax(axis=0).tolist() == [4, 1, 5, 2, 3]


def test_dense_branch_agrees(
    laplacian: sp.csr_array,
    dense: tuple[np.ndarray, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(eigenvectors, "DENSE_LIMIT", 10_000)
    values, vectors = smallest_eigenvectors(laplacian, COUNT)
    assert vectors.shape == (1600, COUNT)
    np.testing.assert_allclose(values, dense[0][:COUNT], rtol=0, atol=1e-12)


def test_fewer_pixels_than_eigenvectors() -> None:
    photo = np.random.default_rng(0).random((3, 4, 3))
    laplacian = soft_segmentation_laplacian(photo, photo, compute_superpixels(photo))
    values, vectors = smallest_eigenvectors(laplacian, 100)
    assert values.shape == (12,)
    np.testing.assert_allclose(
        vectors @ np.diag(values) @ vectors.T, laplacian.toarray(), atol=1e-9
    )


@pytest.mark.usefixtures("sparse_only")
def test_no_convergence_is_told(laplacian: sp.csr_array, monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(*_: object, **__: object) -> None:
        raise ArpackNoConvergence("%d %d %s", np.zeros(7), np.zeros((1600, 7)))

    monkeypatch.setattr(eigenvectors, "eigsh", give_up)
    with pytest.raises(RuntimeError, match="only 7 of 38 eigenvectors converged"):
        smallest_eigenvectors(laplacian, COUNT)
