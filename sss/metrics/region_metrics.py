"""Do the regions agree with people's? Covering, Rand index, variation of information.

P. Arbeláez, M. Maire, C. Fowlkes, J. Malik, *Contour Detection and Hierarchical Image
Segmentation*, IEEE TPAMI 33(5), 2011, Sec. 2.3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array, csr_array

from sss.errors import InputError


class Overlaps(NamedTuple):
    """The contingency table of two label maps, its zeros left out.

    Attributes:
        counts: (E,) pixels that a machine's region and a true region share, each above 0.
        machine: (E,) the machine's region.
        truth: (E,) the true region.
        machine_area: (R,) pixels per machine region, 0 for labels that do not occur.
        truth_area: (T,) pixels per true region, likewise.
    """

    counts: np.ndarray
    machine: np.ndarray
    truth: np.ndarray
    machine_area: np.ndarray
    truth_area: np.ndarray


class RegionScores(NamedTuple):
    """Means over the annotators.

    Attributes:
        covering: Of the truth by the machine's regions, in [0, 1].
        pri: Probabilistic Rand index, in [0, 1].
        vi: Variation of information in bits, from 0.
    """

    covering: float
    pri: float
    vi: float


def region_scores(labels: np.ndarray, annotators: np.ndarray) -> RegionScores:
    """Compare a label map with those of several people.

    Args:
        labels: (H, W) integers from 0: the machine's regions.
        annotators: (A, H, W) integers, negative = unlabelled; such pixels are left out.

    Returns:
        Means over the annotators that labelled anything; NaN if none did.

    Raises:
        InputError: The sizes differ, or a machine's label is negative.
    """
    tables = [overlaps(labels, truth) for truth in annotators if (truth >= 0).any()]
    measures = (covering, rand_index, variation_of_information)
    return RegionScores(
        *(
            float(np.mean([measure(table) for table in tables])) if tables else float("nan")
            for measure in measures
        )
    )


def overlaps(labels: np.ndarray, truth: np.ndarray) -> Overlaps:
    """Count the pixels that each machine region shares with each true one.

    Args:
        labels: Integers from 0, of any shape. Where the largest is beyond the number of pixels,
            they are numbered anew.
        truth: The same for the truth; negative = unlabelled, left out.

    Raises:
        InputError: The shapes differ, or a machine's label is negative.
    """
    check_size(labels.shape, truth.shape)
    if labels.min() < 0:
        raise InputError(f"a machine's label is {labels.min()}; number the regions from 0")
    known = truth >= 0
    machine, true = _from_zero(labels[known]), _from_zero(truth[known])
    # Sparse: of tens of thousands of regions on either side the table has billions of places.
    shape = int(machine.max(initial=-1)) + 1, int(true.max(initial=-1)) + 1
    table = coo_array((np.ones(len(true), np.int64), (machine, true)), shape).tocsr()
    rows = np.repeat(np.arange(shape[0]), np.diff(table.indptr))
    return Overlaps(table.data, rows, table.indices, np.bincount(machine), np.bincount(true))


def _from_zero(labels: np.ndarray) -> np.ndarray:
    """Labels (N,) as int64 that can count as indices: below N, or as they are."""
    if labels.max(initial=0) < labels.size:
        return labels.astype(np.int64)
    return np.unique(labels, return_inverse=True)[1]


def check_size(machine: tuple[int, ...], truth: tuple[int, ...]) -> None:
    """Refuse a segmentation of another size than the truth's.

    Raises:
        InputError: The two differ.
    """
    if machine != truth:
        raise InputError(f"the segmentation is {machine} but the truth {truth}; resize one of them")


def covering(table: Overlaps) -> float:
    """Best IoU for each true region, weighted by its area (Arbeláez et al. 2011, Sec. 2.3.3)."""
    union = table.machine_area[table.machine] + table.truth_area[table.truth] - table.counts
    best = np.zeros(len(table.truth_area))
    np.maximum.at(best, table.truth, table.counts / union)
    return float(best @ table.truth_area / table.truth_area.sum())


def rand_index(table: Overlaps) -> float:
    """Fraction of the pixel pairs on which both agree: same region, or different ones.

    Pairs are of two different pixels (Rand, JASA 66, 1971); of a single pixel it is 1. The mean
    over annotators is the probabilistic Rand index of Unnikrishnan, Pantofaru and Hebert, IEEE
    TPAMI 29(6), 2007.
    """
    both, machine, truth = (
        float(np.square(counts.astype(np.float64)).sum())
        for counts in (table.counts, table.machine_area, table.truth_area)
    )
    pixels = float(table.counts.sum())
    if pixels == 1:
        return 1.0
    # Ordered pairs, each pixel with itself included, on which the two disagree.
    return 1 - (machine + truth - 2 * both) / (pixels * (pixels - 1))


def variation_of_information(table: Overlaps) -> float:
    """H(machine | truth) + H(truth | machine) in bits (Meilă, J. Multivariate Anal. 98, 2007)."""
    counts = table.counts
    ratio = counts / table.machine_area[table.machine] * (counts / table.truth_area[table.truth])
    return max(0.0, float(-(counts * np.log2(ratio)).sum() / counts.sum()))


def soft_covering(alpha: np.ndarray, annotators: np.ndarray) -> float:
    """Covering by soft layers: the soft IoU in the place of the IoU.

    Args:
        alpha: (H, W, K) in [0, 1].
        annotators: (A, H, W) integers, negative = unlabelled; such pixels are left out.

    Returns:
        Mean over the annotators that labelled anything; NaN if none did. Equals the covering where
        all alphas are 0 or 1.

    Raises:
        InputError: The sizes differ.
    """
    check_size(alpha.shape[:2], annotators.shape[1:])
    flat = alpha.reshape(-1, alpha.shape[-1]).astype(np.float64)  # (H·W, K)
    scores = []
    for truth in annotators.reshape(len(annotators), len(flat)):
        known = truth >= 0
        labels = _from_zero(truth[known])
        if not labels.size:
            continue
        area = np.bincount(labels)  # (T,)
        masks = csr_array(
            (np.ones(labels.size), (labels, np.arange(labels.size))), (len(area), labels.size)
        )
        best = soft_iou(masks, flat if known.all() else flat[known]).max(axis=1)
        scores.append(float(best @ area / area.sum()))
    return float(np.mean(scores)) if scores else float("nan")


def soft_iou(masks: csr_array, alpha: np.ndarray) -> np.ndarray:
    """Soft IoU Σ min(a, t) / Σ max(a, t) of each mask t with each layer a.

    Args:
        masks: (T, N) of zeros and ones.
        alpha: (N, K) float64 in [0, 1].

    Returns:
        (T, K) in [0, 1]; 0 where mask and layer are both empty.
    """
    # t is 0 or 1, so min(a, t) is a inside the mask, and min + max = a + t.
    intersection = masks @ alpha
    union = alpha.sum(axis=0) + masks.sum(axis=1)[:, None] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
