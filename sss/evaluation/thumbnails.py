"""Small pictures of photos, truths and layers for the report's gallery."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from sss.evaluation.methods.base import Segmentation
from sss.metrics.samples import Sample

SIDE = 240
"""Longer side of a picture in pixels; smaller photos are not enlarged."""

MOST_COLOURS = 16
"""More regions than these cannot be told apart by colour: they get the photo's mean colours and
their boundaries."""

_GOLDEN = (5**0.5 - 1) / 2


@cache
def palette(count: int) -> np.ndarray:
    """(count, 3) float32 in [0, 1]: colours of which neighbours in the list differ much.

    The hue goes on by the golden section of the circle, lightness and saturation take turns; the
    first colours are the same for every ``count``.
    """
    colours = [
        colorsys.hls_to_rgb((0.58 + k * _GOLDEN) % 1, (0.55, 0.42, 0.7)[k % 3], (0.7, 0.55)[k % 2])
        for k in range(count)
    ]
    return np.array(colours, np.float32).reshape(count, 3)


def photo_picture(photo: np.ndarray) -> np.ndarray:
    """The photo, (H, W, 3) uint8, with a longer side of :data:`SIDE` at most."""
    size = _small(photo.shape[:2])
    if size == photo.shape[:2]:
        return photo
    return cv2.resize(photo, size[::-1], interpolation=cv2.INTER_AREA)


def segmentation_picture(segmentation: Segmentation, photo: np.ndarray) -> np.ndarray:
    """Layers as colours blended by their alphas, or regions; what is the object white on black.

    Args:
        segmentation: Of the photo.
        photo: (H, W, 3) uint8.

    Returns:
        (h, w, 3) uint8, as large as :func:`photo_picture` gives.
    """
    size = _small(photo.shape[:2])
    if segmentation.foreground is not None:
        foreground = _resize(segmentation.foreground[..., None], size)
        return _bytes(np.repeat(foreground, 3, axis=2))
    if segmentation.alpha is not None:
        alpha = np.clip(_resize(segmentation.alpha, size), 0, 1)  # (h, w, K)
        total = np.maximum(alpha.sum(axis=2, keepdims=True), 1e-6)
        return _bytes((alpha / np.maximum(total, 1.0)) @ palette(alpha.shape[2]))
    labels = _nearest(np.unique(segmentation.labels, return_inverse=True)[1], photo.shape, size)
    if labels.max() < MOST_COLOURS:
        return _bytes(palette(MOST_COLOURS)[labels])
    return _mean_colours(labels, photo_picture(photo) / np.float32(255))


def truth_picture(sample: Sample) -> np.ndarray:
    """What is known of a photo: true mattes, else the mask, else instances, else regions.

    Mattes are colours blended by alpha; a single one and the mask are white on black. Instances
    lie in colours over the grey photo. Of several annotators the one with the median number of
    regions is shown; unlabelled pixels are dark grey.

    Returns:
        (h, w, 3) uint8, as large as :func:`photo_picture` gives.
    """
    size = _small(sample.photo.shape[:2])
    if sample.mattes:
        alphas = np.stack([matte.alpha for matte in sample.mattes], axis=-1)
        alphas = np.clip(_resize(alphas, size), 0, 1)
        colours = palette(alphas.shape[2]) if alphas.shape[2] > 1 else np.ones((1, 3), np.float32)
        return _bytes(alphas @ colours)
    if sample.mask is not None:
        mask = np.clip(_resize(sample.mask[..., None].astype(np.float32), size), 0, 1)
        return _bytes(np.repeat(mask, 3, axis=2))
    if len(sample.instances):
        return _instances_picture(sample, size)
    if not len(sample.regions):
        return photo_picture(sample.photo)
    counts = [len(np.unique(labels[labels >= 0])) for labels in sample.regions]
    chosen = sample.regions[int(np.argsort(counts, kind="stable")[len(counts) // 2])]
    values, labels = np.unique(chosen, return_inverse=True)
    known = int((values >= 0).sum())
    dark = np.full((len(values) - known, 3), 0.2, np.float32)  # negative values come first
    colours = np.concatenate([dark, palette(known)])
    return _bytes(colours[_nearest(labels, sample.photo.shape, size)])


def strip(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Equally large pictures below each other, one (n·h, w, 3) uint8."""
    return np.concatenate(pictures, axis=0)


def _instances_picture(sample: Sample, size: tuple[int, int]) -> np.ndarray:
    grey = cv2.cvtColor(photo_picture(sample.photo), cv2.COLOR_RGB2GRAY)
    picture = np.repeat(grey[..., None] / np.float32(255), 3, axis=2) * np.float32(0.8)
    areas = sample.instances.sum(axis=(1, 2))
    colours = palette(len(areas))
    for index in np.argsort(-areas, kind="stable"):  # small ones over large ones
        mask = _nearest(sample.instances[index].astype(np.uint8), sample.photo.shape, size) > 0
        picture[mask] = 0.35 * picture[mask] + 0.65 * colours[index]
    return _bytes(picture)


def _mean_colours(labels: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Regions (h, w) in the mean colours of the photo, with dark boundaries one pixel wide."""
    flat = labels.ravel()
    counts = np.maximum(np.bincount(flat), 1)
    sums = [np.bincount(flat, photo[..., channel].ravel()) for channel in range(3)]
    picture = (np.stack(sums, axis=1) / counts[:, None])[labels]
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    picture[edge] *= 0.35
    return _bytes(picture)


def _small(size: tuple[int, ...]) -> tuple[int, int]:
    height, width = size[:2]
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _resize(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mean over areas of (H, W, K), for any K."""
    if values.shape[:2] == size:
        return values
    channels = [
        cv2.resize(
            np.ascontiguousarray(values[..., k], np.float32),
            size[::-1],
            interpolation=cv2.INTER_AREA,
        )
        for k in range(values.shape[2])
    ]
    return np.stack(channels, axis=-1)


def _nearest(labels: np.ndarray, shape: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    """The labels, (H, W) or flat, at the middles of the small picture's pixels."""
    labels = labels.reshape(shape[:2])
    rows = (np.arange(size[0]) + 0.5) * shape[0] / size[0]
    columns = (np.arange(size[1]) + 0.5) * shape[1] / size[1]
    return labels[rows.astype(int)[:, None], columns.astype(int)]


def _bytes(picture: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
