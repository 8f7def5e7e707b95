import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sss.cuda.eigenvectors import smallest_eigenvectors
from sss.cuda.product import LaplacianProduct
from sss.data.scenes import generate_scene
from sss.spectral import eigenvectors as spectral
from sss.spectral.laplacian import soft_segmentation_laplacian
from sss.spectral.superpixels import compute_superpixels

COUNT = 30
SIZE = (40, 44)


@pytest.fixture(scope="module")
def laplacian() -> sp.csr_array:
    """Of a scene; unlike features all over make it indefinite."""
    photo = generate_scene(0, SIZE).photo.astype(np.float64)
    features = np.random.default_rng(0).random((*SIZE, 3))
    return soft_segmentation_laplacian(photo, features, compute_superpixels(photo, 400))


@pytest.fixture(scope="module")
def dense(laplacian: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """All eigenpairs with rising |λ|."""
    values, vectors = np.linalg.eigh(laplacian.toarray())
    order = np.argsort(abs(values))
    return values[order], vectors[:, order]


def test_eigenpairs_are_those_of_a_dense_solver(
    laplacian: sp.csr_array, dense: tuple[np.ndarray, np.ndarray]
) -> None:
    values, vectors = smallest_eigenvectors(laplacian, SIZE, COUNT)
    assert dense[0][:COUNT].min() < -1e-4  # nearest zero is not algebraically smallest
    np.testing.assert_allclose(values, dense[0][:COUNT], rtol=0, atol=1e-9)
    cosines = np.linalg.svd(dense[1][:, :COUNT].T @ vectors.numpy(), compute_uv=False)
    assert cosines.min() > 1 - 1e-9
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(COUNT), atol=1e-10)


def test_rough_eigenpairs_are_near(
    laplacian: sp.csr_array, dense: tuple[np.ndarray, np.ndarray]
) -> None:
    values, vectors = smallest_eigenvectors(laplacian, SIZE, COUNT, rough=True)
    assert vectors.dtype == torch.float64
    scale = abs(dense[0][COUNT - 1])
    np.testing.assert_allclose(values, dense[0][:COUNT], rtol=0, atol=1e-4 * scale)
    # The space, since eigenvectors of near eigenvalues may mix; the last may mix with what is left.
    cosines = np.linalg.svd(dense[1][:, : COUNT + 2].T @ vectors.numpy(), compute_uv=False)
    assert cosines.min() > 1 - 1e-4


def test_same_seed_gives_the_same_bits(laplacian: sp.csr_array) -> None:
    first, second, other = (
        smallest_eigenvectors(laplacian, SIZE, COUNT, seed, rough=True) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[1], other[1])


def test_small_photos_are_left_to_the_dense_solver() -> None:
    photo = np.random.default_rng(0).random((12, 13, 3))
    laplacian = soft_segmentation_laplacian(photo, photo, compute_superpixels(photo))
    values, vectors = smallest_eigenvectors(laplacian, (12, 13), 20)
    expected = spectral.smallest_eigenvectors(laplacian, (12, 13), 20)
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(vectors, expected[1])


def test_no_convergence_is_told(laplacian: sp.csr_array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sss.cuda.eigenvectors.LARGEST_SPACE", 2)
    with pytest.raises(RuntimeError, match="33 eigenvectors did not converge in a space of 64"):
        smallest_eigenvectors(laplacian, SIZE, COUNT)


def test_product_is_that_of_the_sparse_matrix(laplacian: sp.csr_array) -> None:
    vectors = np.random.default_rng(0).standard_normal((laplacian.shape[0], 6))
    found = LaplacianProduct(laplacian, SIZE) @ torch.from_numpy(vectors)
    np.testing.assert_allclose(found, laplacian @ vectors, rtol=0, atol=1e-12)
