import numpy as np
import pytest

from sss.spectral.clustering import cluster_pixels

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
