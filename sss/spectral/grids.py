"""The sizes at which the steps work, and the way between them."""

from __future__ import annotations

from sss.image.resize import resize_linearly, size_within

__all__ = ["coarse_size", "graph_size", "refined_size", "resize_linearly", "size_within"]

COARSE_PIXELS = 25_600
"""Size of the coarse grid: eigenvectors and components are computed on it."""

GRAPH_PIXELS = 160_000
"""Largest size at which superpixels are found, to be carried over to the coarse grid: those of the
coarse grid itself lie elsewhere, and so do then the layers' lesser parts."""

REFINED_PIXELS = 409_600
"""Largest size at which the coarse solver's layers are refined; larger photos take their colours
from there on, see :mod:`sss.spectral.upsampling`. On 12 megapixels the sparsity of the relaxed step
outweighs the matting Laplacian, which knows neighbours only, and hair becomes all or nothing."""


def coarse_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(h, w) of the coarse grid: ``COARSE_PIXELS`` at most, the photo's shape, 3 at least."""
    return size_within(size, COARSE_PIXELS)


def graph_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(h, w) of the grid for superpixels: ``GRAPH_PIXELS`` at most, the photo's shape."""
    return size_within(size, GRAPH_PIXELS)


def refined_size(size: tuple[int, ...]) -> tuple[int, int]:
    """(h, w) at which layers are refined: ``REFINED_PIXELS`` at most, the photo's shape."""
    return size_within(size, REFINED_PIXELS)
