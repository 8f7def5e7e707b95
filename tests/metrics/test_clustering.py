from itertools import combinations
from math import comb

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, cohen_kappa_score

from sss.metrics.clustering import Clustering, cluster_agreement, cluster_like


def blobs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds, far from each other."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([2, 5, 9], [40, 30, 20]))
    return rng.normal(size=(90, 4)) + 20 * labels[:, None], labels


def entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def adjusted_by_hand(first: np.ndarray, second: np.ndarray) -> float:
    """(MI − E[MI]) / (mean entropy − E[MI]), the expectation over the hypergeometric law."""
    table = np.array(
        [[np.sum((first == a) & (second == b)) for b in set(second)] for a in set(first)]
    )
    n, rows, columns = table.sum(), table.sum(1), table.sum(0)
    mutual = entropy(rows) + entropy(columns) - entropy(table.ravel())
    expected = 0.0
    for a in rows.tolist():
        for b in columns.tolist():
            for both in range(max(1, a + b - n), min(a, b) + 1):
                chance = comb(a, both) * comb(n - a, b - both) / comb(n, b)
                expected += chance * both / n * np.log(n * both / (a * b))
    return (mutual - expected) / ((entropy(rows) + entropy(columns)) / 2 - expected)


def test_clouds_are_found() -> None:
    points, labels = blobs()
    assert cluster_agreement(points, labels[None]) == pytest.approx(1.0)


def test_equals_the_formula() -> None:
    points, labels = blobs()
    wrong = labels.copy()
    wrong[:25] = np.random.default_rng(1).permutation(wrong[:25])
    # k-means finds the clouds whatever is said of them, so the clusters are known.
    found = cluster_agreement(points, wrong[None])
    assert 0.3 < found < 0.9
    assert found == pytest.approx(adjusted_by_hand(labels, wrong), abs=1e-9)


def test_noise_is_chance() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=(1, 800))
    assert cluster_agreement(rng.normal(size=(800, 3)), labels) == pytest.approx(0, abs=0.02)


def test_annotators_are_averaged_and_unlabelled_points_not_counted() -> None:
    points, labels = blobs()
    coarse = np.where(labels == 9, 5, labels)  # two segments: another k
    hidden = np.random.default_rng(2).permutation(labels)
    hidden[10:] = labels[10:]
    hidden[:10] = -1  # all that was wrong
    blank = np.zeros_like(labels)
    alone = [cluster_agreement(points, one[None]) for one in (labels, coarse, hidden)]
    assert alone[2] == pytest.approx(1.0)
    together = cluster_agreement(points, np.stack([labels, coarse, hidden, blank, blank - 1]))
    assert together == pytest.approx(np.mean(alone))


def test_constant_features_agree_with_nothing() -> None:
    _, labels = blobs()
    assert cluster_agreement(np.ones((90, 4), np.float32), labels[None]) == pytest.approx(0)


def test_seeded() -> None:
    rng = np.random.default_rng(3)
    points, labels = rng.normal(size=(300, 4)), rng.integers(9, size=(1, 300))
    values = [cluster_agreement(points, labels, seed) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize("labels", [[], [-1, -1, -1], [4, 4, 4], [4, 4, -1]])
def test_no_two_segments_is_nan(labels: list[int]) -> None:
    assert np.isnan(cluster_agreement(np.ones((len(labels), 2)), np.array([labels], int)))


def partitions(seed: int, points: int = 60) -> Clustering:
    """Segments and clusters that know of each other; some points are unlabelled."""
    rng = np.random.default_rng(seed)
    segments = rng.integers(-1, 5, points)
    clusters = np.where(rng.random(points) < 0.6, segments + 1, rng.integers(6, size=points))
    return Clustering(segments, clusters)


def all_pairs(points: int) -> np.ndarray:
    return ~np.eye(points, dtype=bool)


@pytest.mark.parametrize("seed", range(5))
def test_ari_over_all_pairs_equals_scikit_learn(seed: int) -> None:
    one = partitions(seed)
    known = one.segments >= 0
    expected = adjusted_rand_score(one.segments[known], one.clusters[known])
    assert 0.1 < expected < 0.9
    assert one.ari_among(all_pairs(60)) == pytest.approx(expected, abs=1e-12)
    assert one.ari() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_ari_among_some_pairs_is_the_kappa_of_scikit_learn(seed: int) -> None:
    one = partitions(seed)
    chosen = np.triu(np.random.default_rng(seed).random((60, 60)) < 0.2, 1)
    decisions = [
        (one.segments[a] == one.segments[b], one.clusters[a] == one.clusters[b])
        for a, b in combinations(range(60), 2)
        if chosen[a, b] and one.segments[a] >= 0 and one.segments[b] >= 0
    ]
    expected = cohen_kappa_score(*zip(*decisions, strict=True))
    assert one.ari_among(chosen | chosen.T) == pytest.approx(expected, abs=1e-12)
    assert abs(expected - one.ari()) > 1e-4


def test_ari_among_pairs_by_hand() -> None:
    one = Clustering(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]))
    # Of (0,1), (0,2), (2,3) the segments say yes, no, yes, the clusters yes, yes, no: they agree
    # in 1/3, by chance in 2/3·2/3 + 1/3·1/3 = 5/9.
    pairs = np.zeros((4, 4), bool)
    pairs[[0, 0, 2], [1, 2, 3]] = True
    assert one.ari_among(pairs | pairs.T) == pytest.approx((1 / 3 - 5 / 9) / (4 / 9))
    # One cluster agrees with nothing.
    constant = Clustering(one.segments, np.zeros(4, int))
    assert constant.ari_among(all_pairs(4)) == pytest.approx(0)
    assert Clustering(one.segments, 1 - one.segments).ari_among(all_pairs(4)) == 1.0


def test_pairs_of_one_kind_have_no_ari() -> None:
    one = Clustering(np.array([0, 0, 1, -1]), np.array([0, 1, 1, 1]))
    pairs = np.zeros((4, 4), bool)
    assert np.isnan(one.ari_among(pairs))
    pairs[2, 3] = pairs[3, 2] = True  # nobody knows whether these are of one segment
    assert np.isnan(one.ari_among(pairs))
    pairs[0, 2] = pairs[2, 0] = True
    assert np.isnan(one.ari_among(pairs))
    pairs[0, 1] = pairs[1, 0] = True  # now both kinds, and the clusters part both
    assert one.ari_among(pairs) == 0.0


def test_one_clustering_serves_all_annotators_with_as_many_segments() -> None:
    points, labels = blobs()
    other = np.random.default_rng(0).permutation(labels)
    found = cluster_like(points, np.stack([labels, other, np.zeros_like(labels)]))
    assert len(found) == 2
    assert found[0].clusters is found[1].clusters
    assert found[0].ari() == found[0].ami() == 1.0
    assert found[1].ari() == pytest.approx(0, abs=0.1)
