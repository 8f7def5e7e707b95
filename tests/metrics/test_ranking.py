import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN

from sss.metrics.ranking import neighbour_order, ranking_scores


def sample(seed: int, points: int = 60, segments: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Features that know something of their segments, which differ in size."""
    rng = np.random.default_rng(seed)
    labels = np.floor(segments * rng.random(points) ** 2).astype(int) * 7
    return rng.normal(size=(points, 4)) + 0.2 * labels[:, None], labels


def by_hand(
    points: np.ndarray, labels: np.ndarray, gallery: np.ndarray | None = None
) -> tuple[float, float]:
    """Precision@1 and R-precision, query by query."""
    first, share = [], []
    for query in range(len(points)):
        if labels[query] < 0:
            continue
        others = [i for i in range(len(points)) if i != query and labels[i] >= 0]
        if gallery is not None:
            others = [i for i in others if gallery[query, i]]
        relevant = sum(labels[i] == labels[query] for i in others)
        if relevant in (0, len(others)):
            continue
        others.sort(key=lambda i: np.linalg.norm(points[i] - points[query]))
        same = [labels[i] == labels[query] for i in others]
        first.append(same[0])
        share.append(sum(same[:relevant]) / relevant)
    return np.mean(first), np.mean(share)


@pytest.mark.parametrize("hidden", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(4))
def test_equals_loops(seed: int, hidden: float) -> None:
    points, labels = sample(seed)
    labels[0] = 999  # alone in its segment
    labels[np.random.default_rng(seed).random(len(labels)) < hidden] = -1
    found = ranking_scores(neighbour_order(points), labels)
    assert 0.1 < found[1] < 0.9
    assert found == pytest.approx(by_hand(points, labels), abs=1e-12)


@pytest.mark.parametrize("hidden", [0.0, 0.4])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.6])
def test_galleries_equal_loops(share: float, hidden: float) -> None:
    points, labels = sample(1)
    rng = np.random.default_rng(2)
    labels[rng.random(len(labels)) < hidden] = -1
    gallery = rng.random((len(labels), len(labels))) < share
    found = ranking_scores(neighbour_order(points), labels, gallery)
    assert found == pytest.approx(by_hand(points, labels, gallery), abs=1e-12)
    assert found != ranking_scores(neighbour_order(points), labels)


def test_a_gallery_of_all_is_none() -> None:
    points, labels = sample(3)
    labels[:9] = -1
    order = neighbour_order(points)
    everything = np.ones((len(labels), len(labels)), bool)
    assert ranking_scores(order, labels, everything) == ranking_scores(order, labels)


def test_queries_that_cannot_be_right_or_cannot_be_wrong_are_left_out() -> None:
    points = np.array([[0.0], [1.0], [2.0], [3.0]])
    labels = np.array([0, 0, 1, 1])
    gallery = np.zeros((4, 4), bool)
    gallery[0, 1] = True  # its own segment only
    gallery[3, :2] = True  # strangers only
    order = neighbour_order(points)
    assert np.isnan(ranking_scores(order, labels, gallery)).all()
    gallery[1, [0, 2]] = True  # both, equally near; the first in the sample is its mate
    assert ranking_scores(order, labels, gallery) == (1.0, 1.0)
    gallery[2] = True  # 1 and 3 are equally near, and 1, a stranger, stands first
    assert ranking_scores(order, labels, gallery) == (0.5, 0.5)


@pytest.mark.parametrize("seed", range(3))
def test_equals_pytorch_metric_learning(seed: int) -> None:
    points, labels = sample(seed, points=120)
    labels[5] = 999
    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision"),
        device=torch.device("cpu"),
        knn_func=CustomKNN(LpDistance(normalize_embeddings=False)),
        kmeans_func=lambda *_: None,  # not asked for; its default needs faiss
    )
    theirs = calculator.get_accuracy(torch.tensor(points), torch.tensor(labels))
    precision, r_precision = ranking_scores(neighbour_order(points), labels)
    assert precision == pytest.approx(theirs["precision_at_1"], abs=1e-9)
    assert r_precision == pytest.approx(theirs["r_precision"], abs=1e-9)


def test_perfect_features() -> None:
    _, labels = sample(0)
    order = neighbour_order(np.eye(29)[labels])
    assert ranking_scores(order, labels) == (1.0, 1.0)


def test_closed_form() -> None:
    # On a line AA B AA B AA B …: the nearest of each A is its twin, of each B an A.
    labels = np.tile([0, 0, 1], 20)
    line = np.arange(60.0) - 0.1 * (np.arange(60) % 3 == 1)
    precision, _ = ranking_scores(neighbour_order(line[:, None]), labels)
    assert precision == pytest.approx(40 / 60)
    # A A B B C C … in pairs, R is 1 of each, and the nearest is the twin or its neighbour.
    pairs = np.arange(60) // 2
    near, far = pairs + 0.1 * np.arange(60), pairs + 0.9 * (np.arange(60) % 2)
    assert ranking_scores(neighbour_order(near[:, None]), pairs) == (1.0, 1.0)
    # Only the first and the last have no stranger 0.1 away.
    assert ranking_scores(neighbour_order(far[:, None]), pairs) == pytest.approx((2 / 60, 2 / 60))


def test_constant_features_score_the_share_of_a_segment() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1], 500))
    found = ranking_scores(neighbour_order(np.full((1000, 3), 0.1, np.float32)), labels)
    assert found == pytest.approx((0.5, 0.5), abs=0.03)


def test_order_of_ties_is_that_of_the_points() -> None:
    points = np.full((5, 2), 1e3) + 1e-3
    assert neighbour_order(points)[2].tolist() == [0, 1, 3, 4]


def test_a_point_is_not_its_own_neighbour() -> None:
    order = neighbour_order(np.random.default_rng(0).normal(size=(30, 3)))
    for query, row in enumerate(order):
        assert sorted(row) == [i for i in range(30) if i != query]


@pytest.mark.parametrize("labels", [[], [3], [-1, -1, -1], [4, 4, 4], [1, 2, 3], [4, 4, -1]])
def test_nothing_to_rank_is_nan(labels: list[int]) -> None:
    points = np.random.default_rng(0).normal(size=(len(labels), 2))
    found = ranking_scores(neighbour_order(points), np.array(labels, int))
    assert np.isnan(found).all()
