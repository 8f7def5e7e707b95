"""How far apart the features of soft components are."""

from __future__ import annotations

import numpy as np

from sss.spectral.sampling import sample_lattice_pixels
from sss.threads import map_threads, slices

COMPARED_PIXELS = 4000
"""Whose features tell how far apart components are."""

ROWS = 256
"""Of those pixels, compared at a time: their distances to all others take 4 MB."""


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
    mean = mean_distances(components, embedding, sampled_pixels, rows)
    within = np.diagonal(mean) / 2
    return np.maximum(mean - within - within[:, None], 0)


def mean_distances(
    components: np.ndarray,
    embedding: np.ndarray,
    sampled_pixels: int = COMPARED_PIXELS,
    rows: int = ROWS,
) -> np.ndarray:
    """Mean distance of a pixel of one component to one of another, or of the same, (C, C).

    Args:
        components: (N, C).
        embedding: (H, W, D), N = H·W.
        sampled_pixels: Pixels, spread evenly, that stand for all; they count by alpha.
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
    mean: np.ndarray = half + half.T
    return mean
