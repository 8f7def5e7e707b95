from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse.linalg
from skimage.data import astronaut
from skimage.graph import cut_normalized, rag_mean_color
from skimage.segmentation import felzenszwalb
from sklearn.metrics import adjusted_rand_score

from sss.evaluation.methods.base import Case
from sss.evaluation.methods.clusters import contiguous, lab_colour
from sss.evaluation.methods.graphs import (
    LEAST_WEIGHT,
    CutSequence,
    Felzenszwalb,
    NormalisedCuts,
    best_normalised_cut,
    similarity_graph,
)
from sss.spectral.superpixels import build_graph, compute_superpixels


def test_felzenszwalb_is_scikit_images() -> None:
    photo = astronaut()[::4, ::4]
    scales = (60, 300)
    results = Felzenszwalb(scales).segment(Case(photo / 255))
    for scale, result in zip(scales, results, strict=True):
        expected = felzenszwalb(photo, scale=scale, sigma=0.8, min_size=1000)
        assert adjusted_rand_score(expected.ravel(), result.labels.ravel()) == 1


def test_regions_of_felzenszwalb_grow_with_k() -> None:
    photo = astronaut()[::4, ::4] / 255
    counts = [r.labels.max() + 1 for r in Felzenszwalb(min_size=20).segment(Case(photo))]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 3 * counts[-1] > 3


def test_as_many_regions_as_asked_for_each_series_finer_than_the_last() -> None:
    results = list(NormalisedCuts().segment(Case(astronaut()[::4, ::4] / 255)))
    assert [r.labels.max() + 1 for r in results] == list(NormalisedCuts().scales)
    for coarse, fine in pairwise(results):
        pairs = np.unique(np.stack([fine.labels.ravel(), coarse.labels.ravel()]), axis=1)
        assert pairs.shape[1] == fine.labels.max() + 1
        assert fine.seconds >= coarse.seconds


def test_similarity_graph_is_scikit_images() -> None:
    photo = astronaut()[::8, ::8] / 255
    colour = lab_colour(photo).astype(float)
    graph = compute_superpixels(photo, 80)
    expected = rag_mean_color(colour, graph.labels, mode="similarity", sigma=200.0)
    found = similarity_graph(graph, colour, 200.0)
    edges = np.zeros_like(found)
    for a, b, data in expected.edges(data=True):
        edges[a, b] = edges[b, a] = max(data["weight"], LEAST_WEIGHT)
    np.testing.assert_allclose(found, edges + np.eye(len(found)), atol=1e-12)


def dense_eigenvectors(
    matrix: scipy.sparse.sparray, k: int, **_: object
) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(matrix.toarray())
    return values[:k], vectors[:, :k]


@pytest.mark.parametrize("threshold", [0.02, 0.04])
@pytest.mark.slow
def test_cuts_are_those_of_scikit_image(threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # On some processors ARPACK misses the second eigenvector, and scikit-image makes no cut at all.
    monkeypatch.setattr(scipy.sparse.linalg, "eigsh", dense_eigenvectors)
    photo = astronaut()[::4, ::4] / 255
    colour = lab_colour(photo).astype(float)
    graph = compute_superpixels(photo, 300)
    rag = rag_mean_color(colour, graph.labels, mode="similarity", sigma=200.0)
    expected = cut_normalized(graph.labels, rag, threshold, rng=0)
    count = len(np.unique(expected))
    assert count > 3
    cuts = CutSequence(similarity_graph(graph, colour, 200.0), 10)
    found = cuts.regions(count)[graph.labels]
    assert adjusted_rand_score(expected.ravel(), found.ravel()) == pytest.approx(1, abs=0.02)


def ncut_by_hand(weights: np.ndarray, side: np.ndarray) -> float:
    cut, first, second = 0.0, 0.0, 0.0
    for i in range(len(weights)):
        for j in range(len(weights)):
            cut += weights[i, j] * (side[i] and not side[j])
            first += weights[i, j] * side[i]
            second += weights[i, j] * (not side[i])
    return cut / first + cut / second


def test_cost_is_shi_and_maliks() -> None:
    rng = np.random.default_rng(0)
    weights = rng.random((9, 9))
    weights += weights.T
    cost, side = best_normalised_cut(weights, 10)
    assert 0 < side.sum() < 9
    assert cost == pytest.approx(ncut_by_hand(weights, side))


def test_two_groups_are_cut_apart_at_the_cheapest_place() -> None:
    weights = np.full((7, 7), 0.01)
    weights[:3, :3] = weights[3:, 3:] = 1
    cost, side = best_normalised_cut(weights, 10)
    assert side.tolist() in ([True] * 3 + [False] * 4, [False] * 3 + [True] * 4)
    sides = [np.array([bit == "1" for bit in f"{number:07b}"]) for number in range(1, 127)]
    assert cost == pytest.approx(min(ncut_by_hand(weights, one) for one in sides))


def test_nothing_to_cut_leaves_the_graph_whole() -> None:
    for size in (1, 2):
        cost, side = best_normalised_cut(np.ones((size, size)), 10)
        assert cost == np.inf
        assert side.all()
    assert CutSequence(np.ones((2, 2)), 10).regions(5).tolist() == [0, 0]


def test_neighbours_of_unlike_colours_stay_connected() -> None:
    labels = np.repeat([[0, 1, 2]], 3, axis=0)
    colour = np.array([0.0, 1.0, 1000.0])[labels][..., None]
    expected = [[1, np.exp(-0.5), 0], [np.exp(-0.5), 1, LEAST_WEIGHT], [0, LEAST_WEIGHT, 1]]
    np.testing.assert_allclose(similarity_graph(build_graph(labels), colour, 2.0), expected)


def test_contiguous_keeps_the_order() -> None:
    assert contiguous(np.array([[7, 3], [3, 9]])).tolist() == [[1, 0], [0, 2]]
