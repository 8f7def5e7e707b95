import math

import numpy as np
import pytest

from sss.data.scenes import generate_scene
from sss.spectral.affinities import colour_affinity, semantic_affinity
from sss.spectral.superpixels import SuperpixelGraph, build_graph


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


@pytest.mark.parametrize("only_alike", [False, True])
def test_colour_affinity_equals_the_formula_pair_by_pair(only_alike: bool) -> None:
    graph = blocks(4, 6, side=3)
    photo = 0.2 * np.random.default_rng(2).random((12, 18, 3))
    features = np.kron(0.2 * np.random.default_rng(3).random((4, 6, 3)), np.ones((3, 3, 1)))
    radius = 0.43
    expected, unlinked = np.zeros((216, 216)), 0
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
            if only_alike:
                unlike = np.linalg.norm(
                    superpixel_mean(graph, features, a) - superpixel_mean(graph, features, b)
                )
                expected[pixel_a, pixel_b] *= max(math.erf(20 * (1 - unlike - 0.85)), 0)
                unlinked += expected[pixel_a, pixel_b] == 0
    assert unlinked > 0 if only_alike else unlinked == 0
    assert (expected > 0).any()
    assert 0.05 < expected[expected > 0].min() + expected.max() / 2 < 0.95  # soft weights occur
    affinity = colour_affinity(graph, photo, features if only_alike else None, radius)
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
    affinity = colour_affinity(graph, np.full((8, 8, 3), 0.5), radius=radius).toarray()
    assert (affinity[0, 2] > 0.9) == reached
    assert (affinity[0, 16] > 0.9) == reached
    assert affinity[0, 3] == 0


def test_colour_radius_is_a_fraction_of_each_side() -> None:
    graph = build_graph(np.arange(8 * 16).reshape(8, 16))
    affinity = colour_affinity(graph, np.full((8, 16, 3), 0.5), radius=0.25).toarray()
    assert affinity[0, 4] > 0.9  # four columns of sixteen
    assert affinity[0, 5] == 0
    assert affinity[0, 2 * 16] > 0.9  # two rows of eight
    assert affinity[0, 3 * 16] == 0


def test_unlike_colours_have_no_entry() -> None:
    photo = np.zeros((8, 8, 3))
    photo[:, 1::2] = 1
    affinity = colour_affinity(build_graph(np.arange(64).reshape(8, 8)), photo, radius=0.125)
    linked = {tuple(pair) for pair in np.argwhere(affinity.toarray()).tolist()}
    assert (0, 8) in linked
    assert (0, 1) not in linked
    assert affinity.nnz == len(linked) == 2 * 7 * 8
