import numpy as np
import pytest
import torch
from pymatting import cf_laplacian

from sss.cuda import stencil as module
from sss.cuda.stencil import matting_stencil
from sss.spectral import stencil as spectral
from sss.spectral.stencil import stencil_matrix


@pytest.mark.parametrize("size", [(3, 3), (3, 9), (8, 3), (17, 23)])
def test_stencil_is_that_of_the_processor(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).random((*size, 3))
    expected = spectral.matting_stencil(photo)
    np.testing.assert_allclose(matting_stencil(photo), expected, rtol=0, atol=1e-10)


def test_stencil_is_the_matting_laplacian_of_another_library() -> None:
    photo = np.random.default_rng(0).random((11, 14, 3))
    expected = cf_laplacian(photo, epsilon=1e-7).toarray()
    found = stencil_matrix(matting_stencil(photo).numpy()).toarray()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_flat_and_grey_photos_have_finite_rows_of_sum_zero() -> None:
    flat = np.full((9, 8, 3), 0.4, np.float32)
    grey = np.random.default_rng(0).random((9, 8, 1)).repeat(3, axis=2)
    for photo in (flat, grey):
        matrix = stencil_matrix(matting_stencil(photo).numpy().astype(np.float64))
        np.testing.assert_allclose(matrix.sum(axis=1), 0, atol=1e-5)
        expected = stencil_matrix(spectral.matting_stencil(photo.astype(np.float64)))
        np.testing.assert_allclose(matrix.toarray(), expected.toarray(), atol=1e-5)


def test_single_precision_photo_gives_single_precision() -> None:
    photo = np.random.default_rng(0).random((12, 9, 3)).astype(np.float32)
    found = matting_stencil(photo)
    assert found.dtype == torch.float32
    expected = spectral.matting_stencil(photo.astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.random.default_rng(0).random((29, 13, 3))
    whole = matting_stencil(photo)
    monkeypatch.setattr(module, "BAND_PIXELS", 4 * 13)
    np.testing.assert_allclose(matting_stencil(photo), whole, rtol=0, atol=1e-12)


def test_photo_smaller_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="2×5, a matting window needs 3×3"):
        matting_stencil(np.zeros((2, 5, 3)))
