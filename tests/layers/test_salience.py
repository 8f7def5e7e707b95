"""Which layers are salient, and how salient each is."""

import numpy as np
import pytest

from sss.errors import InputError
from sss.layers.salience import layer_salience, salient
from sss.layers.soft_layers import Layers
from sss.spectral.saliency import load_saliency_model


def layers(scene: tuple[np.ndarray, np.ndarray], salience: tuple[float, ...] | None) -> Layers:
    photo, alpha = scene
    return Layers(photo, alpha.astype(np.float32), salience=salience)


def test_layers_above_the_threshold_or_else_the_best(
    scene: tuple[np.ndarray, np.ndarray],
) -> None:
    threshold = load_saliency_model().layer_threshold
    assert 0 < threshold < 1
    above = (1 + threshold) / 2
    assert salient(layers(scene, (above, 0.0, above))) == (0, 2)
    assert salient(layers(scene, (0.0, threshold / 2, threshold / 3))) == (1,)
    assert salient(layers(scene, (threshold, 0.0, 0.0))) == (0,)


def test_layers_that_nobody_rated_are_refused(scene: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match="carry no salience") as refused:
        salient(layers(scene, None))
    assert "\n" not in str(refused.value)


def test_a_layers_salience_is_the_mean_over_its_alpha() -> None:
    alpha = np.zeros((2, 2, 3), np.float32)
    alpha[0, 0, 0], alpha[0, 1, 0], alpha[0, 1, 1], alpha[1, :, 1] = 1, 0.5, 0.5, 1
    salience = np.array([[0.8, 0.2], [0.4, 0.0]])
    expected = ((0.8 + 0.5 * 0.2) / 1.5, (0.5 * 0.2 + 0.4) / 2.5, 0.0)
    assert layer_salience(alpha, salience) == pytest.approx(expected)


def test_the_map_may_be_smaller_than_the_layers() -> None:
    alpha = np.full((6, 8, 2), 0.5, np.float32)
    assert layer_salience(alpha, np.full((3, 4), 0.3)) == pytest.approx((0.3, 0.3))


def test_a_unions_salience_is_weighted_by_area(scene: tuple[np.ndarray, np.ndarray]) -> None:
    whole = layers(scene, (0.9, 0.1, 0.5))
    merged = whole.merge([0, 1])
    areas = whole.alpha.sum(axis=(0, 1))
    expected = (0.9 * areas[0] + 0.1 * areas[1]) / (areas[0] + areas[1])
    assert merged.salience == pytest.approx((expected, 0.5))
    assert layers(scene, None).merge([0, 1]).salience is None


def test_salience_must_fit_the_layers(scene: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="2 values for 3 layers"):
        layers(scene, (0.5, 0.5))
    with pytest.raises(ValueError, match="numbers from 0 to 1"):
        layers(scene, (0.5, 0.5, 1.5))
