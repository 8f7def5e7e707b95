"""Baselines that cut a graph: Felzenszwalb–Huttenlocher, normalised cuts of superpixels.

P. Felzenszwalb, D. Huttenlocher, *Efficient Graph-Based Image Segmentation*, IJCV 59(2), 2004.
J. Shi, J. Malik, *Normalized Cuts and Image Segmentation*, IEEE TPAMI 22(8), 2000.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from skimage.segmentation import felzenszwalb
from threadpoolctl import threadpool_limits

from sss.evaluation.methods.base import Case, Segmentation
from sss.evaluation.methods.clusters import contiguous, lab_colour
from sss.spectral.superpixels import SuperpixelGraph, compute_superpixels

LEAST_WEIGHT = 1e-6
"""Of neighbours whose colours have nothing in common. A graph in many unconnected pieces has as
many equal eigenvalues, and its second eigenvector is arbitrary."""


@dataclass(frozen=True)
class Felzenszwalb:
    """Felzenszwalb and Huttenlocher's regions, by scikit-image.

    ``sigma`` and ``min_size`` were tuned on 29 photos of BSDS500 train. The published figures
    (covering 0.52 ODS, 0.57 OIS) are those of ``min_size=20``; 1000 gives better ones.

    Attributes:
        scales: The method's k: how different regions must be to stay apart; higher = larger.
        sigma: Standard deviation in pixels of the Gaussian that the photo is smoothed with first.
        min_size: Smaller regions are merged with a neighbour.
    """

    name: ClassVar[str] = "fh"
    title: ClassVar[str] = "Felzenszwalb–Huttenlocher"
    needs: ClassVar[Literal["photo"]] = "photo"
    scale_name: ClassVar[str] = "k"
    scales: tuple[float, ...] = (50, 100, 150, 200, 300, 450, 700, 1000, 1500, 2500, 5000)
    sigma: float = 0.8
    min_size: int = 1000

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """One segmentation for each k."""
        for scale in self.scales:
            started = time.perf_counter()
            labels = contiguous(felzenszwalb(case.photo, scale, self.sigma, self.min_size))
            yield Segmentation(labels, None, time.perf_counter() - started)


@dataclass(frozen=True)
class NormalisedCuts:
    """SLIC superpixels, recursively cut in two where the normalised cut is cheapest.

    The graph is scikit-image's ``rag_mean_color(mode="similarity")``, on Lab: adjacent superpixels
    with weight exp(−d²/σ) of their mean colours, and a loop of weight 1 on each. The cuts are those
    of ``cut_normalized``, whose threshold says when to stop; here the cheapest cut of all regions
    is made next until there are as many as wanted: what a threshold does differs from photo to
    photo. On 9 photos of BSDS500 train numbers of regions gave a covering of 0.54 / 0.62 (ODS /
    OIS), a series of thresholds 0.52 / 0.60 at best. σ was tuned there, 10 … 1000.

    Attributes:
        scales: Numbers of regions, rising; fewer come out where nothing is left to cut.
        superpixels: Number asked of SLIC.
        sigma: Of the weights, in squared units of Lab.
        thresholds: Places tried to cut an eigenvector at.
    """

    name: ClassVar[str] = "slic-ncut"
    title: ClassVar[str] = "SLIC + normalised cuts"
    needs: ClassVar[Literal["photo"]] = "photo"
    scale_name: ClassVar[str] = "regions"
    scales: tuple[int, ...] = (2, 3, 4, 5, 6, 8, 10, 14, 20, 28, 40)
    superpixels: int = 600
    sigma: float = 30.0
    thresholds: int = 10

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """One segmentation for each number of regions."""
        started = time.perf_counter()
        graph = compute_superpixels(case.photo, self.superpixels)
        weights = similarity_graph(graph, lab_colour(case.photo), self.sigma)
        cuts = CutSequence(weights, self.thresholds)
        spent = time.perf_counter() - started
        for count in self.scales:
            started = time.perf_counter()
            labels = contiguous(cuts.regions(count)[graph.labels])
            # Later scales go on from the cuts of the earlier ones.
            spent += time.perf_counter() - started
            yield Segmentation(labels, None, spent)


def similarity_graph(graph: SuperpixelGraph, colour: np.ndarray, sigma: float) -> np.ndarray:
    """Weights between superpixels, exp(−d²/σ) of their mean colours if they touch.

    Args:
        graph: S superpixels.
        colour: (H, W, 3).
        sigma: In squared units of ``colour``.

    Returns:
        (S, S) symmetric, in [0, 1], with 1 on the diagonal; ``LEAST_WEIGHT`` or more between
        neighbours.
    """
    means = graph.means(colour)
    first, second = graph.neighbours.T
    weights = np.eye(len(means))
    distance = np.square(means[first] - means[second]).sum(axis=1)
    weight = np.maximum(np.exp(-distance / sigma), LEAST_WEIGHT)
    weights[first, second] = weights[second, first] = weight
    return weights


class CutSequence:
    """Cuts a graph in two, then one of the parts, and so on: the cheapest normalised cut first.

    Args:
        weights: (S, S) symmetric, not negative, positive on the diagonal.
        thresholds: Places tried to cut an eigenvector at.
    """

    def __init__(self, weights: np.ndarray, thresholds: int) -> None:
        self._weights = weights
        self._thresholds = thresholds
        self._parts = [self._cut(np.arange(len(weights)))]

    def regions(self, count: int) -> np.ndarray:
        """Region of each node after cutting into ``count`` or as many as possible, (S,).

        Regions that were cut stay so: ask for rising counts.
        """
        while len(self._parts) < count:
            cheapest = min(range(len(self._parts)), key=lambda part: self._parts[part][0])
            cost, inside, outside = self._parts[cheapest]
            if not np.isfinite(cost):
                break
            self._parts[cheapest] = self._cut(inside)
            self._parts.append(self._cut(outside))
        regions = np.empty(len(self._weights), np.int64)
        for region, (_, inside, outside) in enumerate(self._parts):
            regions[inside] = regions[outside] = region
        return regions

    def _cut(self, nodes: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Cost of the best cut of a part and the nodes of its two sides; infinite if none."""
        cost, side = best_normalised_cut(self._weights[np.ix_(nodes, nodes)], self._thresholds)
        return cost, nodes[side], nodes[~side]


def best_normalised_cut(weights: np.ndarray, thresholds: int) -> tuple[float, np.ndarray]:
    """Cut the second eigenvector of the normalised Laplacian where it costs least.

    Shi and Malik 2000, Sec. 3; like scikit-image's ``cut_normalized``, graphs of one or two nodes
    are left whole.

    Args:
        weights: (S, S) symmetric, not negative, with positive row sums.
        thresholds: Places tried, evenly spaced from the eigenvector's lowest to its highest entry.

    Returns:
        Ncut in [0, 2] and one side's nodes, (S,) bool; infinity and all nodes if there is no cut.
    """
    size = len(weights)
    whole = np.ones(size, bool)
    if size <= 2:
        return np.inf, whole
    degree = weights.sum(axis=1)
    scaled = weights / np.sqrt(np.outer(degree, degree))
    # The largest of the affinity are the smallest of the Laplacian. All eigenvectors, as the solver
    # for a few of them can come back without any when many eigenvalues nearly coincide. One
    # thread: the sums must not depend on how many there are.
    with threadpool_limits(1):
        vector = np.linalg.eigh(scaled)[1][:, -2]
    low, high = vector.min(), vector.max()
    if np.isclose(low, high):
        return np.inf, whole
    sides = vector > np.linspace(low, high, thresholds, endpoint=False)[:, None]  # (T, S)
    within = np.einsum("ts,ts->t", sides @ weights, sides)
    volume = sides @ degree
    cut = volume - within
    cost = cut / volume + cut / (degree.sum() - volume)
    best = int(cost.argmin())
    return float(cost[best]), sides[best]
