"""Class maps refined by soft layers."""

import numpy as np
import pytest

from sss.layers.class_maps import normalised, refine_by_layers


def halves(width: int = 8) -> np.ndarray:
    """Two layers (4, width, 2), left and right, that overlap in one column."""
    left = np.zeros((4, width))
    left[:, : width // 2] = 1
    left[:, width // 2] = 0.5
    return np.stack([left, 1 - left], axis=2)


def test_a_layer_takes_the_class_that_has_the_most_of_it() -> None:
    alpha = halves()
    maps = np.zeros((4, 8, 2))
    maps[..., 0] = 1  # class 0 everywhere …
    maps[:, 5:] = (0, 1)  # … but right of column 4: one column away from the layer's border
    np.testing.assert_allclose(refine_by_layers(maps, alpha), alpha, atol=1e-6)


def test_a_layer_of_two_classes_stays_split() -> None:
    alpha = np.ones((2, 4, 1))
    maps = np.zeros((2, 4, 2))
    maps[:, :2, 0] = maps[:, 2:, 1] = 1
    np.testing.assert_allclose(refine_by_layers(maps, alpha), maps, atol=1e-6)
    # Without splitting one class has it all.
    whole = refine_by_layers(maps, alpha, split_below=0)
    assert set(whole.argmax(axis=2).ravel()) == {0}


def test_above_one_nothing_changes() -> None:
    rng = np.random.default_rng(0)
    maps, alpha = rng.random((5, 6, 3)), normalised(rng.random((5, 6, 4)))
    np.testing.assert_allclose(refine_by_layers(maps, alpha, 1.1), normalised(maps), atol=1e-6)


@pytest.mark.parametrize("split_below", [0.0, 0.4, 0.6, 1.1])
def test_classes_sum_to_one(split_below: float) -> None:
    rng = np.random.default_rng(1)
    alpha = normalised(rng.random((6, 5, 4)) ** 6)
    maps = rng.random((6, 5, 3)) * (rng.random((6, 5, 1)) > 0.2)  # some pixels have no class
    refined = refine_by_layers(maps, alpha, split_below)
    np.testing.assert_allclose(refined.sum(axis=2), 1, atol=1e-6)
    assert refined.min() >= 0


def test_by_hand() -> None:
    """Two pixels, two layers: 0.7·0.9 + 0.3·0.2 of 1 is class 0's share of the first layer."""
    alpha = np.array([[[0.7, 0.3], [0.3, 0.7]]])
    maps = np.array([[[0.9, 0.1], [0.2, 0.8]]])
    # Shares of class 0: layer 0 has 0.69, layer 1 has 0.41, so class 1 there has 0.59 < 0.6.
    refined = refine_by_layers(maps, alpha, 0.6)
    expected = [0.7 + 0.3 * 0.9, 0.3 + 0.7 * 0.2]
    np.testing.assert_allclose(refined[0, :, 0], expected, atol=1e-6)
