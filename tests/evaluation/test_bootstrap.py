from itertools import product

import numpy as np
import pytest
from scipy import stats

from sss.evaluation.bootstrap import (
    bootstrap_counts,
    holm,
    percentile_interval,
    ratio,
    swap_patterns,
    swap_test,
)


def with_weight_one(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones_like(values)], axis=-1)


def test_ratio_of_totals_and_weights_by_hand() -> None:
    assert ratio(np.array([6.0, 4.0])) == 1.5
    assert np.isnan(ratio(np.array([0.0, 0.0])))


@pytest.mark.parametrize(
    ("sums", "expected"),
    [
        ((8.0, 10.0, 2.0, 5.0), 2 * 0.8 * 0.4 / 1.2),
        ((0.0, 0.0, 2.0, 5.0), 0.0),  # nothing was found: no precision
        ((0.0, 3.0, 0.0, 5.0), 0.0),
        ((0.0, 0.0, 0.0, 0.0), np.nan),
    ],
)
def test_ratio_of_an_f_measure_is_the_harmonic_mean(sums: tuple, expected: float) -> None:
    np.testing.assert_allclose(ratio(np.array(sums)), expected)


def test_every_resample_has_as_many_photos() -> None:
    counts = bootstrap_counts(7, resamples=50, seed=3)
    assert (counts.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(counts, bootstrap_counts(7, resamples=50, seed=3))
    assert (counts != bootstrap_counts(7, resamples=50, seed=4)).any()


def test_bootstrap_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=60)
    counts = bootstrap_counts(60, resamples=8000, seed=1)
    ours = percentile_interval(ratio(counts @ with_weight_one(values)))
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=8000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    np.testing.assert_allclose(ours, theirs, atol=0.03 * values.std())


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    counts = bootstrap_counts(80, resamples=1000, seed=0)
    hits = 0
    for _ in range(300):
        low, high = percentile_interval(ratio(counts @ with_weight_one(rng.normal(1.0, size=80))))
        hits += low <= 1.0 <= high
    assert 0.90 < hits / 300 < 0.98


def test_interval_of_unknown_values_is_unknown() -> None:
    assert np.isnan(percentile_interval(np.full(4, np.nan))).all()


def test_few_photos_give_all_swaps_and_many_a_sample() -> None:
    assert {tuple(row) for row in swap_patterns(3)} == set(product((0.0, 1.0), repeat=3))
    patterns = swap_patterns(40, count=99)
    assert patterns.shape == (100, 40)
    assert not patterns[0].any()


def test_exact_p_equals_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=9), rng.normal(0.7, size=9)
    theirs = stats.permutation_test(
        (second, first),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    ours = swap_test(with_weight_one(first), with_weight_one(second), swap_patterns(9))
    assert ours == pytest.approx(theirs.pvalue, abs=1e-12)


def test_random_p_agrees_with_scipy_and_with_other_paired_tests() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(size=60)
    second = first + rng.normal(0.09, 0.35, size=60)
    ours = swap_test(with_weight_one(first), with_weight_one(second), swap_patterns(60, seed=2))
    theirs = stats.permutation_test(
        (second, first),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        rng=np.random.default_rng(3),
    )
    assert 0.005 < ours < 0.4  # else anything would agree
    assert ours == pytest.approx(theirs.pvalue, abs=0.02)
    assert ours == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.03)
    assert ours == pytest.approx(stats.wilcoxon(first, second).pvalue, abs=0.12)


def test_swapping_weighted_figures_agrees_with_slow_loops() -> None:
    rng = np.random.default_rng(7)
    first, second = rng.uniform(1, 5, size=(2, 6, 4))  # an F-measure's parts
    observed = ratio(second.sum(axis=0)) - ratio(first.sum(axis=0))
    extreme = 0
    for pattern in product((False, True), repeat=6):
        a, b = first.copy(), second.copy()
        for photo, swap in enumerate(pattern):
            if swap:
                a[photo], b[photo] = second[photo], first[photo]
        swapped = ratio(b.sum(axis=0)) - ratio(a.sum(axis=0))
        extreme += abs(swapped) >= abs(observed) - 1e-12
    assert swap_test(first, second, swap_patterns(6)) == extreme / 2**6


def test_equal_figures_have_p_one() -> None:
    figures = with_weight_one(np.arange(5.0))
    assert swap_test(figures, figures, swap_patterns(5)) == 1.0


def test_p_of_equal_entries_is_evenly_spread() -> None:
    rng = np.random.default_rng(11)
    patterns = swap_patterns(20, count=499, seed=0)
    p = [
        swap_test(with_weight_one(a), with_weight_one(b), patterns)
        for a, b in rng.normal(size=(300, 2, 20))
    ]
    assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.09


def test_holm_by_hand() -> None:
    # Sorted 0.01 0.02 0.03 0.04 times 4 3 2 1 is 0.04 0.06 0.06 0.04, made to rise.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
