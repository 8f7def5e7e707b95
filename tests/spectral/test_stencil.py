from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pymatting import cf_laplacian

from sss.data.scenes import generate_scene
from sss.spectral.laplacian import matting_laplacian
from sss.spectral.stencil import (
    AHEAD,
    bands,
    frame_indices,
    framed,
    matting_stencil,
    stencil_matrix,
)

Threads = Callable[[Callable[[], Any]], tuple[Any, Any]]
SIZES = [(7, 9), (3, 3), (3, 20), (20, 3), (4, 5), (35, 4)]


def naive_laplacian(
    size: tuple[int, int], coupling: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Dense D − W, W the sum over all 3×3 windows of (9, 9) couplings.

    ``coupling`` is given the rows and columns of a window's pixels.
    """
    height, width = size
    affinity = np.zeros((height * width, height * width))
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            window = [
                (r, c) for r in range(row - 1, row + 2) for c in range(column - 1, column + 2)
            ]
            rows, columns = np.array(window).T
            values = coupling(rows, columns)
            for i, (r, c) in enumerate(window):
                for j, (s, d) in enumerate(window):
                    affinity[r * width + c, s * width + d] += values[i, j]
    return np.diag(affinity.sum(axis=1)) - affinity


def levin_laplacian(photo: np.ndarray, epsilon: float) -> np.ndarray:
    """Levin et al. 2008, equation 12, window by window."""

    def coupling(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        colours = photo[rows, columns].astype(np.float64)
        apart = colours - colours.mean(axis=0)
        inverse = np.linalg.inv(apart.T @ apart / 9 + epsilon / 9 * np.eye(3))
        return (1 + apart @ inverse @ apart.T) / 9

    return naive_laplacian(photo.shape[:2], coupling)


def collinear_laplacian(shade: np.ndarray, direction: np.ndarray, epsilon: float) -> np.ndarray:
    """Of the photo ``shade·direction``: the inverse covariance acts on one number, not three."""
    square = direction @ direction

    def coupling(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        apart = shade[rows, columns] - shade[rows, columns].mean()
        stretch = square / (np.mean(apart**2) * square + epsilon / 9)
        return (1 + stretch * np.outer(apart, apart)) / 9

    return naive_laplacian(shade.shape, coupling)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.random.default_rng(0).random((7, 9, 3))


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return generate_scene(3, (70, 50)).photo.astype(np.float64)


# --- matting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [1e-7, 1e-2])
@pytest.mark.parametrize("size", SIZES)
def test_laplacian_equals_the_formula_window_by_window(
    size: tuple[int, int], epsilon: float
) -> None:
    photo = np.random.default_rng(0).random((*size, 3))
    laplacian = matting_laplacian(photo, epsilon).toarray()
    np.testing.assert_allclose(laplacian, levin_laplacian(photo, epsilon), rtol=0, atol=1e-9)


@pytest.mark.parametrize("epsilon", [1e-7, 1e-2])
def test_laplacian_equals_that_of_pymatting(photo: np.ndarray, epsilon: float) -> None:
    # Both divide ε by the window's nine pixels and leave out the windows that cross the rim.
    ours = matting_laplacian(photo, epsilon).toarray()
    theirs = cf_laplacian(photo, epsilon, 1).toarray()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_laplacian_of_a_scene_equals_that_of_pymatting(scene: np.ndarray) -> None:
    difference = matting_laplacian(scene) - cf_laplacian(scene, 1e-7, 1)
    assert abs(difference).max() < 1e-6  # two ways to invert covariances that are nearly singular


@pytest.mark.parametrize("contrast", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("direction", [(1, 1, 1), (0.7, -0.4, 0.1), (0, 0, 1), (0, 1, 0)])
def test_colours_on_a_line_lose_no_digits(
    direction: tuple[float, float, float], contrast: float
) -> None:
    # Greys, and blends of two colours: two of the covariance's eigenvalues are ε/9.
    shade = contrast * np.random.default_rng(1).random((6, 8))
    photo = 0.5 + 0.5 * shade[..., None] * direction
    expected = collinear_laplacian(shade, 0.5 * np.array(direction), 1e-7)
    found = matting_laplacian(photo).toarray()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_few_flat_colours_keep_it_positive_semi_definite() -> None:
    # What Cholesky's decomposition of the shifted Laplacian, shift −1e-6, relies on.
    rng = np.random.default_rng(2)
    for levels in (2, 3, 256):
        photo = rng.integers(0, levels, (5, 6, 3)).repeat(4, axis=0).repeat(3, axis=1)
        lowest = np.linalg.eigvalsh(matting_laplacian(photo / (levels - 1)).toarray())[0]
        assert lowest > -1e-9


def test_photo_of_one_colour_counts_the_shared_windows() -> None:
    laplacian = matting_laplacian(np.full((6, 6, 3), 0.3)).toarray().reshape(6, 6, 6, 6)
    assert laplacian[2, 2, 2, 2] == pytest.approx(9 - 1)  # nine windows less its own ninths
    assert laplacian[2, 2, 2, 3] == pytest.approx(-6 / 9)
    assert laplacian[2, 2, 3, 3] == pytest.approx(-4 / 9)
    assert laplacian[2, 2, 4, 4] == laplacian[4, 4, 2, 2] == pytest.approx(-1 / 9)
    assert laplacian[2, 4, 4, 2] == laplacian[4, 2, 2, 4] == pytest.approx(-1 / 9)
    assert laplacian[2, 2, 2, 5] == 0
    assert laplacian[0, 0, 0, 0] == pytest.approx(8 / 9)


def test_rows_sum_to_zero_and_it_is_symmetric(scene: np.ndarray) -> None:
    laplacian = matting_laplacian(scene)
    assert abs(laplacian.sum(axis=1)).max() < 1e-12
    assert abs(laplacian - laplacian.T).max() == 0


def test_a_good_part_of_the_couplings_is_negative(scene: np.ndarray) -> None:
    couplings = -matting_stencil(scene)[1:]
    negative = (couplings < 0).sum() / np.count_nonzero(couplings)
    assert 0.2 < negative < 0.5


@pytest.mark.parametrize("size", [(2, 9), (9, 2), (1, 1)])
def test_photo_smaller_than_a_window_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{size[0]}×{size[1]}"):
        matting_stencil(np.zeros((*size, 3)))


def test_memory_order_does_not_matter(photo: np.ndarray) -> None:
    expected = matting_stencil(photo)
    np.testing.assert_array_equal(matting_stencil(np.asfortranarray(photo)), expected)
    wide = np.repeat(photo, 2, axis=1)
    np.testing.assert_array_equal(matting_stencil(wide[:, ::2]), expected)


def test_single_precision_photo_gives_a_rounded_stencil(scene: np.ndarray) -> None:
    single = scene.astype(np.float32)
    found, exact = matting_stencil(single), matting_stencil(single.astype(np.float64))
    assert found.dtype == np.float32
    assert exact.dtype == np.float64
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-6)  # up to nine windows are added


# --- planes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(7, 9), (3, 3), (3, 20), (20, 3)])
def test_planes_hold_the_entries_ahead(size: tuple[int, int]) -> None:
    height, width = size
    photo = np.random.default_rng(4).random((*size, 3))
    dense = levin_laplacian(photo, 1e-7)
    offsets = [(0, 0), (0, 1), (0, 2)] + [(r, c) for r in (1, 2) for c in (-2, -1, 0, 1, 2)]
    expected = np.zeros((13, height + 4, width + 4))
    for plane, (down, right) in enumerate(offsets):
        for row in range(height):
            for column in range(width):
                r, c = row + down, column + right
                if r < height and 0 <= c < width:
                    entry = dense[row * width + column, r * width + c]
                    expected[plane, row + 2, column + 2] = entry
    np.testing.assert_allclose(matting_stencil(photo), expected, rtol=0, atol=1e-9)
    assert [tuple(offset) for offset in AHEAD.tolist()] == offsets[1:]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_do_not_show(scene: np.ndarray, one_and_two_threads: Threads, dtype: type) -> None:
    alone, two = one_and_two_threads(lambda: matting_stencil(scene.astype(dtype)))
    np.testing.assert_array_equal(alone, two)


@pytest.mark.parametrize("height", [3, 31, 32, 33, 64, 100])
def test_bands_cover_every_row_once(height: int) -> None:
    rows = [row for first, end in bands(height) for row in range(first, end)]
    assert rows == list(range(height))


@pytest.mark.parametrize("size", [(3, 4), (4, 3), (1, 6), (6, 1), (2, 2), (6, 7)])
def test_stencil_matrix_couples_each_pixel_to_its_offsets(size: tuple[int, int]) -> None:
    height, width = size
    rng = np.random.default_rng(5)
    planes = np.zeros((13, height + 4, width + 4))
    planes[:, 2:-2, 2:-2] = rng.integers(1, 100, (13, height, width))
    expected = np.zeros((height * width, height * width))
    for plane, (down, right) in enumerate([(0, 0), *AHEAD.tolist()]):
        for row in range(height):
            for column in range(width):
                r, c = row + down, column + right
                if r < height and 0 <= c < width:
                    here, there = row * width + column, r * width + c
                    value = planes[plane, row + 2, column + 2]
                    expected[here, there] = expected[there, here] = value
    matrix = stencil_matrix(planes.astype(np.float32))
    np.testing.assert_array_equal(matrix.toarray(), expected)
    assert matrix.nnz == np.count_nonzero(expected)
    assert matrix.has_canonical_format
    assert matrix.dtype == np.float64


def test_frame_is_of_two_zeros() -> None:
    picture = np.random.default_rng(6).random((4, 5, 3))
    planes = framed(picture)
    assert planes.dtype == np.float32
    for channel in range(3):
        expected = np.pad(picture[..., channel].astype(np.float32), 2)
        np.testing.assert_array_equal(planes[channel], expected)


def test_frame_indices_find_the_same_pixels() -> None:
    picture = np.random.default_rng(7).random((4, 5, 2)).astype(np.float32)
    pixels = np.array([0, 4, 5, 13, 19])
    found = framed(picture).reshape(2, -1)[:, frame_indices(pixels, 5)]
    np.testing.assert_array_equal(found, picture.reshape(-1, 2)[pixels].T)
