"""Baseline: spectral matting, its components grouped without any features."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from sss.evaluation.methods.base import LAYER_COUNTS, Case, Segmentation
from sss.image.resize import resize_linearly, size_within
from sss.spectral.laplacian import matting_laplacian
from sss.spectral.refinement import valid_alpha
from sss.spectral.spectral_matting import (
    COMPONENTS,
    EIGENVECTORS,
    spectral_matting_components,
)

LEAST_AREA = 1e-3
"""Fraction of the photo that a component counts for at least when affinities are averaged."""


@dataclass(frozen=True)
class SpectralMatting:
    """Matting components (Levin, Rav-Acha, Lischinski, TPAMI 2008), merged by matting affinity.

    The components are found on a coarse grid and enlarged linearly. What belongs together
    is left open by the paper, whose components are grouped by a user or by a search for one
    balanced object; here pairs merge as :func:`merge_order` says. On 9 photos of BSDS500 train that
    gave a covering of 0.55 / 0.60 (ODS / OIS), linkage by mean Lab colour 0.52 / 0.60, k-means of
    mean colour 0.47 / 0.55, position added to either less.

    Attributes:
        scales: Numbers of layers; fewer come out of photos with fewer components.
        components: Components the search starts from; some die out.
        eigenvectors: Of the matting Laplacian.
        grid_pixels: Size of the grid.
    """

    name: ClassVar[str] = "spectral-matting"
    title: ClassVar[str] = "spectral matting"
    needs: ClassVar[Literal["photo"]] = "photo"
    scale_name: ClassVar[str] = "layers"
    scales: tuple[int, ...] = LAYER_COUNTS
    components: int = COMPONENTS
    eigenvectors: int = EIGENVECTORS
    grid_pixels: int = 25_600

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """One segmentation for each number of layers; labels are the strongest layer."""
        started = time.perf_counter()
        size = case.photo.shape[:2]
        photo = resize_linearly(case.photo.astype(np.float64), size_within(size, self.grid_pixels))
        with threadpool_limits(1):
            found = spectral_matting_components(
                photo, self.components, self.eigenvectors, seed=case.seed
            )
        merges = merge_order(found, matting_energies(found, photo))
        large = resize_linearly(found, size)
        shared = time.perf_counter() - started
        for count in self.scales:
            started = time.perf_counter()
            alpha = valid_alpha(merged_layers(large, merges, count))
            alpha = alpha[..., np.argsort(-alpha.sum(axis=(0, 1), dtype=np.float64), kind="stable")]
            labels = np.unique(alpha.argmax(axis=2), return_inverse=True)[1].reshape(size)
            yield Segmentation(labels, alpha, shared + time.perf_counter() - started)


def matting_energies(components: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Energies ``αᵢᵀ L αⱼ`` under the matting Laplacian of ``photo``.

    Args:
        components: (H, W, C).
        photo: (H, W, 3) float64 in [0, 1].

    Returns:
        (C, C), symmetric. Rows sum to zero where components sum to one.
    """
    flat = components.reshape(-1, components.shape[2])
    return flat.T @ (matting_laplacian(photo) @ flat)


def merge_order(components: np.ndarray, energies: np.ndarray) -> list[tuple[int, int]]:
    """Merge the most alike two components again and again until one is left.

    The affinity of i and j is ``−αᵢᵀ L αⱼ·(1/aᵢ + 1/aⱼ)`` with areas a: what an average cut between
    the two would cost. Energies and areas of merged components add up. Components that are nowhere
    the strongest go first: their affinities are nearly zero, and each would be left as a layer of
    nothing.

    Args:
        components: (H, W, C).
        energies: (C, C) of :func:`matting_energies`.

    Returns:
        C − 1 pairs ``(into, merged)``: the group led by ``merged`` joins that led by ``into``.
    """
    count = components.shape[2]
    strongest = components.argmax(axis=2).ravel()
    empty = np.bincount(strongest, minlength=count) == 0
    area = np.clip(components, 0, 1).sum(axis=(0, 1)) + LEAST_AREA * strongest.size
    between = -energies.astype(np.float64)
    alive = np.ones(count, bool)
    merges = []
    for _ in range(count - 1):
        affinity = between * (1 / area[:, None] + 1 / area)
        affinity[~alive] = affinity[:, ~alive] = -np.inf
        np.fill_diagonal(affinity, -np.inf)
        if empty.any():
            affinity[~empty] = -np.inf
        into, merged = sorted(divmod(int(affinity.argmax()), count))
        between[into] += between[merged]
        between[:, into] += between[:, merged]
        area[into] += area[merged]
        alive[merged] = False
        empty[into] &= empty[merged]
        empty[merged] = False
        merges.append((into, merged))
    return merges


def merged_layers(components: np.ndarray, merges: list[tuple[int, int]], count: int) -> np.ndarray:
    """Add up components until ``count`` layers are left, or all if there are fewer.

    Args:
        components: (H, W, C).
        merges: Of :func:`merge_order`.
        count: Layers wanted, 1 or more.

    Returns:
        (H, W, K), K the smaller of C and ``count``.
    """
    groups = np.arange(components.shape[2])
    for into, merged in merges[: max(0, len(groups) - count)]:
        groups[groups == merged] = into
    groups = np.unique(groups, return_inverse=True)[1]
    return components @ np.eye(groups.max() + 1)[groups]  # (H, W, C)·(C, K)
