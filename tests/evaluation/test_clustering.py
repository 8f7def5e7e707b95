from math import comb

import numpy as np
import pytest

from sss.evaluation.clustering import cluster_agreement


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
