import numpy as np
import pytest
from scipy import ndimage

from sss.editing import blur


@pytest.fixture
def plane() -> np.ndarray:
    """Opaque red on the left, nothing on the right."""
    picture = np.zeros((30, 40, 4), np.float32)
    picture[:, :20] = 0.8, 0.2, 0.1, 1
    return picture


@pytest.mark.parametrize(
    "soften",
    [
        lambda plane: blur.gaussian(plane, 3),
        lambda plane: blur.lens(plane, 4),
        lambda plane: blur.motion(plane, 9, 30),
        lambda plane: blur.lens(plane, 9.5),  # a kernel that OpenCV applies by Fourier transforms
    ],
)
def test_colours_stay_and_alpha_softens(plane: np.ndarray, soften) -> None:  # type: ignore[no-untyped-def]
    soft = soften(plane)
    alpha = soft[..., 3:]
    assert 0.3 < alpha[15, 19, 0] < 0.8
    assert alpha[15, 39, 0] == pytest.approx(0, abs=1e-4)
    there = alpha[..., 0] > 0.01
    np.testing.assert_allclose(
        soft[there][:, :3] / alpha[there], np.tile([0.8, 0.2, 0.1], (there.sum(), 1)), atol=2e-3
    )


def test_a_gaussian_is_that_of_another_library(plane: np.ndarray) -> None:
    plane = plane * np.random.default_rng(0).random((30, 40, 1), dtype=np.float32)
    expected = ndimage.gaussian_filter(plane, (2, 2, 0), mode="nearest")
    np.testing.assert_allclose(blur.gaussian(plane, 2), expected, atol=2e-3)


def test_lights_become_discs() -> None:
    dark = np.full((41, 41, 4), 0.05, np.float32)
    dark[..., 3] = 1
    dark[20, 20, :3] = 1
    soft = blur.lens(dark, 5)[..., 0]
    inside, outside = soft[20, 23], soft[20, 30]
    assert outside == pytest.approx(0.05, abs=1e-3)
    assert inside > 0.08  # brighter than a blur of encoded values would make it: 0.062
    assert soft[20, 20] == pytest.approx(inside, abs=1e-3)


def test_kernels() -> None:
    disc = blur.disc_kernel(5)
    assert disc.sum() == pytest.approx(1)
    assert disc[5, 5] == disc[5, 8] > 0
    assert (disc == disc.T).all()
    np.testing.assert_array_equal(disc, disc[::-1, ::-1])
    across = blur.line_kernel(7, 0)
    assert (across > 0).sum(axis=0).max() == 1
    assert (across.sum(axis=0) > 0).sum() == 7
    np.testing.assert_allclose(blur.line_kernel(7, 90), across.T, atol=1e-6)
    rising = blur.line_kernel(9, 45)
    side = len(rising)
    assert rising[side // 2 - 2, side // 2 + 2] > 0 == rising[side // 2 + 2, side // 2 + 2]
