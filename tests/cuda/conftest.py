"""What the tests of the torch steps share."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sss.data.scenes import generate_scene


@pytest.fixture(scope="session")
def to_tensor() -> Callable[[np.ndarray], torch.Tensor]:
    """NumPy's array as a tensor on the processor."""
    return lambda array: torch.from_numpy(np.ascontiguousarray(array))


@pytest.fixture(scope="session")
def scene() -> tuple[np.ndarray, np.ndarray]:
    """Photo and features of three regions."""
    drawn = generate_scene(3, (90, 104), regions=(3, 3))
    colours = np.array([[0.1, 0.1, 0.9], [0.9, 0.2, 0.1], [0.2, 0.9, 0.3]])
    return drawn.photo, (drawn.alphas @ colours).astype(np.float32)
