from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from skimage.measure import block_reduce
from skimage.transform import resize

from sss.spectral.grids import coarse_size, graph_size, refined_size, resize_linearly

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((160, 160), (160, 160)),
        ((100, 200), (100, 200)),
        ((320, 320), (160, 160)),
        ((480, 640), (139, 185)),
        ((4000, 6000), (131, 196)),
        ((3, 100_000), (3, 29_212)),
    ],
)
def test_coarse_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert coarse_size(size) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (480, 640)), ((3000, 4000), (554, 739)), ((3, 200_000), (3, 165_247))],
)
def test_sizes_of_superpixels_and_refinement(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert refined_size(size) == expected
    assert graph_size((321, 481)) == (321, 481)
    height, width = graph_size(size)
    assert 0.97 < height * width / 160_000 < 1.03 or min(height, width) == 3


# --- resizing ----------------------------------------------------------------------------------


def overlaps(source: int, target: int) -> np.ndarray:
    """(target, source) share of each new pixel's length that each old pixel covers."""
    step = source / target
    shares = np.zeros((target, source))
    for new in range(target):
        for old in range(source):
            length = min(old + 1, (new + 1) * step) - max(old, new * step)
            shares[new, old] = max(0.0, length) / step
    return shares


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3, 4, 5, 7, 70])
def test_enlarging_interpolates_linearly(channels: int, dtype: type) -> None:
    picture = np.random.default_rng(0).random((6, 9, channels)).astype(dtype)
    found = resize_linearly(picture, (17, 31))
    expected = resize(picture.astype(np.float64), (17, 31), order=1, mode="edge")
    assert found.dtype == dtype
    assert found.shape == (17, 31, channels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
def test_shrinking_by_whole_numbers_averages_blocks(channels: int) -> None:
    picture = np.random.default_rng(1).random((12, 20, channels))
    expected = block_reduce(picture, (3, 5, 1), np.mean)
    np.testing.assert_allclose(resize_linearly(picture, (4, 4)), expected, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3, 7])
@pytest.mark.parametrize("target", [(5, 7), (12, 7), (5, 20), (11, 19), (1, 1)])
def test_shrinking_averages_what_each_pixel_covers(
    target: tuple[int, int], channels: int, dtype: type
) -> None:
    picture = np.random.default_rng(2).random((12, 20, channels)).astype(dtype)
    down, across = overlaps(12, target[0]), overlaps(20, target[1])
    expected = np.einsum("rh,hwc,sw->rsc", down, picture, across)
    found = resize_linearly(picture, target)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_narrow_photo_is_averaged_when_it_shrinks() -> None:
    stripes = np.broadcast_to(np.arange(9000) % 2, (3, 9000))[..., None].astype(float)
    small = resize_linearly(stripes, (3, 1000))
    assert small.shape == (3, 1000, 1)
    np.testing.assert_allclose(small, 0.5, atol=0.1)


def test_sums_to_one_are_kept() -> None:
    layers = np.random.default_rng(3).dirichlet(np.ones(6), (14, 11)).astype(np.float32)
    for size in [(40, 31), (5, 4)]:
        sums = resize_linearly(layers, size).sum(axis=2)
        np.testing.assert_allclose(sums, 1, atol=1e-6)


def test_own_size_is_handed_back() -> None:
    picture = np.random.default_rng(4).random((6, 9, 5))
    assert resize_linearly(picture, (6, 9)) is picture


def test_views_are_resized_as_their_copies() -> None:
    picture = np.random.default_rng(5).random((9, 14, 6))
    for view in (picture[::-1, ::2], np.asfortranarray(picture), picture[..., ::-2]):
        for size in [(4, 5), (20, 30)]:
            expected = resize_linearly(np.ascontiguousarray(view), size)
            np.testing.assert_array_equal(resize_linearly(view, size), expected)


def test_threads_do_not_show(one_and_two_threads: Threads) -> None:
    picture = np.random.default_rng(6).random((30, 40, 9)).astype(np.float32)
    for size in [(13, 17), (50, 90)]:
        alone, two = one_and_two_threads(lambda size=size: resize_linearly(picture, size))
        np.testing.assert_array_equal(alone, two)
