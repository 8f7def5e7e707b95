from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import entropy
from skimage.metrics import variation_of_information as skimage_vi
from sklearn.metrics import rand_score

from sss.data.bsds500 import Bsds500
from sss.errors import InputError
from sss.metrics.region_metrics import region_scores, soft_covering


def random_maps(seed: int, count: int, size: tuple[int, int] = (24, 31)) -> np.ndarray:
    """(count, H, W): blocks of equal labels, some labels missing."""
    rng = np.random.default_rng(seed)
    rows, columns = (-(-side // 4) for side in size)
    blocks = rng.choice([0, 1, 2, 4, 5, 9], size=(count, rows, columns))
    return np.kron(blocks, np.ones((4, 4), int))[:, : size[0], : size[1]]


def slow_covering(labels: np.ndarray, truth: np.ndarray) -> float:
    """Of one annotator, by masks and nested loops."""
    known = truth >= 0
    total = 0.0
    for region in np.unique(truth[known]):
        inside = truth == region
        best = max(
            ((labels == other) & inside).sum() / (((labels == other) & known) | inside).sum()
            for other in np.unique(labels)
        )
        total += best * inside.sum()
    return total / known.sum()


def slow_soft_covering(alpha: np.ndarray, truth: np.ndarray) -> float:
    known = truth >= 0
    total = 0.0
    for region in np.unique(truth[known]):
        inside = (truth == region)[known].astype(float)
        best = max(
            np.minimum(layer, inside).sum() / np.maximum(layer, inside).sum()
            for layer in (alpha[..., k][known] for k in range(alpha.shape[-1]))
        )
        total += best * inside.sum()
    return total / known.sum()


def entropy_vi(labels: np.ndarray, truth: np.ndarray) -> float:
    """2 H(machine, truth) − H(machine) − H(truth)."""

    def bits(*maps: np.ndarray) -> float:
        pairs = np.stack([one.ravel() for one in maps], axis=1)
        return float(entropy(np.unique(pairs, axis=0, return_counts=True)[1], base=2))

    return 2 * bits(labels, truth) - bits(labels) - bits(truth)


def check_against_others(labels: np.ndarray, annotators: np.ndarray) -> None:
    scores = region_scores(labels, annotators)
    rand = [rand_score(truth.ravel(), labels.ravel()) for truth in annotators]
    assert scores.covering == pytest.approx(
        np.mean([slow_covering(labels, truth) for truth in annotators]), abs=1e-12
    )
    assert scores.pri == pytest.approx(np.mean(rand), abs=1e-12)
    by_skimage = [float(np.sum(skimage_vi(truth, labels))) for truth in annotators]
    assert scores.vi == pytest.approx(np.mean(by_skimage), abs=1e-9)
    by_entropies = [entropy_vi(labels, truth) for truth in annotators]
    assert scores.vi == pytest.approx(np.mean(by_entropies), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_nested_loops_scikit_learn_and_scikit_image(seed: int) -> None:
    labels, *annotators = random_maps(seed, 4)
    check_against_others(labels, np.stack(annotators))


@pytest.mark.reference
def test_equal_to_the_others_on_real_annotators(reference: Path) -> None:
    dataset = Bsds500(reference / "bsds500", "train")
    for index in (3, 120):
        annotators = dataset[index][1][:, ::3, ::3]
        check_against_others(annotators[0], annotators[1:3])
        rows = np.arange(annotators[0].size).reshape(annotators[0].shape) // 500
        check_against_others(rows, annotators[:1])


def test_by_hand() -> None:
    truth = np.array([[0, 0, 0, 0, 1, 1]])
    labels = np.array([[0, 0, 1, 1, 1, 1]])
    scores = region_scores(labels, truth[None])
    # Region 0: 2/4 or 2/6; region 1: 2/4. Pairs: 1 + 1 + 1 together, 4 apart in both, of 15:
    # {0,1}, {2,3}, {4,5}; {0,1} × {4,5}.
    assert scores.covering == pytest.approx(0.5)
    assert scores.pri == pytest.approx(7 / 15)
    # Three thirds in the table; H of both maps together is log2 3, of each (2/3, 1/3).
    one = np.log2(3) - 2 / 3
    assert scores.vi == pytest.approx(2 * np.log2(3) - 2 * one)


def test_pairs_counted_one_by_one() -> None:
    labels, truth = random_maps(7, 2, (6, 8)).reshape(2, -1)
    same = [
        (labels[p] == labels[q]) == (truth[p] == truth[q])
        for p, q in combinations(range(labels.size), 2)
    ]
    assert region_scores(labels[None], truth[None, None]).pri == pytest.approx(np.mean(same))


def test_equal_maps_and_permuted_labels() -> None:
    labels = random_maps(0, 1)[0]
    permuted = np.array([3, 0, 7, 7, 1, 9, 9, 9, 9, 2])[labels]
    scores = region_scores(permuted, labels[None])
    assert scores == (1.0, 1.0, 0.0)
    assert not np.signbit(scores.vi)
    other = random_maps(1, 1)
    assert region_scores(permuted, other) == pytest.approx(region_scores(labels, other))


def test_one_region_and_single_pixels() -> None:
    truth = np.repeat([0, 1], [12, 4])[None]
    whole = region_scores(np.zeros_like(truth), truth[None])
    assert whole.covering == pytest.approx(0.75 * 0.75 + 0.25 * 0.25)
    assert whole.vi == pytest.approx(entropy([12, 4], base=2))
    single = region_scores(np.arange(16)[None], truth[None])
    assert single.covering == pytest.approx(0.75 / 12 + 0.25 / 4)
    assert single.vi == pytest.approx(4 - entropy([12, 4], base=2))
    assert region_scores(np.zeros((1, 1), int), np.zeros((1, 1, 1), int)) == (1.0, 1.0, 0.0)


def test_annotators_are_averaged() -> None:
    labels, *annotators = random_maps(3, 4)
    alone = [region_scores(labels, truth[None]) for truth in annotators]
    assert region_scores(labels, np.stack(annotators)) == pytest.approx(np.mean(alone, axis=0))


def test_unlabelled_pixels_are_left_out() -> None:
    labels, truth = random_maps(5, 2)
    hidden = truth.copy()
    hidden[:, 9:17] = -1
    cut = np.r_[:9, 17:31]
    expected = region_scores(labels[:, cut], truth[None, :, cut])
    assert region_scores(labels, hidden[None]) == pytest.approx(expected)
    unlabelled = np.full_like(hidden, -1)
    assert region_scores(labels, np.stack([hidden, unlabelled])) == pytest.approx(expected)
    assert np.isnan(region_scores(labels, unlabelled[None])).all()
    alpha = np.random.default_rng(0).random((*truth.shape, 3))
    soft = soft_covering(alpha[:, cut], truth[None, :, cut])
    assert soft_covering(alpha, np.stack([hidden, unlabelled])) == pytest.approx(soft)
    assert np.isnan(soft_covering(alpha, unlabelled[None]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint16])
def test_small_integers_do_not_overflow(dtype: type) -> None:
    labels, truth = random_maps(2, 2, (120, 160))
    wide = labels * 20
    expected = region_scores(wide, truth[None])
    assert region_scores(wide.astype(dtype), truth[None].astype(dtype)) == expected


@pytest.mark.parametrize("seed", range(3))
def test_soft_covering_equals_nested_loops(seed: int) -> None:
    annotators = random_maps(seed, 2)
    alpha = np.random.default_rng(seed).random((*annotators.shape[1:], 4)).astype(np.float32)
    annotators[1, :5] = -1
    expected = np.mean([slow_soft_covering(alpha, truth) for truth in annotators])
    assert soft_covering(alpha, annotators) == pytest.approx(expected, rel=1e-6)


def test_soft_covering_of_hard_layers_is_the_covering() -> None:
    labels, *annotators = random_maps(4, 3)
    alpha = np.eye(10, dtype=np.float32)[labels]  # four of the layers are empty
    expected = region_scores(labels, np.stack(annotators)).covering
    assert soft_covering(alpha, np.stack(annotators)) == pytest.approx(expected, abs=1e-12)


def test_soft_covering_by_hand() -> None:
    alpha = np.array([[[0.75, 0.25], [0.25, 0.75]]])
    # Each pixel is a region: 0.75 inside, 0.25 outside, so 0.75 / 1.25.
    assert soft_covering(alpha, np.array([[[0, 1]]])) == pytest.approx(0.6)


def test_mistakes_are_named() -> None:
    truth = np.zeros((1, 4, 5), int)
    with pytest.raises(InputError, match=r"\(5, 4\).*\(4, 5\)"):
        region_scores(np.zeros((5, 4), int), truth)
    with pytest.raises(InputError, match=r"\(5, 4\).*\(4, 5\)"):
        soft_covering(np.zeros((5, 4, 2)), truth)
    with pytest.raises(InputError, match="label is -1; number the regions from 0"):
        region_scores(np.full((4, 5), -1), truth)


# --- tens of thousands of regions, odd numbers, nothing to compare --------------------------------


def test_as_many_regions_as_pixels_on_both_sides() -> None:
    # Each alone: the regions are the same, in another order. A dense table of them takes 20 GB.
    numbers = np.arange(200 * 260, dtype=np.int32).reshape(200, 260)
    assert region_scores(numbers, numbers[None, ::-1]) == pytest.approx((1.0, 1.0, 0.0))
    # Against one region: its best cover is a single pixel; no pair of pixels agrees.
    scores = region_scores(numbers, np.zeros((1, 200, 260), np.int32))
    assert scores == pytest.approx((1 / 52_000, 0.0, np.log2(52_000)))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.uint32, np.int64])
def test_the_kind_of_integer_does_not_matter(kind: type) -> None:
    labels, truth = random_maps(0, 2, (40, 50))
    labels, truth = 20 * labels, 25 * truth  # up to 225: products beyond 8 and 15 bits
    scores = region_scores(labels.astype(kind), truth[None].astype(kind))
    assert scores == region_scores(labels, truth[None])


def test_numbers_of_regions_may_be_any() -> None:
    labels, truth = random_maps(1, 2)
    high = np.iinfo(np.int32).max - 9
    alpha = np.eye(10)[labels]
    assert region_scores(labels + high, truth[None] + high) == region_scores(labels, truth[None])
    assert soft_covering(alpha, truth[None] + high) == soft_covering(alpha, truth[None])


def test_nothing_labelled_has_no_score() -> None:
    labels = np.zeros((4, 5), int)
    for annotators in (np.zeros((0, 4, 5), int), np.full((2, 4, 5), -1)):
        assert np.isnan(region_scores(labels, annotators)).all()
        assert np.isnan(soft_covering(np.ones((4, 5, 1)), annotators))


def test_one_pixel_agrees_with_itself() -> None:
    one = np.zeros((1, 1), int)
    assert region_scores(one, one[None]) == (1.0, 1.0, 0.0)
