"""Salient objects without learning: what neither touches the photo's border nor looks like it.

W. Zhu, S. Liang, Y. Wei, J. Sun, *Saliency Optimization from Robust Background Detection*, CVPR
2014. Small steps of colour, which would add up over an even ground, count as none, as in Y. Wei,
F. Wen, W. Zhu, J. Sun, *Geodesic Saliency Using Background Priors*, ECCV 2012, Sec. 3.2.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from skimage.color import rgb2lab
from skimage.segmentation import slic
from threadpoolctl import threadpool_limits

from sss.evaluation.methods.base import Case, OneResult, Segmentation, foreground_result
from sss.spectral.superpixels import SuperpixelGraph, build_graph

_ZERO_LENGTH = 1e-6
"""In place of edges of length zero, which a sparse graph would take for none."""


@dataclass(frozen=True)
class RobustBackground(OneResult):
    """Boundary connectivity, background-weighted contrast and their optimisation (Sec. 3 to 5).

    Attributes:
        pixels_each: Of a superpixel, about: 200 superpixels of a photo of 400×300, as in Sec. 3.2.
        colour_sigma: σ of colours in Lab units (Sec. 3.2).
        connectivity_sigma: σ of the boundary connectivity (Sec. 4).
        distance_sigma: σ of distances, in fractions of the photo's longer side (Sec. 4).
        smoothness: μ, what any two neighbours are joined by (Sec. 5).
    """

    name: ClassVar[str] = "robust-background"
    title: ClassVar[str] = "robust background saliency (Zhu et al. 2014)"
    needs: ClassVar[Literal["photo"]] = "photo"
    pixels_each: int = 600
    colour_sigma: float = 10.0
    connectivity_sigma: float = 1.0
    distance_sigma: float = 0.25
    smoothness: float = 0.1

    def segment(self, case: Case) -> Iterator[Segmentation]:
        """The one result: the salience as an alpha, stretched to [0, 1]."""
        started = time.perf_counter()
        with threadpool_limits(1):
            salience = self.salience(case.photo)
        yield foreground_result(salience, time.perf_counter() - started)

    def salience(self, photo: np.ndarray) -> np.ndarray:
        """(H, W) in [0, 1] of a photo (H, W, 3) in [0, 1]."""
        count = max(2, photo.shape[0] * photo.shape[1] // self.pixels_each)
        labels = slic(photo.astype(np.float64), n_segments=count, start_label=0)
        graph = build_graph(np.unique(labels, return_inverse=True)[1].reshape(labels.shape))
        colours = graph.means(rgb2lab(photo))
        apart = np.linalg.norm(colours[:, None] - colours, axis=2)  # (S, S)
        border = border_superpixels(graph.labels)
        background = self.background(apart, graph.neighbours, border)
        found = self.optimised(apart, graph, background)
        low, high = float(found.min()), float(found.max())
        values: np.ndarray = (found - low) / max(high - low, 1e-9)
        return values[graph.labels]

    def background(
        self, apart: np.ndarray, neighbours: np.ndarray, border: np.ndarray
    ) -> np.ndarray:
        """(S,) w_bg in [0, 1): how likely each superpixel is background (Eq. 1 to 4 and Sec. 4).

        Args:
            apart: (S, S) distances of the mean colours.
            neighbours: (P, 2) adjacent superpixels.
            border: (S,) bool, which touch the photo's border; these count as neighbours.
        """
        at_border = np.flatnonzero(border)
        first, second = np.triu_indices(len(at_border), 1)
        pairs = np.concatenate([neighbours, np.stack([at_border[first], at_border[second]], 1)])
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        steps = apart[pairs[:, 0], pairs[:, 1]]
        lengths = np.maximum(steps - usual_step(apart, neighbours), _ZERO_LENGTH)
        edges = coo_array((lengths, tuple(pairs.T)), apart.shape)
        geodesic = dijkstra(edges.tocsr(), directed=False)
        spread = np.exp(-(geodesic**2) / (2 * self.colour_sigma**2))
        connectivity = spread[:, border].sum(axis=1) / np.sqrt(spread.sum(axis=1))
        weights: np.ndarray = 1 - np.exp(-(connectivity**2) / (2 * self.connectivity_sigma**2))
        return weights

    def optimised(
        self, apart: np.ndarray, graph: SuperpixelGraph, background: np.ndarray
    ) -> np.ndarray:
        """(S,) salience of the least cost (Eq. 9), from the weighted contrast (Eq. 6)."""
        places = graph.centroids / max(graph.labels.shape)
        distances = np.linalg.norm(places[:, None] - places, axis=2)
        near = np.exp(-(distances**2) / (2 * self.distance_sigma**2))
        contrast = (apart * near) @ background
        least, most = float(contrast.min()), float(contrast.max())
        foreground = (contrast - least) / max(most - least, 1e-9)
        first, second = graph.neighbours.T
        joined = np.zeros_like(apart)
        alike = np.exp(-(apart[first, second] ** 2) / (2 * self.colour_sigma**2))
        joined[first, second] = joined[second, first] = alike + self.smoothness
        laplacian = np.diag(joined.sum(axis=1)) - joined
        system = np.diag(background + foreground) + laplacian
        found: np.ndarray = np.linalg.solve(system + 1e-9 * np.eye(len(system)), foreground)
        return found


def usual_step(apart: np.ndarray, neighbours: np.ndarray) -> float:
    """Mean over superpixels of the distance (S, S) to the neighbour (P, 2) that is most alike."""
    nearest = np.full(len(apart), np.inf)
    steps = apart[neighbours[:, 0], neighbours[:, 1]]
    for column in neighbours.T:
        np.minimum.at(nearest, column, steps)
    known = nearest[np.isfinite(nearest)]
    return float(known.mean()) if len(known) else 0.0


def border_superpixels(labels: np.ndarray) -> np.ndarray:
    """(S,) bool: which superpixels of a label map (H, W) touch the photo's border."""
    touching = np.zeros(int(labels.max()) + 1, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        touching[edge] = True
    return touching
