import threading
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info, threadpool_limits

from sss.spectral.clustering import best_kmeans, cluster_pixels, clusters_from

CORNERS = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=float)


def test_pixel_clusters_are_those_planted() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 6, (15, 20))
    features = CORNERS[truth] + rng.uniform(-0.02, 0.02, (15, 20, 3))
    labels = cluster_pixels(features, 6)
    assert labels.shape == (300,)
    assert len({(a, b) for a, b in zip(labels, truth.ravel(), strict=True)}) == 6


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("different", [1, 2, 5])
def test_fewer_different_features_give_fewer_clusters(different: int) -> None:
    truth = np.arange(60).reshape(6, 10) % different
    labels = cluster_pixels(CORNERS[truth], 40)
    assert set(labels.tolist()) == set(range(different))
    assert len({(a, b) for a, b in zip(labels, truth.ravel(), strict=True)}) == different


def test_fewer_pixels_than_clusters() -> None:
    labels = cluster_pixels(np.random.default_rng(0).random((3, 4, 3)), 40)
    assert sorted(labels.tolist()) == list(range(12))


def test_points_join_the_nearest_centre_of_the_examples() -> None:
    rng = np.random.default_rng(1)
    examples = np.repeat(CORNERS, 30, axis=0) + rng.uniform(-0.05, 0.05, (180, 3))
    points = rng.random((500, 3))
    labels = clusters_from(examples, points, 6)
    truth = np.linalg.norm(points[:, None] - CORNERS, axis=2)
    clear = np.diff(np.sort(truth, axis=1)[:, :2], axis=1).ravel() > 0.15
    assert clear.sum() > 200
    pairs = set(zip(labels[clear].tolist(), truth.argmin(axis=1)[clear].tolist(), strict=True))
    assert len(pairs) == 6


def test_clusters_without_a_point_are_left_out() -> None:
    labels = clusters_from(CORNERS, CORNERS[[4, 1, 1, 4]] + 0.1, 6)
    assert sorted(set(labels.tolist())) == [0, 1]
    assert labels[0] == labels[3] != labels[1] == labels[2]


@pytest.mark.filterwarnings("error")
def test_examples_that_are_all_alike_give_one_cluster() -> None:
    points = np.random.default_rng(0).random((50, 3))
    np.testing.assert_array_equal(clusters_from(np.full((70, 3), 0.5), points, 40), np.zeros(50))


def test_kmeans_takes_one_thread_in_whatever_thread_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[int] = []
    fit = KMeans.fit

    def noting(model: KMeans, points: np.ndarray) -> Any:
        used.extend(x["num_threads"] for x in threadpool_info() if x["user_api"] == "openmp")
        return fit(model, points)

    def run() -> None:
        with threadpool_limits(2, user_api="openmp"):
            best_kmeans(np.random.default_rng(0).random((50, 2)), 3, 1, 0)

    monkeypatch.setattr(KMeans, "fit", noting)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert set(used) == {1}
