"""Rough masks of objects to soft layers: how much of each pixel belongs to each mask.

A mask says which object is meant, not where it ends. It is put in its best place first
(:mod:`sss.spectral.placing`). Pixels deep inside or far outside are then certain; in the band
between, alpha follows the matting Laplacian (:mod:`sss.spectral.propagation`), with a guess from
the distance to the rim and from the soft components: of one that lies in the mask for the most
part, the rest is likely the object's too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from scipy.ndimage import distance_transform_edt
from scipy.special import expit

from sss.image.resize import resize_linearly
from sss.spectral.placing import FAR, colour_gradient, place
from sss.spectral.propagation import propagate
from sss.threads import map_threads

BAND = 0.04
"""Half the width of the band in which a mask's rim may lie, as a fraction of the mask's size."""

STEEPNESS = 0.15
"""Of the guess: the distance from the rim, in units of ``BAND``, at which odds are e to one."""

DEEPEST = 0.7
"""Of the mask's depth that the band may take: its core stays certain."""

LEAST_BAND = 0.5
"""In pixels. Of objects with a narrower one a mask says as much as the photo does."""

COMPONENT_SHARE = 0.02
"""Added to the share that a component has of a mask and of its surroundings: components that are in
neither tell nothing."""

GUESS_WEIGHT = 0.001
"""λ, where the band is ``WIDE_BAND`` pixels or more to either side; of narrower ones it grows by
the fourth power of what they lack: a band of few pixels is full of the photo's own blur, which
tells less than the mask does."""

WIDE_BAND = 10.0

CERTAIN = 0.05
"""Alphas this near to 0 or 1 are these: what the band's far sides leave as a haze."""


def priority(masks: np.ndarray, scores: Sequence[float] | None = None) -> list[int]:
    """The order in which masks (T, H, W) claim what several hold: by score, then smaller first."""
    areas = masks.sum(axis=(1, 2))
    given = np.zeros(len(masks)) if scores is None else scores
    return sorted(range(len(masks)), key=lambda t: (-given[t], areas[t], t))


def soft_masks(
    masks: np.ndarray,
    scores: Sequence[float] | None,
    photo: np.ndarray,
    laplacian: sp.csr_array,
    components: np.ndarray,
) -> np.ndarray:
    """How much of each pixel belongs to the object of each mask.

    Args:
        masks: (T, H, W) bool, each with at least one pixel; where they overlap, the one with the
            higher score has the pixel, of equal ones the smaller.
        scores: (T,); None of equals.
        photo: (H, W, 3) float32 in [0, 1].
        laplacian: Matting Laplacian of the photo, sparse (N, N), N = H·W.
        components: (h, w, C) soft components on a grid of the photo, summing to one.

    Returns:
        (H, W, T) float32 in [0, 1]; what they lack of a sum of one belongs to no mask.
    """
    gradient = colour_gradient(photo)
    distances = np.stack(map_threads(lambda mask: place(mask, gradient), list(masks)))
    claimed = np.full(masks.shape[1:], FAR)
    for number in priority(masks, scores):
        own = distances[number].copy()
        np.maximum(distances[number], -claimed, out=distances[number])
        np.minimum(claimed, own, out=claimed)
    alpha = np.clip(components, 0, 1)
    found = map_threads(lambda distance: _soft_mask(distance, laplacian, alpha), list(distances))
    soft = np.stack(found, axis=2)
    soft /= np.maximum(soft.sum(axis=2, keepdims=True), 1)
    return soft


def fill_claimed(layers: np.ndarray, claims: np.ndarray) -> np.ndarray:
    """Layers of what no mask claims, going on behind the masks.

    A pixel that masks claim takes the layers of the nearest one that they do not: at a mask's rim
    what is not the mask's is then what lies beside it, and not the layer that the object was in.

    Args:
        layers: (H, W, K), summing to about one.
        claims: (H, W, T) of :func:`soft_masks`.

    Returns:
        (H, W, K') float32 without the layers that masks claim all of; (H, W, 1) of ones if masks
        claim the whole photo.
    """
    claimed = claims.sum(axis=2) > CERTAIN
    if claimed.all():
        return np.ones((*claimed.shape, 1), np.float32)
    rows, columns = distance_transform_edt(claimed, return_distances=False, return_indices=True)
    filled = layers[rows, columns].astype(np.float32)
    left = np.unique(filled.argmax(axis=2)[~claimed])
    kept: np.ndarray = filled[..., left]
    return kept / np.maximum(kept.sum(axis=2, keepdims=True), np.float32(1e-6))


def _soft_mask(distance: np.ndarray, laplacian: sp.csr_array, alpha: np.ndarray) -> np.ndarray:
    """(H, W) float32 in [0, 1] from the distance to a mask's rim."""
    inside = distance < 0
    soft = inside.astype(np.float32)
    width = BAND * float(np.sqrt(inside.sum()))
    band = (distance > -min(width, DEEPEST * -float(distance.min()))) & (distance < width)
    if width < LEAST_BAND or not band.any():
        return soft
    guess = -distance / (STEEPNESS * width)
    guess += _component_odds(inside, distance < 2 * width + 2, alpha)
    pixels = np.flatnonzero(band)
    start = expit(guess.ravel()[pixels].astype(np.float64))[:, None]
    weight = GUESS_WEIGHT * max(1.0, WIDE_BAND / width) ** 4
    solved = propagate(laplacian, soft.reshape(-1, 1), pixels, start, weight)[:, 0]
    soft.ravel()[pixels] = ((solved - CERTAIN) / (1 - 2 * CERTAIN)).clip(0, 1)
    return soft


def _component_odds(inside: np.ndarray, around: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(H, W) log odds, by the components of a pixel, that it is of the mask and not beside it."""
    grid, count = alpha.shape[:2], alpha.shape[2]
    both = np.stack([inside, around & ~inside], axis=2).astype(np.float32)
    small = resize_linearly(both, grid).reshape(-1, 2)
    shares = alpha.reshape(-1, count).T @ small / np.maximum(small.sum(axis=0), 1e-9)  # (C, 2)
    odds = np.log((shares[:, 0] + COMPONENT_SHARE) / (shares[:, 1] + COMPONENT_SHARE))
    return resize_linearly((alpha @ odds)[..., None], inside.shape, np.float32)[..., 0]
