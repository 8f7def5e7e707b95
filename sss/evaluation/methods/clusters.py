"""Baselines that cluster pixels: k-means of colour or embedding, mean shift.

D. Comaniciu, P. Meer, *Mean Shift: A Robust Approach Toward Feature Space Analysis*, IEEE TPAMI
24(5), 2002.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from sss.evaluation.methods.base import LAYER_COUNTS, Case, Segmentation
from sss.spectral.clustering import best_kmeans
from sss.spectral.superpixels import adjacent_pairs


@dataclass(frozen=True)
class LabKMeans:
    """k-means of Lab colour and position.

    The clusters are not split into connected parts: like a layer, one may lie in several places.
    Weights of 0, 10, 20, 25 and blurs of 0, 2, 4 were tried on 17 photos of BSDS500 train: covering
    0.47 / 0.53 (ODS / OIS) for all with a blur, 0.455 / 0.51 without.

    Attributes:
        scales: Numbers of clusters; fewer come out of a photo with fewer different colours.
        position_weight: Length of the photo's diagonal in units of Lab colour.
        blur: Standard deviation in pixels of the Gaussian that the photo is smoothed with first.
        sample: Pixels, drawn at random, that the centres are fitted to; then every pixel goes to
            the nearest centre.
        restarts: Random starts, of which the best is kept.
    """

    name: ClassVar[str] = "kmeans-lab"
    title: ClassVar[str] = "k-means of Lab colour and position"
    needs: ClassVar[Literal["photo"]] = "photo"
    scale_name: ClassVar[str] = "clusters"
    scales: tuple[int, ...] = LAYER_COUNTS
    position_weight: float = 10.0
    blur: float = 2.0
    sample: int = 10_000
    restarts: int = 3

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """One segmentation for each number of clusters."""
        started = time.perf_counter()
        points = lab_colour(case.photo, self.blur)
        points = np.dstack([points, self.position_weight * positions(case.photo.shape[:2])])
        shared = time.perf_counter() - started
        yield from _kmeans_series(
            points, self.scales, self.sample, self.restarts, case.seed, shared
        )


@dataclass(frozen=True)
class FeatureKMeans:
    """k-means of the network's embedding, as it comes out of it.

    The clusters are not split into connected parts: like a layer, one may lie in several places.
    Position added to the embedding, half or all of their spread over the diagonal, lowered the
    covering of 9 photos of BSDS500 train from 0.671 to 0.663 and 0.659 (OIS; ODS the same), so it
    is left out.

    Attributes:
        scales: Numbers of clusters; fewer come out of a photo with fewer different values.
        sample: Pixels, drawn at random, that the centres are fitted to; then every pixel goes to
            the nearest centre.
        restarts: Random starts, of which the best is kept.
    """

    name: ClassVar[str] = "kmeans"
    title: ClassVar[str] = "hard k-means of the features"
    needs: ClassVar[Literal["embedding"]] = "embedding"
    scale_name: ClassVar[str] = "clusters"
    scales: tuple[int, ...] = LAYER_COUNTS
    sample: int = 10_000
    restarts: int = 3

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """One segmentation for each number of clusters."""
        yield from _kmeans_series(
            case.pixel_embedding, self.scales, self.sample, self.restarts, case.seed, shared=0.0
        )


@dataclass(frozen=True)
class MeanShift:
    """Mean shift of colour and position, then regions of like modes (Comaniciu and Meer 2002).

    OpenCV filters the photo (Lab, rounded to whole units); neighbours whose filtered colours are
    less than ``link`` bandwidths apart join, transitively; small regions go to their neighbour of
    the nearest colour. All but ``scales`` was tuned on 9 photos of BSDS500 train: reach 8 or 16,
    link 0.35 … 1, smallest region 50 … 2000, Lab or OpenCV's 8-bit Lab with its stretched L.

    Attributes:
        scales: Bandwidths: radius of the colour window in units of Lab.
        reach: Radius of the spatial window in pixels.
        levels: Of the image pyramid, above the photo itself; saves time.
        link: See above.
        min_size: Fewest pixels of a region.
    """

    name: ClassVar[str] = "mean-shift"
    title: ClassVar[str] = "mean shift of Lab colour and position"
    needs: ClassVar[Literal["photo"]] = "photo"
    scale_name: ClassVar[str] = "bandwidth"
    scales: tuple[float, ...] = (3, 4, 5, 6, 7, 8, 9, 11, 14, 18, 24)
    reach: float = 8.0
    levels: int = 1
    link: float = 0.5
    min_size: int = 1000

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """One segmentation for each bandwidth."""
        started = time.perf_counter()
        shifted = lab_colour(case.photo) + np.array([0, 128, 128])  # a, b: 20 … 227
        lab = np.clip(np.rint(shifted), 0, 255).astype(np.uint8)
        shared = time.perf_counter() - started
        for bandwidth in self.scales:
            started = time.perf_counter()
            modes = cv2.pyrMeanShiftFiltering(lab, self.reach, bandwidth, maxLevel=self.levels)
            regions = join_alike(modes, self.link * bandwidth)
            labels = absorb_small(regions, modes, self.min_size)
            yield Segmentation(labels, None, shared + time.perf_counter() - started)


def lab_colour(photo: np.ndarray, blur: float = 0.0) -> np.ndarray:
    """CIE Lab of a photo.

    Args:
        photo: (H, W, 3) float in [0, 1], sRGB.
        blur: Standard deviation in pixels of a Gaussian applied first; 0 for none.

    Returns:
        (H, W, 3) float32: L in 0 … 100, a and b about −127 … 127. OpenCV's tables are up to 0.3
        off.
    """
    smooth: np.ndarray = photo.astype(np.float32)
    if blur:
        smooth = cv2.GaussianBlur(smooth, (0, 0), blur, borderType=cv2.BORDER_REFLECT)
    return cv2.cvtColor(smooth, cv2.COLOR_RGB2Lab)


def positions(size: tuple[int, ...]) -> np.ndarray:
    """(H, W, 2) float32: row and column of each pixel over the photo's diagonal."""
    grid = np.indices(size).transpose(1, 2, 0)
    return (grid / np.hypot(size[0], size[1])).astype(np.float32)


def _kmeans_series(
    points: np.ndarray,
    counts: tuple[int, ...],
    sample: int,
    restarts: int,
    seed: int,
    shared: float,
) -> Iterator[Segmentation]:
    """Cluster ``points`` (H, W, D) into each of ``counts``; ``shared`` seconds came before."""
    started = time.perf_counter()
    size = points.shape[:2]
    flat = np.ascontiguousarray(points.reshape(-1, points.shape[2]), dtype=np.float32)
    chosen = flat
    if sample < len(flat):
        chosen = flat[np.random.default_rng(seed).choice(len(flat), sample, replace=False)]
    shared += time.perf_counter() - started
    for count in counts:
        started = time.perf_counter()
        labels = _kmeans(flat, chosen, count, restarts, seed)
        yield Segmentation(labels.reshape(size), None, shared + time.perf_counter() - started)


def _kmeans(
    points: np.ndarray, sample: np.ndarray, count: int, restarts: int, seed: int
) -> np.ndarray:
    """Cluster of each of ``points`` (N, D), centres fitted to ``sample``; (N,), contiguous."""
    model = best_kmeans(sample, count, restarts, seed)
    with threadpool_limits(1):
        labels = model.predict(points)
    return np.unique(labels, return_inverse=True)[1]


def contiguous(labels: np.ndarray) -> np.ndarray:
    """Rename labels to 0 … R−1, keeping their order; same shape."""
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def join_alike(colour: np.ndarray, distance: float) -> np.ndarray:
    """Connected regions of pixels whose colour changes little from each to the next.

    Args:
        colour: (H, W, C).
        distance: Neighbours by side this far apart or less are joined.

    Returns:
        (H, W) integers 0 … R−1.
    """
    colour = colour.astype(np.float32)
    pixels = np.arange(colour[..., 0].size).reshape(colour.shape[:2])
    pairs = []
    for before, after in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
    ):
        alike = np.square(colour[before] - colour[after]).sum(axis=2) <= distance**2
        pairs.append(np.stack([pixels[before][alike], pixels[after][alike]]))
    return _joined(np.concatenate(pairs, axis=1), pixels.size).reshape(pixels.shape)


def absorb_small(labels: np.ndarray, colour: np.ndarray, min_size: int) -> np.ndarray:
    """Merge small regions with the neighbour of the nearest mean colour until none is left.

    Args:
        labels: (H, W) integers 0 … R−1.
        colour: (H, W, C).
        min_size: Regions of fewer pixels are merged; the last one stays whatever its size.

    Returns:
        (H, W) integers 0 … R'−1. Regions may hang together by a corner.
    """
    while True:
        area = np.bincount(labels.ravel())
        if len(area) == 1 or area.min() >= min_size:
            return labels
        channels = colour.reshape(labels.size, -1).T
        sums = np.stack([np.bincount(labels.ravel(), channel) for channel in channels], axis=1)
        means = sums / area[:, None]
        pairs = adjacent_pairs(labels)
        pairs = np.concatenate([pairs, pairs[:, ::-1]])  # (2P, 2): region, its neighbour
        apart = np.linalg.norm(means[pairs[:, 0]] - means[pairs[:, 1]], axis=1)
        pairs = pairs[np.lexsort((apart, pairs[:, 0]))]
        nearest = pairs[np.unique(pairs[:, 0], return_index=True)[1]]  # (R, 2)
        small = area[nearest[:, 0]] < min_size
        labels = _joined(nearest[small].T, len(area))[labels]


def _joined(pairs: np.ndarray, count: int) -> np.ndarray:
    """Group of each of ``count`` nodes when ``pairs`` (2, P) are joined, (count,) from 0."""
    links = coo_array((np.ones(pairs.shape[1], bool), tuple(pairs)), shape=(count, count))
    return connected_components(links, directed=False)[1]
