"""A small photo to edit."""

import numpy as np
import pytest

from sss import Layers


@pytest.fixture(scope="session")
def layers() -> Layers:
    """60 × 80: a red disc with a soft rim on blue (left) and green (right) ground."""
    rows, columns = np.mgrid[:60, :80]
    disc = np.clip(15.5 - np.hypot(rows - 30, columns - 40), 0, 1)
    right = (1 - disc) * (columns >= 40)
    alpha = np.stack([disc, right, 1 - disc - right], axis=2).astype(np.float32)
    shade = 0.8 + 0.2 * np.sin(rows / 5)[..., None]
    colours = np.array([[0.9, 0.1, 0.1], [0.1, 0.7, 0.2], [0.1, 0.2, 0.8]])
    photo = ((alpha @ colours) * shade).astype(np.float32)
    photo.flags.writeable = alpha.flags.writeable = False
    return Layers(photo, alpha, ("disc", "right", "left"))
