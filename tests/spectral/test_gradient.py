from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sss.spectral.gradient import DERIVATIVE, SMOOTHING, gradient_magnitude

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]


@pytest.mark.parametrize("axis", [0, 1])
def test_gradient_of_a_ramp_is_its_slope(axis: int) -> None:
    slopes = np.array([0.01, -0.02, 0.005])
    photo = np.indices((70, 32))[axis][..., None] * slopes + 0.5
    inner = gradient_magnitude(photo)[8:-8, 8:-8]
    np.testing.assert_allclose(inner, np.linalg.norm(slopes), rtol=5e-4)


def naive_gradient(photo: np.ndarray) -> np.ndarray:
    """Both filters tap by tap, pixels beyond the rim taken from it."""
    height, width = photo.shape[:2]
    smooth = dict(zip(range(-5, 6), SMOOTHING, strict=True))
    slope = dict(zip(range(-6, 7), DERIVATIVE, strict=True))
    gradient = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            for down, across in ((slope, smooth), (smooth, slope)):
                total = np.zeros(3)
                for r, first in down.items():
                    for c, second in across.items():
                        y, x = np.clip([row + r, column + c], 0, (height - 1, width - 1))
                        total += first * second * photo[y, x]
                gradient[row, column] += (total**2).sum()
    return np.sqrt(gradient)


@pytest.mark.parametrize("size", [(5, 9), (3, 3)])
def test_gradient_equals_that_of_nested_loops(size: tuple[int, int]) -> None:
    photo = np.random.default_rng(4).random((*size, 3))
    np.testing.assert_allclose(gradient_magnitude(photo), naive_gradient(photo), atol=1e-12)


def test_gradient_of_a_flat_photo_is_zero() -> None:
    np.testing.assert_allclose(gradient_magnitude(np.full((9, 11, 3), 0.7)), 0, atol=1e-12)


def test_gradient_of_an_edge_is_largest_beside_it() -> None:
    photo = np.zeros((20, 24, 3))
    photo[:, 12:] = 1
    gradient = gradient_magnitude(photo)
    assert set(gradient.argmax(axis=1).tolist()) <= {11, 12}
    assert gradient[:, :5].max() < 1e-12


def test_gradient_in_single_precision_and_on_threads(one_and_two_threads: Threads) -> None:
    photo = np.random.default_rng(5).random((75, 20, 3))
    exact = gradient_magnitude(photo)
    alone, two = one_and_two_threads(lambda: gradient_magnitude(photo.astype(np.float32)))
    np.testing.assert_array_equal(alone, two)
    assert alone.dtype == np.float32
    np.testing.assert_allclose(alone, exact, rtol=0, atol=1e-5)
