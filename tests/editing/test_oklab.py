import numpy as np
import pytest
from skimage.color import rgb2xyz

from sss.editing.oklab import from_oklab, to_linear, to_oklab


@pytest.mark.parametrize(
    ("colour", "lab"),
    [  # of the CSS Color 4 specification's sample values
        ((1, 1, 1), (1, 0, 0)),
        ((1, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 1, 0), (0.86644, -0.23389, 0.17950)),
        ((0, 0, 1), (0.45201, -0.03246, -0.31153)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_known_colours(colour: tuple[float, ...], lab: tuple[float, ...]) -> None:
    np.testing.assert_allclose(to_oklab(np.array(colour, np.float32)), lab, atol=2e-4)


def test_there_and_back() -> None:
    colours = np.random.default_rng(0).random((1000, 3), dtype=np.float32)
    np.testing.assert_allclose(from_oklab(to_oklab(colours)), colours, atol=1e-4)


def test_linear_light_is_that_of_another_library() -> None:
    colours = np.random.default_rng(1).random((200, 3))
    luminance = rgb2xyz(colours)[:, 1]
    weights = rgb2xyz(np.eye(3))[:, 1]
    np.testing.assert_allclose(to_linear(colours) @ weights, luminance, atol=1e-5)
