"""The random walk against powers of the whole matrix."""

import math

import numpy as np
import pytest

from sss.spectral.random_walk import affinities, random_walk, transitions


def dense(features: np.ndarray, radius: float, beta: float) -> np.ndarray:
    """T of Eq. (11), entry by entry."""
    height, width = features.shape[:2]
    cells = [(y, x) for y in range(height) for x in range(width)]
    matrix = np.zeros((len(cells), len(cells)))
    for i, (y, x) in enumerate(cells):
        for j, (v, u) in enumerate(cells):
            if math.hypot(y - v, x - u) < radius:
                matrix[i, j] = math.exp(-np.abs(features[y, x] - features[v, u]).sum()) ** beta
    return matrix / matrix.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("size", "radius"), [((5, 6), 5.0), ((1, 7), 3.0), ((6, 2), 2.0)])
@pytest.mark.parametrize("steps", [0, 1, 256])
def test_it_is_the_power_of_the_whole_matrix(
    size: tuple[int, int], radius: float, steps: int
) -> None:
    rng = np.random.default_rng(0)
    features = rng.random((*size, 3)).astype(np.float32) / 2
    maps = rng.random((*size, 2))
    whole = dense(features.astype(float), radius, beta=8)
    expected = np.linalg.matrix_power(whole, steps) @ maps.reshape(-1, 2)
    transition = transitions(affinities(features, radius), 8)
    np.testing.assert_allclose(transition.toarray(), whole, atol=1e-6)
    found = random_walk(transition, maps, steps)
    np.testing.assert_allclose(found.reshape(-1, 2), expected, atol=1e-5)


def test_eight_squarings_are_256_steps() -> None:
    features = np.random.default_rng(1).random((4, 4, 2))
    transition = transitions(affinities(features, 3.0), 8)
    power = transition.toarray()
    for _ in range(8):
        power = power @ power
    maps = np.random.default_rng(2).random((4, 4, 1))
    found = random_walk(transition, maps, 256)
    np.testing.assert_allclose(found.ravel(), power @ maps.ravel(), atol=1e-9)


def test_affinities_are_symmetric_and_one_with_oneself() -> None:
    matrix = affinities(np.random.default_rng(3).random((5, 4, 3)), 3.0).toarray()
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 1)
    assert ((matrix >= 0) & (matrix <= 1)).all()


def test_maps_fill_what_is_alike_and_stop_at_borders() -> None:
    features = np.zeros((6, 8, 1))
    features[:, 4:] = 10  # two halves that have nothing in common
    maps = np.zeros((6, 8, 1))
    maps[0, 0] = 1
    walked = random_walk(transitions(affinities(features), 8), maps, 256)[..., 0]
    np.testing.assert_allclose(walked[:, 4:], 0, atol=1e-12)
    assert walked[:, :4].std() < 1e-3 * walked[:, :4].mean()
