"""Which components form a layer (Aksoy et al. 2018, Sec. 3.5)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from sss.errors import InputError
from sss.spectral.clustering import best_kmeans
from sss.spectral.contrasts import energy_distances
from sss.spectral.joining import load_join_model
from sss.spectral.parts import Parts
from sss.spectral.settings import DEFAULT_SETTINGS, LAYERS, Settings, check_layers

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
    parts: Parts | None = None,
) -> np.ndarray:
    """Add up components that belong together.

    ``kmeans`` is the paper's way: k-means of the mean features, every component counting the
    same. ``linkage`` merges the two nearest groups again and again, the distance between groups
    being the mean of their components' distances weighted by area (average linkage): a scrap of
    texture no longer takes a layer from the rest of the photo. ``learned`` does that too, but how
    near two components are is the share of people who would join them, as
    :mod:`sss.spectral.joining` expects it of what :mod:`sss.spectral.parts` sees; and components
    below ``settings.least_area`` first join what they most likely belong to.

    Args:
        components: (N, C), rows summing to one.
        embedding: (H, W, D), N = H·W.
        layers: Layers wanted; None chooses within ``auto_layers``: ``learned`` stops where fewer
            than ``auto_share`` would join the next two groups, ``linkage`` where they are further
            apart than ``auto_threshold`` of the distance of the last two.
        settings: Of these ``grouping``, ``seed`` (of k-means), ``least_area``, ``auto_share``,
            ``auto_threshold``, ``auto_layers``.
        parts: What :func:`sss.spectral.parts.measure_parts` saw of the components; ``learned``
            goes by that alone.

    Returns:
        (H, W, K) layers, largest first. K is smaller than ``layers`` when there are fewer
        components.

    Raises:
        InputError: Layers below 1, ``kmeans`` without a number of layers, or ``learned`` without
            parts.
    """
    check_layers(layers)
    if settings.grouping == "kmeans":
        if layers is None:
            raise InputError("grouping 'kmeans' needs a number of layers; choose 'learned'")
        groups = kmeans_groups(_means(components, embedding), layers, settings.seed)
    else:
        merges, heights = merge_components(components, embedding, settings, parts)
        if layers is None:
            learned = settings.grouping == "learned"
            relative = settings.auto_threshold * heights.max(initial=0.0)
            threshold = 1 - settings.auto_share if learned else relative
            layers = automatic_layers(heights, threshold, settings)
        groups = cut_merges(merges, layers)
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


def merge_components(
    components: np.ndarray, embedding: np.ndarray, settings: Settings, parts: Parts | None = None
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """The order in which components merge, down to one group.

    Args:
        components: (N, C), rows summing to one.
        embedding: (H, W, D), N = H·W.
        settings: Of these ``grouping`` (what is not ``learned`` goes by the embedding), and
            ``least_area``.
        parts: See :func:`group_components`; needed for ``learned``.

    Returns:
        See :func:`average_linkage`.

    Raises:
        InputError: ``learned`` without parts.
    """
    areas = component_areas(components)
    if settings.grouping != "learned":
        return average_linkage(energy_distances(components, embedding), areas)
    if parts is None:
        raise InputError("grouping 'learned' needs parts; measure them, or choose 'linkage'")
    scrap = settings.least_area * len(components)
    return average_linkage(1 - load_join_model().share(parts), areas, scrap)


def component_areas(components: np.ndarray) -> np.ndarray:
    """(C,) pixels of which each component of (N, C) is the strongest, and a little."""
    owned = np.bincount(components.argmax(axis=1), minlength=components.shape[1])
    return owned + LEAST_AREA * len(components)


def automatic_layers(heights: np.ndarray, threshold: float, settings: Settings) -> int:
    """The number of groups that merge above the threshold only, within ``auto_layers``.

    Args:
        heights: Of :func:`average_linkage`.
        threshold: Distance.
        settings: Of these ``auto_layers``.
    """
    fewest, most = settings.auto_layers
    return min(max(1 + int((heights > threshold).sum()), fewest), most)


def cut_merges(merges: list[tuple[int, int]], layers: int) -> np.ndarray:
    """Group of each component, (C,), where so many groups are left of the merges.

    Args:
        merges: Of :func:`average_linkage`.
        layers: Groups wanted, 1 or more; with fewer components each is a group.
    """
    groups = np.arange(len(merges) + 1)
    for into, merged in merges[: max(0, len(groups) - layers)]:
        groups[groups == merged] = into
    return groups


def average_linkage(
    distances: np.ndarray, weights: np.ndarray, scrap: float = 0.0
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Merge the nearest two groups until one is left; distances are weighted means.

    As long as a group is lighter than ``scrap``, the lightest one joins what it is nearest to.

    SciPy's linkage knows no weights. With integer weights w it equals SciPy's ``average`` on
    points repeated w times.

    Args:
        distances: (C, C) symmetric.
        weights: (C,) positive.
        scrap: Weight below which a group does not stay by itself.

    Returns:
        C − 1 pairs ``(into, merged)``: the group led by point ``merged`` joins that led by
        ``into``; and the distance of each pair, which never falls; of scraps it is that before.
    """
    between = distances.astype(np.float64)
    np.fill_diagonal(between, np.inf)
    weights = weights.astype(np.float64)
    merges: list[tuple[int, int]] = []
    heights = []
    for _ in range(len(weights) - 1):
        lightest = int(weights.argmin())
        if weights[lightest] < scrap:
            into, merged = sorted((lightest, int(between[lightest].argmin())))
            heights.append(-np.inf)
        else:
            into, merged = sorted(divmod(int(between.argmin()), len(weights)))
            heights.append(between[into, merged])
        merges.append((into, merged))
        total = weights[into] + weights[merged]
        row = (weights[into] * between[into] + weights[merged] * between[merged]) / total
        between[into] = between[:, into] = row
        between[into, into] = np.inf
        between[merged] = between[:, merged] = np.inf
        weights[into], weights[merged] = total, np.inf
    return merges, np.maximum.accumulate(heights)
