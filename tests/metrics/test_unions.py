from itertools import combinations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sss.errors import InputError
from sss.metrics.unions import best_subsets, best_unions, search_subset


def soft_layers(seed: int, count: int, size: tuple[int, int] = (14, 17)) -> np.ndarray:
    """(H, W, K) smooth alphas that sum to one."""
    noise = np.random.default_rng(seed).standard_normal((*size, count))
    weights = np.exp(4.0 * gaussian_filter(noise, (2, 2, 0)) * 5.0)
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


def smooth_matte(seed: int, size: tuple[int, int] = (14, 17)) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(size), 2)
    return np.clip(0.5 + 6.0 * noise, 0.0, 1.0).astype(np.float32)


def unions_of_layers(alpha: np.ndarray, truths: list[np.ndarray]) -> list[np.ndarray]:
    return list(best_unions(alpha.argmax(axis=-1), alpha, truths))


def errors_of_all_unions(alpha: np.ndarray, truth: np.ndarray) -> dict[tuple[int, ...], float]:
    count = alpha.shape[-1]
    subsets = [s for size in range(count + 1) for s in combinations(range(count), size)]
    return {
        subset: float(np.mean((alpha[..., list(subset)].astype(float).sum(axis=-1) - truth) ** 2))
        for subset in subsets
    }


@pytest.mark.parametrize("seed", range(8))
def test_the_best_of_few_soft_layers_is_the_best_of_all_unions(seed: int) -> None:
    alpha = soft_layers(seed, 6)
    truths = [smooth_matte(seed + 100), smooth_matte(seed + 200), alpha[..., [1, 4]].sum(axis=-1)]
    for truth, union in zip(truths, unions_of_layers(alpha, truths), strict=True):
        assert union.dtype == np.float32
        least = min(errors_of_all_unions(alpha, truth).values())
        assert np.mean((union.astype(float) - truth) ** 2) == pytest.approx(least, abs=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_hard_regions_is_the_best_of_all_unions(seed: int) -> None:
    labels = soft_layers(seed, 9).argmax(axis=-1)
    labels[labels == 3] = 4  # a number that no pixel has
    truth = smooth_matte(seed + 100)
    (union,) = best_unions(labels, None, [truth])
    regions = (labels[..., None] == np.arange(9)).astype(np.float32)
    least = min(errors_of_all_unions(regions, truth).values())
    assert set(np.unique(union)) <= {0.0, 1.0}
    assert np.mean((union.astype(float) - truth) ** 2) == pytest.approx(least, abs=1e-7)


def test_hard_regions_as_soft_layers_give_the_same_union() -> None:
    labels = soft_layers(3, 20).argmax(axis=-1)
    truth = smooth_matte(4)
    (hard,) = best_unions(labels, None, [truth])
    regions = (labels[..., None] == np.arange(20)).astype(np.float32)
    (searched,) = best_unions(labels, regions, [truth])
    np.testing.assert_array_equal(searched, hard)


def test_nothing_is_the_best_union_where_no_layer_helps() -> None:
    truth = np.zeros((6, 8), np.float32)
    truth[0, 0] = 1.0
    for alpha in (None, np.full((6, 8, 1), 1.0, np.float32)):
        (union,) = best_unions(np.zeros((6, 8), int), alpha, [truth])
        assert (union == 0.0).all()


@pytest.mark.parametrize("seed", range(6))
def test_the_search_of_many_layers_finds_the_best_of_all(seed: int) -> None:
    alpha = soft_layers(seed, 18).astype(float).reshape(-1, 18)
    truth = smooth_matte(seed + 300).ravel()
    gram, overlap = alpha.T @ alpha, alpha.T @ truth
    (best,) = best_subsets(gram, overlap[:, None])
    found = search_subset(gram, overlap, 2.0 * overlap > alpha.sum(axis=0))
    np.testing.assert_array_equal(found, best)


def test_the_search_leaves_no_better_neighbour() -> None:
    """From a start far off, and with layers that overlap, which no decomposition's do."""
    rng = np.random.default_rng(0)
    layers, truth = rng.random((50, 24)), 5.0 * rng.random(50)
    start = rng.random(24) < 0.5
    subset = search_subset(layers.T @ layers, layers.T @ truth, start)

    def error(chosen: np.ndarray) -> float:
        return float(((layers[:, chosen].sum(axis=1) - truth) ** 2).sum())

    for first in range(24):
        for second in range(24):
            other = subset.copy()
            for layer in {first, second}:
                other[layer] = not other[layer]
            assert error(other) >= error(subset) - 1e-6
    assert error(subset) < error(start)


def test_few_soft_layers_are_not_left_to_the_search() -> None:
    """Where exchanging one or two layers does not lead to the best union."""
    rng = np.random.default_rng(26)
    layers = rng.random((40, 8))
    truth = np.clip(0.5 * layers[:, rng.random(8) < 0.4].sum(axis=1) + rng.random(40), 0, 3)
    gram, overlap = layers.T @ layers, layers.T @ truth
    (best,) = best_subsets(gram, overlap[:, None])
    assert (search_subset(gram, overlap, 2.0 * overlap > layers.sum(axis=0)) != best).any()
    alpha = (layers / 8).reshape(5, 8, 8)
    (union,) = unions_of_layers(alpha, [(truth / 8).reshape(5, 8)])
    np.testing.assert_allclose(union, alpha[..., best].sum(axis=-1), atol=1e-6)


def test_many_soft_layers_are_searched() -> None:
    alpha = soft_layers(0, 30)
    members = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    truth = alpha[..., members].sum(axis=-1)
    (union,) = unions_of_layers(alpha, [truth])
    np.testing.assert_allclose(union, truth, atol=1e-6)


def test_sizes_must_agree() -> None:
    with pytest.raises(InputError, match=r"has 4 × 5 pixels, but the true matte 4 × 6"):
        list(best_unions(np.zeros((4, 5), int), None, [np.zeros((4, 6), np.float32)]))
