"""The union of layers that comes closest to a true matte.

A decomposition names no layer as the object, so each true matte is compared with the set of layers
whose summed alpha has the least squared error: what a user who picks layers could get at best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sss.errors import InputError

MAX_EXHAUSTIVE = 16
"""Up to so many soft layers all 2^K unions are tried; with more, a local search finds one."""

_CHUNK = 1 << 16  # pixels that are converted to float64 at once


def best_unions(
    labels: np.ndarray, alpha: np.ndarray | None, truths: Sequence[np.ndarray]
) -> Iterator[np.ndarray]:
    """For each true matte the union of layers with the least mean squared error to it.

    The union may be empty. For hard regions the best one is known in closed form: the error is a
    sum over the regions, so each belongs to it if, and only if, its mean true alpha is above 0.5.
    For up to ``MAX_EXHAUSTIVE`` soft layers all unions are compared, by the layers' Gram matrix:
    ‖A s − m‖² = sᵀ(AᵀA)s − 2 sᵀ(Aᵀm) + ‖m‖² for layers A (N, K), subset s and truth m. For more
    layers the best is approached: from the closed form for hard regions, single layers and pairs
    are exchanged as long as that lowers the error.

    Args:
        labels: (H, W) integers from 0: the regions; looked at only where there are no alphas.
        alpha: (H, W, K) in [0, 1]: the layers; None for hard regions.
        truths: Alphas (H, W) in [0, 1].

    Yields:
        Alphas (H, W) float32 in [0, 1], one per truth.

    Raises:
        InputError: The sizes differ.
    """
    for truth in truths:
        if truth.shape != labels.shape:
            height, width = labels.shape
            raise InputError(
                f"a segmentation has {height} × {width} pixels, but the true matte "
                f"{truth.shape[0]} × {truth.shape[1]}; segment the photo in its own size"
            )
    if alpha is None:
        for truth in truths:
            yield _union_of_regions(labels, truth)
        return
    gram, overlaps, areas = _products(alpha, truths)
    if len(gram) <= MAX_EXHAUSTIVE:
        subsets = best_subsets(gram, overlaps)
    else:
        subsets = np.array(
            [search_subset(gram, overlap, 2.0 * overlap > areas) for overlap in overlaps.T]
        )
    for subset in subsets:  # (K,) bool
        union = alpha[..., subset].sum(axis=-1, dtype=np.float32)
        yield np.clip(union, 0.0, 1.0)


def best_subsets(gram: np.ndarray, overlaps: np.ndarray) -> np.ndarray:
    """The subsets s (M, K) bool that minimise sᵀGs − 2 sᵀb, by trying all.

    Args:
        gram: G (K, K), products of the layers with each other.
        overlaps: (K, M), products b of the layers with each of M truths.
    """
    count = len(gram)
    members = (np.arange(1 << count)[:, None] >> np.arange(count)) & 1  # (2^K, K)
    members = members.astype(np.float64)
    squares = ((members @ gram) * members).sum(axis=1)  # (2^K,)
    costs = squares[:, None] - 2.0 * (members @ overlaps)  # (2^K, M)
    chosen: np.ndarray = members[np.argmin(costs, axis=0)] > 0
    return chosen


def search_subset(gram: np.ndarray, overlap: np.ndarray, start: np.ndarray) -> np.ndarray:
    """A subset s (K,) bool that no change of one or two layers improves in sᵀGs − 2 sᵀb.

    Args:
        gram: G (K, K).
        overlap: b (K,).
        start: (K,) bool, where the search begins.
    """
    subset = start.copy()
    tolerance = 1e-9 * max(float(np.trace(gram)), 1.0)  # else rounding could go in circles
    while True:
        sign = np.where(subset, -1.0, 1.0)  # of adding (1) or removing (-1) each layer
        single = sign * 2.0 * (gram @ subset - overlap) + np.diag(gram)  # change of the cost
        pairs = single[:, None] + single + 2.0 * np.outer(sign, sign) * gram  # of changing both
        np.fill_diagonal(pairs, single)
        first, second = np.unravel_index(np.argmin(pairs), pairs.shape)
        if pairs[first, second] >= -tolerance:
            return subset
        for layer in {int(first), int(second)}:
            subset[layer] = not subset[layer]


def _products(
    alpha: np.ndarray, truths: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Products of the layers with each other (K, K) and with the truths (K, M); areas (K,)."""
    layers = alpha.reshape(-1, alpha.shape[-1])  # (N, K)
    mattes = np.stack([truth.ravel() for truth in truths], axis=1)  # (N, M)
    count = layers.shape[1]
    gram, areas = np.zeros((count, count)), np.zeros(count)
    overlaps = np.zeros((count, mattes.shape[1]))
    for first in range(0, len(layers), _CHUNK):
        part = layers[first : first + _CHUNK].astype(np.float64)
        gram += part.T @ part
        overlaps += part.T @ mattes[first : first + _CHUNK].astype(np.float64)
        areas += part.sum(axis=0)
    return gram, overlaps, areas


def _union_of_regions(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    regions = labels.ravel()
    covered = np.bincount(regions, weights=truth.ravel())
    belongs = 2.0 * covered > np.bincount(regions)
    union: np.ndarray = belongs[labels].astype(np.float32)
    return union
