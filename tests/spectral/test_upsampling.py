from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from sss.data.scenes import generate_scene
from sss.image.resize import resize_linearly
from sss.spectral.upsampling import EPSILON, enlarge_along_photo

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]


def enlarged(layers: np.ndarray, photo: np.ndarray) -> np.ndarray:
    return enlarge_along_photo(layers, resize_linearly(photo, layers.shape[:2]), photo)


def brute_force(layers: np.ndarray, small: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Ridge regression in every 3×3 window, the mean of a pixel's windows, interpolated."""
    height, width, count = layers.shape
    pad = ((1, 1), (1, 1), (0, 0))
    colours, alphas = np.pad(small, pad, "symmetric"), np.pad(layers, pad, "symmetric")
    slopes = np.empty((height, width, 4, count))
    for y in range(height):
        for x in range(width):
            colour = colours[y : y + 3, x : x + 3].reshape(9, 3)
            alpha = alphas[y : y + 3, x : x + 3].reshape(9, count)
            apart = colour - colour.mean(axis=0)
            slope = np.linalg.solve(
                apart.T @ apart / 9 + EPSILON * np.eye(3), apart.T @ (alpha - alpha.mean(0)) / 9
            )
            slopes[y, x, :3] = slope
            slopes[y, x, 3] = alpha.mean(axis=0) - colour.mean(axis=0) @ slope
    around = np.pad(slopes, (*pad, (0, 0)), "symmetric")
    windows = [around[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    mean = np.mean(windows, axis=0).reshape(height, width, -1)
    large = np.dstack(
        [cv2.resize(plane, photo.shape[1::-1]) for plane in mean.transpose(2, 0, 1)]
    ).reshape(*photo.shape[:2], 4, count)
    return (photo[..., None] * large[:, :, :3]).sum(axis=2) + large[:, :, 3]


@pytest.mark.parametrize("size", [(24, 30), (31, 23), (12, 15)])
def test_windows_are_fitted_as_by_hand(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    photo = rng.random((*size, 3)).astype(np.float32)
    layers = rng.random((12, 15, 3)).astype(np.float32)
    expected = brute_force(layers, resize_linearly(photo, (12, 15)), photo)
    found = enlarged(layers, photo)
    assert found.shape == (*size, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_layers_still_sum_to_one() -> None:
    rng = np.random.default_rng(1)
    layers = rng.dirichlet(np.ones(4), (20, 24)).astype(np.float32)
    found = enlarged(layers, rng.random((60, 70, 3)).astype(np.float32))
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-4)


def test_edges_and_soft_edges_are_the_photos_own() -> None:
    scene = generate_scene(2, (160, 200), regions=(3, 3))
    small = resize_linearly(scene.alphas.astype(np.float32), (40, 50))
    photo = scene.photo.astype(np.float32)
    soft = (scene.alphas > 0.02) & (scene.alphas < 0.98)
    errors = [
        np.abs(result - scene.alphas)[soft].mean()
        for result in (enlarged(small, photo), resize_linearly(small, (160, 200)))
    ]
    assert errors[0] < 0.3 * errors[1]


def test_a_hair_thinner_than_a_small_pixel_is_found() -> None:
    photo = np.full((120, 120, 3), [0.8, 0.7, 0.6], np.float32)
    photo[:, :60] = [0.2, 0.1, 0.1]
    photo[58:60, 60:90] = [0.2, 0.1, 0.1]
    small = resize_linearly(np.dstack([photo[..., 0] < 0.5, photo[..., 0] > 0.5]) * 1.0, (30, 30))
    found = enlarged(small.astype(np.float32), photo)
    assert found[58:60, 62:86, 0].mean() > 0.85
    assert np.abs(found[52:55, 62:86, 0]).mean() < 0.1


def test_threads_do_not_show(one_and_two_threads: Threads) -> None:
    rng = np.random.default_rng(0)
    photo, layers = rng.random((50, 60, 3)).astype(np.float32), rng.random((25, 30, 3))
    alone, two = one_and_two_threads(lambda: enlarged(layers, photo))
    np.testing.assert_array_equal(alone, two)
