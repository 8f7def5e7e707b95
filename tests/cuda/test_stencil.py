from collections.abc import Callable

import numpy as np
import pytest
import torch

from sss.cuda.stencil import matting_stencil
from sss.spectral import stencil as spectral

Tensor = Callable[[np.ndarray], torch.Tensor]


@pytest.mark.parametrize("size", [(3, 3), (3, 9), (8, 3), (17, 23)])
def test_stencil_is_that_of_the_processor(size: tuple[int, int], to_tensor: Tensor) -> None:
    photo = np.random.default_rng(0).random((*size, 3))
    found = matting_stencil(to_tensor(photo))
    np.testing.assert_allclose(found, spectral.matting_stencil(photo), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["flat", "grey", "noise"])
def test_single_precision_photos(kind: str, to_tensor: Tensor) -> None:
    photo = np.random.default_rng(0).random((12, 9, 3)).astype(np.float32)
    photo = {"flat": photo * 0 + 0.5, "grey": photo[..., :1].repeat(3, axis=2)}.get(kind, photo)
    found = matting_stencil(to_tensor(photo))
    assert found.dtype == torch.float32
    expected = spectral.matting_stencil(photo.astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)


def test_bands_do_not_show(to_tensor: Tensor) -> None:
    photo = to_tensor(np.random.default_rng(0).random((29, 13, 3)))
    whole, banded = matting_stencil(photo), matting_stencil(photo, band_pixels=4 * 13)
    np.testing.assert_allclose(banded, whole, rtol=0, atol=1e-12)
