"""An embedding of any dimension to the three that the graph uses (Aksoy et al. 2018, Sec. 3.3)."""

from __future__ import annotations

import logging

import numpy as np
from threadpoolctl import threadpool_limits

from sss.errors import InputError
from sss.image.resize import EMBEDDED_PIXELS, fitting_size, shrink_to_fit
from sss.spectral.guided_filter import GuidedFilter
from sss.threads import map_threads

log = logging.getLogger(__name__)

CLIP = 5.0
"""An embedding is clipped to ±5 first (released code)."""

FILTER_WINDOW = 10
"""Side of the guided filter's window in pixels (released code)."""

FILTER_EPSILON = 0.01
"""Regularisation of the guided filter: MATLAB's default for photos in [0, 1]."""

DIMENSIONS = 3

BLOCK = 16
"""Channels that are brought into planes at a time: those of one line of the cache."""

STRIP = 4
"""Rows of pixels that are brought into planes at a time: they stay in the cache meanwhile."""

CHUNK = 16_384
"""Pixels that are brought to double precision at a time."""

FLAT = 1e-6
"""A reduced channel whose values span less than this fraction of the clipped range is constant."""


def prepare_embedding(
    embedding: np.ndarray, photo: np.ndarray, pixels: int = EMBEDDED_PIXELS
) -> tuple[np.ndarray, np.ndarray]:
    """What the spectral core takes of an embedding, for a photo of any size.

    More than three dimensions are reduced by :func:`reduce_embedding`. Up to three are taken as
    they are where they lie in [0, 1], and stretched to it where not; missing channels are zero.

    Args:
        embedding: (H, W, D) float, the photo's size, or already (h, w, D).
        photo: (H, W, 3) float in [0, 1].
        pixels: Most pixels of the result.

    Returns:
        ``features3``, (h, w, 3) float64 in [0, 1], and the embedding, (h, w, D), where (h, w) is
        :func:`sss.image.resize.fitting_size` of (H, W).

    Raises:
        InputError: Sizes differ, or the embedding is not finite.
    """
    if embedding.shape[:2] != fitting_size(photo.shape, pixels):
        check_embedding(embedding, photo.shape[:2])
        embedding = shrink_to_fit(embedding, pixels)
    small = shrink_to_fit(photo, pixels)
    if embedding.shape[2] > DIMENSIONS:
        return reduce_embedding(embedding, small), embedding
    check_embedding(embedding, small.shape[:2])
    features3 = embedding.astype(np.float64)
    if features3.min() < 0 or features3.max() > 1:
        features3 = stretch(features3)
    missing = DIMENSIONS - features3.shape[2]
    return np.pad(features3, ((0, 0), (0, 0), (0, missing))), embedding


def reduce_embedding(embedding: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Clip, smooth along the photo's edges, project to three dimensions, stretch to [0, 1].

    Args:
        embedding: (H, W, D) float.
        photo: (H, W, 3) float in [0, 1], the guide of the filter.

    Returns:
        (H, W, 3) float64 in [0, 1]. A channel without variation is 0 throughout, with a warning
        in the log; the segmentation then rests on the others and on colour.

    Raises:
        InputError: Sizes differ, or the embedding is not finite.
    """
    check_embedding(embedding, photo.shape[:2])
    filtered = _filtered_planes(photo.astype(np.float32), embedding, CLIP)  # (D, H, W)
    projected = _principal_components(filtered.reshape(len(filtered), -1), DIMENSIONS)
    return stretch(projected.T.reshape(*photo.shape[:2], DIMENSIONS))


def check_embedding(embedding: np.ndarray, size: tuple[int, ...]) -> None:
    """Refuse an embedding that does not fit a photo of ``size`` (H, W) or is not finite.

    Raises:
        InputError: Says what came and what was expected.
    """
    if embedding.ndim != 3 or embedding.shape[:2] != tuple(size):
        shape = "×".join(map(str, embedding.shape))
        raise InputError(
            f"the embedding is {shape}, expected {size[0]}×{size[1]}×D as the photo; compute it "
            "again at the photo's size (--max-side changes it)"
        )
    step = 1 + CHUNK // embedding.shape[1]
    strips = [embedding[row : row + step] for row in range(0, len(embedding), step)]
    if not all(map_threads(lambda strip: bool(np.isfinite(strip).all()), strips)):
        raise InputError("the embedding holds NaN or infinite values; compute it again")


def guided_filter(guide: np.ndarray, values: np.ndarray, window: int = FILTER_WINDOW) -> np.ndarray:
    """Guided filter with a colour guide (He, Sun, Tang, *Guided Image Filtering*, TPAMI 2013).

    The window's side is even, so it has no middle pixel: the window of pixel (y, x) reaches from
    (y − 5, x − 5) to (y + 4, x + 4), mirrored at the border (OpenCV's anchor of even
    windows).

    Args:
        guide: (H, W, 3) float32 in [0, 1].
        values: (H, W, D) float32.
        window: Side of the window in pixels.

    Returns:
        (H, W, D) float32: in each window an affine function of the guide.
    """
    planes = _filtered_planes(guide, values, np.inf, window)
    return np.ascontiguousarray(planes.transpose(1, 2, 0))


def _filtered_planes(
    guide: np.ndarray, values: np.ndarray, limit: float, window: int = FILTER_WINDOW
) -> np.ndarray:
    """Filter (H, W, D) channels, clipped to ±``limit``; (D, H, W) float32."""
    height, width, channels = values.shape
    smooth = GuidedFilter(guide, window, FILTER_EPSILON)
    result = np.empty((channels, height, width), np.float32)

    def filter_block(first: int) -> None:
        source = values[..., first : first + BLOCK].transpose(2, 0, 1)
        block = np.empty(source.shape, np.float32)
        for row in range(0, height, STRIP):
            block[:, row : row + STRIP] = source[:, row : row + STRIP]
        np.clip(block, -limit, limit, out=block)
        for offset, plane in enumerate(block):
            smooth(plane, result[first + offset])

    map_threads(filter_block, range(0, channels, BLOCK))
    return result


def principal_components(points: np.ndarray, count: int) -> np.ndarray:
    """Project ``points`` (N, D) on their ``count`` main directions, (N, count) float64.

    Directions are ordered by variance; their sign makes the largest entry positive. With D less
    than ``count`` the missing columns are zero.
    """
    return _principal_components(points.T, count).T


def _principal_components(channels: np.ndarray, count: int) -> np.ndarray:
    """(D, N) to (count, N); in chunks, since double precision of all would take twice the room."""
    size = channels.shape[1]
    mean = channels.mean(axis=1, dtype=np.float64, keepdims=True)

    def scatter(first: int) -> np.ndarray:
        centred = channels[:, first : first + CHUNK] - mean
        return centred @ centred.T

    starts = range(0, size, CHUNK)
    with threadpool_limits(1, user_api="blas"):  # the threads are those of the chunks
        covariance = sum(map_threads(scatter, starts)) / size
        _, directions = np.linalg.eigh(covariance)
        main = directions[:, ::-1][:, :count]
        strongest = main[np.abs(main).argmax(axis=0), range(main.shape[1])]
        main = (main * np.where(strongest < 0, -1, 1)).T  # (count, D)
        weights, shift = main.astype(channels.dtype), main @ mean

        def project(first: int) -> np.ndarray:
            return weights @ channels[:, first : first + CHUNK] - shift

        parts = map_threads(project, starts)
    projected = np.concatenate(parts, axis=1)
    return np.pad(projected, ((0, count - len(projected)), (0, 0)))


def stretch(values: np.ndarray) -> np.ndarray:
    """Scale each channel of (H, W, C) to [0, 1]; constant ones become 0, with a warning."""
    lowest = values.min(axis=(0, 1))
    span = values.max(axis=(0, 1)) - lowest
    flat = span < FLAT * 2 * CLIP
    if flat.any():
        log.warning(
            "embedding: %d of %d channels do not vary over the photo and are left out%s",
            *(flat.sum(), flat.size),
            "; the layers follow colour alone" if flat.all() else "",
        )
    stretched = np.clip((values - lowest) / np.where(flat, 1, span), 0, 1)
    return np.where(flat, 0.0, stretched)
