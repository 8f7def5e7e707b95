"""Which components form a layer (Aksoy et al. 2018, Sec. 3.5)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from sss.errors import InputError
from sss.spectral.clustering import best_kmeans
from sss.spectral.sampling import sample_lattice_pixels
from sss.spectral.settings import DEFAULT_SETTINGS, LAYERS, Settings, check_layers
from sss.threads import map_threads, slices

COMPARED_PIXELS = 4000
"""Whose features tell how far apart components are."""

ROWS = 256
"""Of those pixels, compared at a time: their distances to all others take 4 MB."""

GROUPING_RESTARTS = 200
"""k-means of two dozen points has many local optima: with this many draws, the best one found is
the same from seed to seed."""

LEAST_AREA = 1e-3
"""Fraction of the photo that even a component without a pixel of its own counts for when distances
are averaged."""


def group_components(
    components: np.ndarray,
    embedding: np.ndarray,
    layers: int | None = LAYERS,
    settings: Settings = DEFAULT_SETTINGS,
) -> np.ndarray:
    """Add up components whose mean features are alike.

    ``kmeans`` is the paper's way: k-means of the mean features, every component counting the
    same. ``linkage`` merges the two nearest groups again and again, the distance between groups
    being the mean of their components' distances weighted by area (average linkage): a scrap of
    texture no longer takes a layer from the rest of the photo.

    Args:
        components: (N, C), rows summing to one.
        embedding: (H, W, D), N = H·W.
        layers: Layers wanted; None chooses within ``auto_layers``: ``linkage`` stops where the next
            two groups are further apart than ``auto_threshold`` of the distance of the last two.
        settings: Of these ``grouping``, ``seed`` (of k-means), ``auto_threshold``, ``auto_layers``.

    Returns:
        (H, W, K) layers, largest first. K is smaller than ``layers`` when there are fewer
        components.

    Raises:
        InputError: Layers below 1, or ``kmeans`` without a number of layers.
    """
    check_layers(layers)
    if settings.grouping == "linkage":
        groups = _linkage_groups(components, embedding, layers, settings)
    elif layers is None:
        raise InputError("grouping 'kmeans' needs a number of layers; choose 'linkage'")
    else:
        groups = kmeans_groups(_means(components, embedding), layers, settings.seed)
    return _added_up(components, groups, embedding.shape[:2])


def group_as(components: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """Add up components that lie in the same one of given layers.

    Which groups merge last is often nearly a tie, and other components of the same photo, or the
    same ones after a rounding, then go the other way. So the exact solver leaves that decision to
    the coarse one.

    Args:
        components: (N, C), rows summing to one.
        layers: (H, W, K), N = H·W.

    Returns:
        (H, W, K) layers, largest first: each component in the layer that it overlaps most, but for
        those that must move for every layer to have one. K is smaller if there are fewer
        components.
    """
    strongest = np.eye(layers.shape[2])[layers.argmax(axis=2).ravel()]
    overlap = np.clip(components, 0, 1).T @ strongest  # (C, K)
    groups = overlap.argmax(axis=1)
    if overlap.shape[0] >= overlap.shape[1]:
        chosen, given = linear_sum_assignment(overlap.max(axis=1, keepdims=True) - overlap)
        groups[chosen] = given
    return _added_up(components, groups, layers.shape[:2])


def _added_up(components: np.ndarray, groups: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """(H, W, K) sums of the components (N, C) of each group, largest first."""
    groups = np.unique(groups, return_inverse=True)[1]
    grouped = components @ np.eye(groups.max() + 1)[groups]  # (N, C)·(C, K)
    order = np.argsort(-grouped.sum(axis=0), kind="stable")
    return grouped[:, order].reshape(*size, -1)


def _means(components: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    """Mean feature of each component, (C, D), pixels counting by alpha."""
    area = components.sum(axis=0)
    sums = components.T @ embedding.reshape(len(components), -1)
    return sums / np.where(np.abs(area) > 1e-9, area, 1.0)[:, None]


def kmeans_groups(
    means: np.ndarray, count: int, seed: int, restarts: int = GROUPING_RESTARTS
) -> np.ndarray:
    """Group of each component, (C,), by k-means of the mean features (C, D)."""
    if len(means) <= count:
        return np.arange(len(means))
    return best_kmeans(means, count, restarts, seed).labels_


def _linkage_groups(
    components: np.ndarray, embedding: np.ndarray, layers: int | None, settings: Settings
) -> np.ndarray:
    """Group of each component, (C,)."""
    distances = energy_distances(components, embedding)
    owned = np.bincount(components.argmax(axis=1), minlength=components.shape[1])
    merges, heights = average_linkage(distances, owned + LEAST_AREA * len(components))
    if layers is None:
        fewest, most = settings.auto_layers
        apart = 1 + int((heights > settings.auto_threshold * heights.max(initial=0.0)).sum())
        layers = min(max(apart, fewest), most)
    groups = np.arange(len(owned))
    for into, merged in merges[: max(0, len(owned) - layers)]:
        groups[groups == merged] = into
    return groups


def energy_distances(
    components: np.ndarray,
    embedding: np.ndarray,
    sampled_pixels: int = COMPARED_PIXELS,
    rows: int = ROWS,
) -> np.ndarray:
    """How far apart the features of every two components are, (C, C).

    ``E‖X − Y‖ − (E‖X − X'‖ + E‖Y − Y'‖)/2`` for pixels X, X' of one and Y, Y' of the other, drawn
    by alpha: the energy distance (Székely and Rizzo, *J. Stat. Plan. Inference* 143, 2013), halved
    so that two components of one feature each are as far apart as these. Unlike the distance of
    the means, it hardly moves when a component takes some pixels from another: of two solvers'
    slightly different components more become the same groups.

    Args:
        components: (N, C).
        embedding: (H, W, D), N = H·W.
        sampled_pixels: Pixels, spread evenly, that stand for all.
        rows: Of these, compared at a time with themselves and those after them.
    """
    pixels = sample_lattice_pixels(embedding.shape[:2], sampled_pixels)
    points = embedding.reshape(len(components), -1)[pixels].astype(np.float32)
    weights = np.clip(components[pixels], 0, 1)
    weights /= np.maximum(weights.sum(axis=0), 1e-9)
    squares = np.square(points).sum(axis=1)

    def add_up(part: slice) -> np.ndarray:
        """(C, C) sum over pairs of these pixels with themselves and, once, with those after."""
        after = slice(part.start, None)
        apart = squares[part, None] + squares[after] - 2 * points[part] @ points[after].T
        distances = np.sqrt(np.maximum(apart, 0))
        own = slice(0, part.stop - part.start)
        distances[:, own] /= 2  # both ways are in it
        total: np.ndarray = weights[part].T @ (distances @ weights[after])
        return total

    half = np.sum(map_threads(add_up, slices(len(points), rows)), axis=0)
    mean = half + half.T
    within = np.diagonal(mean) / 2
    return np.maximum(mean - within - within[:, None], 0)


def average_linkage(
    distances: np.ndarray, weights: np.ndarray
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Merge the nearest two groups until one is left; distances are weighted means.

    SciPy's linkage knows no weights. With integer weights w it equals SciPy's ``average`` on
    points repeated w times.

    Args:
        distances: (C, C) symmetric.
        weights: (C,) positive.

    Returns:
        C − 1 pairs ``(into, merged)``: the group led by point ``merged`` joins that led by
        ``into``; and the distance of each pair, which never falls.
    """
    between = distances.astype(np.float64)
    np.fill_diagonal(between, np.inf)
    weights = weights.astype(np.float64)
    merges: list[tuple[int, int]] = []
    heights = []
    for _ in range(len(weights) - 1):
        into, merged = sorted(divmod(int(between.argmin()), len(weights)))
        heights.append(between[into, merged])
        merges.append((into, merged))
        total = weights[into] + weights[merged]
        row = (weights[into] * between[into] + weights[merged] * between[merged]) / total
        between[into] = between[:, into] = row
        between[into, into] = np.inf
        between[merged] = between[:, merged] = np.inf
        weights[into] = total
    return merges, np.maximum.accumulate(heights)
