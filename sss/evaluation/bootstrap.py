"""How sure a figure is: bootstrap over photos, and the paired permutation test.

Sources: B. Efron, R. Tibshirani, *An Introduction to the Bootstrap*, 1993, ch. 13 (percentile
intervals) and ch. 15 (permutation tests); S. Holm, *A simple sequentially rejective multiple test
procedure*, Scandinavian Journal of Statistics 6, 1979.

Figures of photos come as *sums*: arrays whose last axis is (total, weight), or, for an F-measure,
(total, weight) of its two parts one after the other. Sums of several photos add up; ``ratio`` turns
them into the metric's value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000
"""Of the bootstrap; its 2.5 % and 97.5 % points then rest on 50 resamples each."""

FLIPS = 9999
"""Of the permutation test: the smallest p is 1e-4."""

LEVEL = 0.95


def ratio(sums: np.ndarray) -> np.ndarray:
    """Value of a metric from its sums.

    Args:
        sums: (…, 2) total and weight, or (…, 4) those of the two parts of an F-measure.

    Returns:
        (…): total / weight, or the harmonic mean of both parts; NaN where there is no weight. A
        part without weight (the precision of a boundary where none was found) counts as zero
        while the other has weight.
    """
    if sums.shape[-1] == 2:
        total, weight = sums[..., 0], sums[..., 1]
        return np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0)
    parts = np.stack([ratio(sums[..., :2]), ratio(sums[..., 2:])])  # (2, …)
    unknown = np.isnan(parts).all(axis=0)
    first, second = np.nan_to_num(parts)
    both = first + second
    mean = np.divide(2 * first * second, both, out=np.zeros(both.shape), where=both > 0)
    return np.where(unknown, np.nan, mean)


def bootstrap_counts(photos: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """(R, P) float64: how often each photo is in each resample of as many photos."""
    rng = np.random.default_rng([seed, photos])
    return rng.multinomial(photos, np.full(photos, 1 / photos), size=resamples).astype(float)


def percentile_interval(draws: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Ends of the percentile interval of (R,) bootstrap values; NaN are passed over."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def swap_patterns(photos: int, count: int = FLIPS, seed: int = 0) -> np.ndarray:
    """Which photos swap their two scores in each permutation.

    Args:
        photos: Number P of photos.
        count: At most so many random patterns beside the identity.
        seed: Of the random ones.

    Returns:
        (F, P) float64 of 0 and 1. All 2^P patterns when there are no more than ``count`` + 1; else
        ``count`` random ones after the identity, which keeps the test valid: the observed
        difference is one of those under test.
    """
    if 2**photos <= count + 1:
        codes = np.arange(2**photos)[:, None]
        return (codes >> np.arange(photos) & 1).astype(float)
    rng = np.random.default_rng([seed, photos])
    random = rng.integers(0, 2, size=(count, photos))
    return np.concatenate([np.zeros((1, photos)), random])


def swap_test(first: np.ndarray, second: np.ndarray, patterns: np.ndarray) -> float:
    """Two-sided p of the paired permutation test.

    Under the null hypothesis the two entries' scores on a photo might as well be swapped. For
    metrics of weight one this is the sign-flip test of the mean difference.

    Args:
        first: (P, C) sums of one entry, C = 2 or 4.
        second: (P, C) of the other, on the same photos.
        patterns: (F, P) of :func:`swap_patterns`.

    Returns:
        Fraction of the patterns whose absolute difference is at least the observed one.
    """
    moved = patterns @ (second - first)  # (F, C): what swapping carries over
    swapped = ratio(second.sum(axis=0) - moved) - ratio(first.sum(axis=0) + moved)
    observed = abs(float(ratio(second.sum(axis=0)) - ratio(first.sum(axis=0))))
    # Sums in another order differ in their last bits; equal differences must count as equal.
    return float(np.mean(np.abs(swapped) >= observed - 1e-12 * max(1.0, observed)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values that hold for the whole family at once."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted.tolist()
