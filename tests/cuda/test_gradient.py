import numpy as np
import pytest
import torch

from sss.cuda.gradient import gradient_magnitude
from sss.spectral import gradient as spectral


@pytest.mark.parametrize("size", [(18, 22), (3, 5), (40, 7)])
def test_gradient_is_that_of_opencv(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(1).random((*size, 3)).astype(np.float32)
    found = gradient_magnitude(torch.from_numpy(photo))
    np.testing.assert_allclose(found, spectral.gradient_magnitude(photo), rtol=0, atol=1e-6)
