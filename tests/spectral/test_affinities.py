import math

import numpy as np
import pytest
from pymatting import cf_laplacian

from data.scenes import generate_scene
from sss.spectral.affinities import (
    colour_affinity,
    matting_affinity,
    semantic_affinity,
    stencil_matrix,
)
from sss.spectral.laplacian import graph_laplacian
from sss.spectral.superpixels import SuperpixelGraph, build_graph


def naive_matting_affinity(photo: np.ndarray, epsilon: float) -> np.ndarray:
    """Levin et al. 2008, equation 12 before the Kronecker delta, window by window."""
    height, width = photo.shape[:2]
    affinity = np.zeros((height * width, height * width))
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            window = [
                (r, c) for r in range(row - 1, row + 2) for c in range(column - 1, column + 2)
            ]
            colours = np.array([photo[r, c] for r, c in window])
            mean = colours.mean(axis=0)
            inverse = np.linalg.inv(np.cov(colours.T, bias=True) + epsilon / 9 * np.eye(3))
            for (r, c), colour in zip(window, colours, strict=True):
                for (s, d), other in zip(window, colours, strict=True):
                    value = (1 + (colour - mean) @ inverse @ (other - mean)) / 9
                    affinity[r * width + c, s * width + d] += value
    return affinity


def windows_around_each_pixel(height: int, width: int) -> np.ndarray:
    count = np.zeros((height, width))
    for row in range(height - 2):
        for column in range(width - 2):
            count[row : row + 3, column : column + 3] += 1
    return count


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.random.default_rng(0).random((7, 9, 3))


# --- matting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [1e-7, 1e-2])
def test_matting_equals_the_formula_window_by_window(photo: np.ndarray, epsilon: float) -> None:
    affinity = matting_affinity(photo, epsilon).toarray()
    np.testing.assert_allclose(affinity, naive_matting_affinity(photo, epsilon), atol=1e-9)


@pytest.mark.parametrize("epsilon", [1e-7, 1e-2])
def test_matting_laplacian_equals_that_of_pymatting(photo: np.ndarray, epsilon: float) -> None:
    # Both divide ε by the window's nine pixels and leave out the windows that cross the rim.
    ours = graph_laplacian(matting_affinity(photo, epsilon))
    np.testing.assert_allclose(
        ours.toarray(), cf_laplacian(photo, epsilon, 1).toarray(), rtol=0, atol=1e-12
    )


def test_matting_laplacian_of_a_scene_equals_that_of_pymatting() -> None:
    scene = generate_scene(3, (40, 50)).photo.astype(np.float64)
    difference = graph_laplacian(matting_affinity(scene)) - cf_laplacian(scene, 1e-7, 1)
    assert abs(difference).max() < 1e-6  # two ways to invert covariances that are nearly singular


def test_matting_affinity_is_symmetric(photo: np.ndarray) -> None:
    affinity = matting_affinity(photo)
    assert abs(affinity - affinity.T).max() < 1e-12


def test_matting_affinities_of_a_pixel_sum_to_its_windows(photo: np.ndarray) -> None:
    degree = matting_affinity(photo).sum(axis=1)
    np.testing.assert_allclose(degree, windows_around_each_pixel(7, 9).ravel(), atol=1e-9)


def test_a_good_part_of_the_matting_affinities_is_negative() -> None:
    scene = generate_scene(3, (40, 50)).photo.astype(np.float64)
    negative = (matting_affinity(scene).data < 0).mean()
    assert 0.2 < negative < 0.5


def test_window_of_one_colour_gives_a_ninth_throughout() -> None:
    affinity = matting_affinity(np.full((3, 3, 3), 0.3)).toarray()
    np.testing.assert_allclose(affinity, np.full((9, 9), 1 / 9), atol=1e-12)


def test_photo_of_one_colour_counts_the_shared_windows() -> None:
    affinity = matting_affinity(np.full((6, 6, 3), 0.3)).toarray().reshape(6, 6, 6, 6)
    assert affinity[2, 2, 2, 2] == pytest.approx(9 / 9)
    assert affinity[2, 2, 2, 3] == pytest.approx(6 / 9)
    assert affinity[2, 2, 3, 3] == pytest.approx(4 / 9)
    assert affinity[2, 2, 4, 4] == pytest.approx(1 / 9)
    assert affinity[2, 2, 2, 5] == 0
    assert affinity[0, 0, 0, 0] == pytest.approx(1 / 9)


@pytest.mark.parametrize("size", [(2, 9), (9, 2), (1, 1)])
def test_photo_smaller_than_a_window_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{size[0]}×{size[1]}"):
        matting_affinity(np.zeros((*size, 3)))


# --- stencil -----------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [1, 2])
def test_stencil_matrix_couples_each_pixel_to_its_offsets(radius: int) -> None:
    height, width, side = 3, 4, 2 * radius + 1
    stencil = 1 + np.arange(side * side * height * width, dtype=float).reshape(
        side, side, height, width
    )
    expected = np.zeros((height * width, height * width))
    for row in range(height):
        for column in range(width):
            for r in range(height):
                for c in range(width):
                    dr, dc = r - row + radius, c - column + radius
                    if 0 <= dr < side and 0 <= dc < side:
                        expected[row * width + column, r * width + c] = stencil[dr, dc, row, column]
    matrix = stencil_matrix(stencil)
    np.testing.assert_array_equal(matrix.toarray(), expected)
    assert matrix.nnz == np.count_nonzero(expected)
    assert matrix.has_sorted_indices


# --- between superpixels -----------------------------------------------------------------------


def blocks(rows: int, columns: int, side: int) -> SuperpixelGraph:
    """``rows`` × ``columns`` square superpixels of ``side`` pixels."""
    labels = np.arange(rows * columns).reshape(rows, columns)
    return build_graph(labels.repeat(side, axis=0).repeat(side, axis=1))


def superpixel_mean(graph: SuperpixelGraph, values: np.ndarray, label: int) -> np.ndarray:
    return values[graph.labels == label].mean(axis=0)


def test_semantic_affinity_equals_the_formula_pair_by_pair() -> None:
    graph = blocks(3, 4, side=3)
    features = 0.3 * np.random.default_rng(1).random((9, 12, 3))
    expected = np.zeros((108, 108))
    for a in range(12):
        for b in range(12):
            (row_a, column_a), (row_b, column_b) = divmod(a, 4), divmod(b, 4)
            if a == b or abs(row_a - row_b) > 1 or abs(column_a - column_b) > 1:
                continue
            apart = np.linalg.norm(
                superpixel_mean(graph, features, a) - superpixel_mean(graph, features, b)
            )
            pixel_a = (3 * row_a + 1) * 12 + 3 * column_a + 1  # the middle of the block
            pixel_b = (3 * row_b + 1) * 12 + 3 * column_b + 1
            expected[pixel_a, pixel_b] = math.erf(20 * (1 - apart - 0.85))
    affinity = semantic_affinity(graph, features)
    np.testing.assert_allclose(affinity.toarray(), expected, atol=1e-12)
    assert affinity.nnz == np.count_nonzero(expected)


@pytest.mark.parametrize(("apart", "weight"), [(0.0, 1.0), (0.15, 0.0), (0.6, -1.0)])
def test_semantic_affinity_of_known_distances(apart: float, weight: float) -> None:
    features = np.zeros((3, 6, 3))
    features[:, 3:, 1] = apart
    affinity = semantic_affinity(blocks(1, 2, side=3), features).toarray()
    assert affinity[7, 10] == affinity[10, 7] == pytest.approx(weight, abs=1e-4)


def test_colour_affinity_equals_the_formula_pair_by_pair() -> None:
    graph = blocks(4, 6, side=3)
    photo = 0.2 * np.random.default_rng(2).random((12, 18, 3))
    radius = 0.43
    expected = np.zeros((216, 216))
    for a in range(24):
        for b in range(24):
            (row_a, column_a), (row_b, column_b) = divmod(a, 6), divmod(b, 6)
            across, down = 3 * (row_a - row_b) / 12, 3 * (column_a - column_b) / 18
            if a == b or math.hypot(across, down) > radius:
                continue
            apart = np.linalg.norm(
                superpixel_mean(graph, photo, a) - superpixel_mean(graph, photo, b)
            )
            pixel_a = (3 * row_a + 1) * 18 + 3 * column_a + 1
            pixel_b = (3 * row_b + 1) * 18 + 3 * column_b + 1
            expected[pixel_a, pixel_b] = (math.erf(50 * (1 - apart - 0.95)) + 1) / 2
    assert 0.05 < expected[expected > 0].min() + expected.max() / 2 < 0.95  # soft weights occur
    affinity = colour_affinity(graph, photo, radius)
    np.testing.assert_allclose(affinity.toarray(), expected, atol=1e-12)


def test_colour_affinity_lies_between_zero_and_one() -> None:
    photo = generate_scene(1, (36, 48)).photo.astype(np.float64)
    affinity = colour_affinity(blocks(12, 16, side=3), photo)
    assert affinity.data.min() > 0
    assert affinity.data.max() <= 1
    assert abs(affinity - affinity.T).max() == 0


@pytest.mark.parametrize(("radius", "reached"), [(0.25, True), (0.2499, False)])
def test_colour_radius_is_inclusive(radius: float, reached: bool) -> None:
    graph = build_graph(np.arange(64).reshape(8, 8))  # steps of exactly an eighth
    affinity = colour_affinity(graph, np.full((8, 8, 3), 0.5), radius).toarray()
    assert (affinity[0, 2] > 0.9) == reached
    assert (affinity[0, 16] > 0.9) == reached
    assert affinity[0, 3] == 0


def test_colour_radius_is_a_fraction_of_each_side() -> None:
    graph = build_graph(np.arange(8 * 16).reshape(8, 16))
    affinity = colour_affinity(graph, np.full((8, 16, 3), 0.5), 0.25).toarray()
    assert affinity[0, 4] > 0.9  # four columns of sixteen
    assert affinity[0, 5] == 0
    assert affinity[0, 2 * 16] > 0.9  # two rows of eight
    assert affinity[0, 3 * 16] == 0


def test_unlike_colours_have_no_entry() -> None:
    photo = np.zeros((8, 8, 3))
    photo[:, 1::2] = 1
    affinity = colour_affinity(build_graph(np.arange(64).reshape(8, 8)), photo, 0.125)
    linked = {tuple(pair) for pair in np.argwhere(affinity.toarray()).tolist()}
    assert (0, 8) in linked
    assert (0, 1) not in linked
    assert affinity.nnz == len(linked) == 2 * 7 * 8
