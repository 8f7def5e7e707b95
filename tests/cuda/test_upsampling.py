import numpy as np
import pytest
import torch

from sss.cuda.upsampling import enlarge_along_photo
from sss.spectral import upsampling as spectral
from sss.spectral.grids import resize_linearly


@pytest.mark.parametrize("size", [(40, 51), (20, 24), (3, 30)])
def test_layers_are_those_of_the_processor(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    photo = rng.random((*size, 3)).astype(np.float32)
    layers = rng.random((min(size[0], 20), min(size[1], 24), 3)).astype(np.float32)
    small = resize_linearly(photo, layers.shape[:2])
    found = enlarge_along_photo(layers, small, torch.from_numpy(photo))
    assert found.dtype == torch.float32
    expected = spectral.enlarge_along_photo(layers, small, photo)
    np.testing.assert_allclose(found, expected, atol=2e-4)
