"""What tells whether a soft component belongs to what the photo is about.

The cues of classical saliency, of whole components: size and place, the share of the photo's border
(W. Zhu, S. Liang, Y. Wei, J. Sun, *Saliency Optimization from Robust Background Detection*, CVPR
2014), contrast to the border and to the rest (F. Perazzi, P. Krähenbühl, Y. Pritch, A. Hornung,
*Saliency Filters*, CVPR 2012), colour and sharpness. Descriptors of this kind, weighed by learning,
are those of H. Jiang, J. Wang, Z. Yuan, Y. Wu, N. Zheng, S. Li, *Salient Object Detection: A
Discriminative Regional Feature Integration Approach*, CVPR 2013. Embeddings come in as distances
alone, so those of any network will do.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from skimage.color import rgb2lab

from sss.spectral.contrasts import mean_distances
from sss.spectral.parts import LAB_SCALE, LEAST_SHARE

_PLACE = (
    *("log area", "height of the centre", "centre off the middle column"),
    *("distance of the centre from the photo's", "spread down", "spread across"),
    *("spread / size", "share in the middle", "squared distance from the photo's centre"),
)
_BORDER = (
    *("share of the border", "part in the border", "border share / size"),
    *("largest share of a side", "second share of a side"),
    *("share of the top", "share of the bottom", "share of left or right"),
)
_CONTRAST = (
    *("to the border / photo", "to the nearest side / photo", "to the second side / photo"),
    *("to the furthest side / photo", "to all / photo", "to what is near / photo"),
    *("to what fills the border / photo", "spread / photo"),
    *("to the border", "to what fills the border", "to the border / largest", "to all / largest"),
    *("border share / size of what is alike", "border share / area of what is alike"),
    *("border share / area of what is most alike", "share in the middle of what is alike"),
    *("background", "contrast to what is near and background / photo"),
)
_LOOKS = (
    *("sharpness / photo", "saturation", "saturation − photo"),
    *("lightness", "lightness − photo", "mean L", "mean a", "mean b"),
)
SPACES = ("embedding", "colour")
"""Distances are taken in the embedding and in Lab."""

NAMES = (
    *(*_PLACE, *_BORDER),
    *(f"{space}: {name}" for space in SPACES for name in _CONTRAST),
    *_LOOKS,
)
"""What the columns of :func:`describe_components` are. Places are fractions of the photo's height
and width. ``/ photo`` divides by the mean distance of two pixels of the photo, or its mean."""

BORDER_WIDTH = 0.04
"""Of the frame that counts as the border, in fractions of the shorter side."""

MIDDLE_SIGMA = 0.25
"""Of the Gaussians that say what lies in the middle, and what near."""

ALIKE, MOST_ALIKE = 0.35, 0.15
"""Distances, in fractions of the largest between two components, at which they count as alike."""

BACKGROUND_SIGMA = 0.6
"""Of the border share / size of what is alike, at which it counts as background."""

_TINY = 1e-6


def describe_components(
    components: np.ndarray, embedding: np.ndarray, photo: np.ndarray
) -> np.ndarray:
    """Describe each soft component of a photo.

    Args:
        components: (N, C), rows summing to one.
        embedding: (h, w, D), N = h·w.
        photo: (h, w, 3) in [0, 1].

    Returns:
        (C, F): see :data:`NAMES`.
    """
    size = embedding.shape[:2]
    alpha = np.clip(components, 0, 1).astype(np.float32)
    alpha /= np.maximum(alpha.sum(axis=1, keepdims=True), _TINY)
    lab = rgb2lab(np.clip(photo, 0, 1)).astype(np.float32) / np.float32(LAB_SCALE)
    layout = _measure_layout(alpha, size)
    columns = [*_place(layout), *_border(layout)]
    for values in (embedding, lab):
        columns += _contrast(alpha, values, layout)
    columns += _looks(layout.weights, np.clip(photo, 0, 1).astype(np.float32), lab)
    return np.stack(columns, axis=1).astype(np.float64)


@dataclass(frozen=True)
class _Layout:
    """Where the components lie.

    Attributes:
        weights: (N, C) alphas, each component's summing to one.
        area: (C,) fractions of the photo.
        sides: (N, 5) 0 or 1: the border as a whole; top, bottom, left, right.
        shares: (C, 5) fraction of each of these that a component fills.
        in_border: (C,) fraction of a component that lies in the border.
        centre: (C, 2) row and column.
        spread: (C, 2) standard deviations.
        middle: (C,) mean of a Gaussian around the photo's centre.
        off_centre: (C,) mean squared distance from it.
        longer: The longer side in pixels.
    """

    weights: np.ndarray
    area: np.ndarray
    sides: np.ndarray
    shares: np.ndarray
    in_border: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    middle: np.ndarray
    off_centre: np.ndarray
    longer: int


def _measure_layout(alpha: np.ndarray, size: tuple[int, int]) -> _Layout:
    height, width = size
    total = np.maximum(alpha.sum(axis=0), LEAST_SHARE * len(alpha))
    weights = alpha / total
    band = max(1, round(BORDER_WIDTH * min(size)))
    sides = np.zeros((5, height, width), np.float32)
    sides[1, :band] = sides[2, -band:] = sides[3, :, :band] = sides[4, :, -band:] = 1
    sides[0] = sides[1:].max(axis=0)
    flat = sides.reshape(5, -1).T  # (N, 5)
    rows, columns = np.divmod(np.arange(len(alpha)), width)
    places = np.stack([(rows + 0.5) / height, (columns + 0.5) / width], axis=1)
    centre = weights.T @ places
    variance = weights.T @ places**2 - centre**2
    squared = ((places - 0.5) ** 2).sum(axis=1)
    filled = alpha.T @ flat
    return _Layout(
        weights,
        total / len(alpha),
        flat,
        filled / flat.sum(axis=0),
        filled[:, 0] / total,
        centre,
        np.sqrt(np.maximum(variance, _TINY)),
        weights.T @ np.exp(-squared / (2 * MIDDLE_SIGMA**2)),
        weights.T @ squared,
        max(size),
    )


def _place(layout: _Layout) -> list[np.ndarray]:
    offset = layout.centre - 0.5
    spread = layout.spread
    return [
        np.log(layout.area),
        layout.centre[:, 0],
        np.abs(offset[:, 1]),
        np.linalg.norm(offset, axis=1),
        spread[:, 0],
        spread[:, 1],
        spread.prod(axis=1) / np.sqrt(layout.area),
        layout.middle,
        layout.off_centre,
    ]


def _border(layout: _Layout) -> list[np.ndarray]:
    shares = layout.shares
    of_sides = np.sort(shares[:, 1:], axis=1)
    return [
        shares[:, 0],
        layout.in_border,
        layout.in_border * np.sqrt(layout.area),
        of_sides[:, -1],
        of_sides[:, -2],
        shares[:, 1],
        shares[:, 2],
        shares[:, 3:].max(axis=1),
    ]


def _contrast(alpha: np.ndarray, values: np.ndarray, layout: _Layout) -> list[np.ndarray]:
    """Energy distances, see :func:`sss.spectral.contrasts.energy_distances`, as ``_CONTRAST``."""
    count, area = alpha.shape[1], layout.area
    mean = mean_distances(np.concatenate([alpha, layout.sides], axis=1), values)
    within = np.diagonal(mean)
    distances = np.maximum(mean - (within + within[:, None]) / 2, 0)
    apart, to_border = distances[:count, :count], distances[:count, count]
    photo = max(float(area @ mean[:count, :count] @ area), _TINY)
    largest = max(float(apart.max()), _TINY)
    to_sides = np.sort(distances[:count, count + 1 :], axis=1)
    to_all = apart @ area
    offsets = layout.centre[:, None] - layout.centre
    near = np.exp(-(offsets**2).sum(axis=2) / (2 * MIDDLE_SIGMA**2))
    at_border = area * layout.shares[:, 0]
    to_filling = apart @ at_border / max(float(at_border.sum()), _TINY)
    alike, most_alike = (np.exp(-((apart / (part * largest)) ** 2)) for part in (ALIKE, MOST_ALIKE))
    connectivity = alike @ layout.shares[:, 0] / np.sqrt(alike @ area)
    background = 1 - np.exp(-(connectivity**2) / (2 * BACKGROUND_SIGMA**2))
    relative = [
        to_border,
        *(to_sides[:, 0], to_sides[:, 1], to_sides[:, 3]),
        to_all,
        (apart * near) @ area / (near @ area),
        to_filling,
        within[:count],
    ]
    return [
        *(one / photo for one in relative),
        to_border,
        to_filling,
        to_border / max(float(to_border.max()), _TINY),
        to_all / max(float(to_all.max()), _TINY),
        connectivity,
        alike @ layout.shares[:, 0] / (alike @ area),
        most_alike @ layout.shares[:, 0] / (most_alike @ area),
        alike @ (area * layout.middle) / (alike @ area),
        background,
        (apart * near) @ (background * area) / photo,
    ]


def _looks(weights: np.ndarray, photo: np.ndarray, lab: np.ndarray) -> list[np.ndarray]:
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    saturation = cv2.cvtColor(photo, cv2.COLOR_RGB2HSV)[..., 1]
    means = [weights.T @ values.ravel() for values in (slope, saturation, grey)]
    return [
        means[0] / max(float(slope.mean()), _TINY),
        means[1],
        means[1] - saturation.mean(),
        means[2],
        means[2] - grey.mean(),
        *(weights.T @ lab.reshape(-1, 3)).T,
    ]
