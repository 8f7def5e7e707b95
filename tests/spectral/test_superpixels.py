import numpy as np
import pytest

from sss.data.scenes import generate_scene
from sss.spectral.superpixels import adjacent_pairs, build_graph, compute_superpixels


def touching_labels(labels: np.ndarray) -> set[tuple[int, int]]:
    """Every pixel against each of its eight neighbours."""
    height, width = labels.shape
    pairs = set()
    for row in range(height):
        for column in range(width):
            for r in range(max(0, row - 1), min(height, row + 2)):
                for c in range(max(0, column - 1), min(width, column + 2)):
                    a, b = int(labels[row, column]), int(labels[r, c])
                    if a != b:
                        pairs.add((min(a, b), max(a, b)))
    return pairs


@pytest.mark.parametrize("seed", range(5))
def test_adjacency_is_that_of_the_eight_neighbours(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 12, (4, 5))
    pairs = adjacent_pairs(labels)
    assert len({tuple(pair) for pair in pairs.tolist()}) == len(pairs)
    assert {tuple(pair) for pair in pairs.tolist()} == touching_labels(labels)


def test_corners_touch() -> None:
    assert adjacent_pairs(np.array([[0, 1], [2, 3]])).tolist() == [
        [0, 1],
        [0, 2],
        [0, 3],
        [1, 2],
        [1, 3],
        [2, 3],
    ]


def test_one_label_has_no_neighbours() -> None:
    assert adjacent_pairs(np.zeros((3, 4), int)).shape == (0, 2)


def test_centroids_round_half_up() -> None:
    # Mean rows 0.5 and 2.5: rounding to even would give 0 and 2.
    graph = build_graph(np.array([[0, 0, 0], [0, 0, 0], [1, 1, 1], [1, 1, 1]]))
    assert graph.centroids.tolist() == [[1, 1], [3, 1]]
    assert graph.centroid_pixels.tolist() == [4, 10]


def test_centroid_of_a_curved_superpixel_may_lie_outside_of_it() -> None:
    labels = np.zeros((5, 5), int)
    labels[2, 1:] = 1  # a C around a bar
    labels[1, 0] = 1
    graph = build_graph(labels)
    rows, columns = np.nonzero(labels == 0)
    assert graph.centroids[0].tolist() == [round(rows.mean()), round(columns.mean())]
    assert labels[tuple(graph.centroids[0])] == 1


def test_means_are_those_of_each_superpixel() -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(60) % 7).reshape(6, 10)
    values = rng.random((6, 10, 3))
    means = build_graph(labels).means(values)
    assert means.shape == (7, 3)
    for label in range(7):
        np.testing.assert_allclose(means[label], values[labels == label].mean(axis=0), rtol=1e-12)


def test_missing_label_is_refused() -> None:
    with pytest.raises(ValueError, match="label 1 has no pixel"):
        build_graph(np.array([[0, 0], [2, 2]]))


@pytest.mark.parametrize(("size", "count"), [((60, 80), 120), ((16, 200), 300), ((16, 16), 2500)])
def test_superpixels_are_a_partition(size: tuple[int, int], count: int) -> None:
    graph = compute_superpixels(generate_scene(2, size).photo, count)
    assert graph.labels.shape == size
    found = np.unique(graph.labels)
    np.testing.assert_array_equal(found, np.arange(len(graph.centroids)))
    wanted = min(count, size[0] * size[1])
    assert 0.5 * wanted <= len(found) <= 1.5 * wanted
    assert (graph.centroids >= 0).all()
    assert (graph.centroids < size).all()


def test_superpixels_keep_to_a_sharp_edge() -> None:
    photo = np.full((40, 50, 3), 0.2)
    photo[:, 23:] = (0.9, 0.4, 0.1)
    graph = compute_superpixels(photo, 100)
    sides = [set(graph.labels[:, :23].ravel()), set(graph.labels[:, 23:].ravel())]
    assert len(sides[0] & sides[1]) <= 0.05 * len(graph.centroids)


def test_single_precision_photo_gives_the_same_superpixels() -> None:
    photo = generate_scene(4, (40, 50)).photo
    assert photo.dtype == np.float32
    single, double = (compute_superpixels(p, 100) for p in (photo, photo.astype(np.float64)))
    np.testing.assert_array_equal(single.labels, double.labels)


def test_flat_photo() -> None:
    graph = compute_superpixels(np.full((20, 30, 3), 0.5), 50)
    assert graph.labels.min() == 0


@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64])
def test_more_regions_than_32_bits_can_pair(kind: type) -> None:
    # Every pixel is a region.
    height, width = 230, 240
    labels = np.arange(height * width, dtype=kind).reshape(height, width)
    number = np.arange(height * width).reshape(height, width)
    expected = np.concatenate(
        [
            np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], axis=1),
            np.stack([number[:-1].ravel(), number[1:].ravel()], axis=1),
            np.stack([number[:-1, :-1].ravel(), number[1:, 1:].ravel()], axis=1),
            np.stack([number[:-1, 1:].ravel(), number[1:, :-1].ravel()], axis=1),
        ]
    )
    assert len(labels.ravel()) > 46_341
    pairs = adjacent_pairs(labels)
    np.testing.assert_array_equal(pairs, expected[np.lexsort(expected.T[::-1])])
