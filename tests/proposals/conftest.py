"""Masks of two objects, as COCO's own tool codes them."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def masks() -> np.ndarray:
    """(2, 12, 16) bool: a bar on the left and a disc on the right."""
    rows, columns = np.mgrid[:12, :16]
    return np.stack([columns < 4, (rows - 6) ** 2 + (columns - 11) ** 2 < 10])
