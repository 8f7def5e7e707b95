import numpy as np
import pytest
import torch

from sss.cuda.upsampling import enlarge_along_photo
from sss.image.resize import resize_linearly
from sss.spectral import upsampling as spectral


@pytest.mark.parametrize("size", [(40, 51), (20, 24), (3, 30)])
def test_layers_are_those_of_the_processor(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    photo = rng.random((*size, 3)).astype(np.float32)
    layers = rng.random((min(size[0], 20), min(size[1], 24), 3)).astype(np.float32)
    arrays = layers, resize_linearly(photo, layers.shape[:2]), photo
    found = enlarge_along_photo(*(torch.from_numpy(array) for array in arrays))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, spectral.enlarge_along_photo(*arrays), atol=2e-4)
