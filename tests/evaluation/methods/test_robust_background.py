"""Robust background saliency: what it says of plain scenes."""

import numpy as np

from sss.evaluation.methods.base import Case
from sss.evaluation.methods.robust_background import RobustBackground, border_superpixels


def photo() -> np.ndarray:
    """A red disc on a ground that goes from blue to grey."""
    rows, columns = np.mgrid[:90, :120]
    ground = np.stack([0.2 + columns / 400, 0.3 + columns / 500, np.full((90, 120), 0.5)], axis=2)
    disc = (rows - 45) ** 2 + (columns - 60) ** 2 < 22**2
    return np.where(disc[..., None], [0.8, 0.2, 0.1], ground)


def test_the_disc_is_salient() -> None:
    (result,) = RobustBackground(pixels_each=60).segment(Case(photo()))
    salience = result.foreground
    assert salience is not None
    assert salience.shape == (90, 120)
    assert (salience.min(), salience.max()) == (0, 1)
    assert salience[35:55, 50:70].min() > 0.8
    assert salience[:10].max() < 0.3


def test_what_lies_at_the_border_is_background() -> None:
    method = RobustBackground()
    apart = np.array([[0.0, 5, 60], [5, 0, 60], [60, 60, 0]])
    neighbours = np.array([[0, 1], [1, 2]])
    background = method.background(apart, neighbours, np.array([True, False, False]))
    # By hand: the usual step is (5 + 5 + 60) / 3, so from the first it is 0 and 110 / 3; σ = 10.
    far = np.exp(-((110 / 3) ** 2) / 200)
    connectivity = np.array([1, 1, far]) / np.sqrt([2 + far, 2 + far, 1 + 2 * far])
    np.testing.assert_allclose(background, 1 - np.exp(-(connectivity**2) / 2), atol=1e-6)


def test_a_flat_photo_has_no_object() -> None:
    (result,) = RobustBackground().segment(Case(np.full((30, 40, 3), 0.4)))
    assert result.foreground is not None
    assert np.isfinite(result.foreground).all()


def test_superpixels_at_the_border() -> None:
    labels = np.zeros((4, 5), int)
    labels[1:3, 1:4] = 1
    labels[2, 2] = 2
    assert border_superpixels(labels).tolist() == [True, False, False]
