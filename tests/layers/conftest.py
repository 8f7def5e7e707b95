"""Small scenes shared by the tests of this folder."""

import numpy as np
import pytest

from sss import Layers


@pytest.fixture(scope="session")
def scene() -> tuple[np.ndarray, np.ndarray]:
    """A 48 × 64 photo of three flat colours blended by the three soft layers beside it."""
    x = np.linspace(0, 1, 64)
    y = np.linspace(0, 1, 48)[:, None]
    first = np.clip(8 * (x - 0.4) + 0 * y, 0, 1)
    second = (1 - first) * np.clip(10 * (y - 0.5), 0, 1)
    alpha = np.dstack([first, second, 1 - first - second]).clip(0, 1)
    colours = np.array([[0.9, 0.2, 0.1], [0.1, 0.6, 0.2], [0.2, 0.3, 0.9]])
    photo = alpha @ colours
    photo.flags.writeable = alpha.flags.writeable = False  # shared by many tests
    return photo, alpha


@pytest.fixture
def layers(scene: tuple[np.ndarray, np.ndarray]) -> Layers:
    """The scene as layers: right, lower left, upper left."""
    photo, alpha = scene
    return Layers(photo.astype(np.float32), alpha.astype(np.float32))
