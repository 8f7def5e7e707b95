"""Features of any dimension to the three that the graph uses (Aksoy et al. 2018, Sec. 3.3)."""

from __future__ import annotations

import logging

import cv2
import numpy as np

from sss.errors import InputError

log = logging.getLogger(__name__)

CLIP = 5.0
"""Features are clipped to ±5 first (released code)."""

FILTER_WINDOW = 10
"""Side of the guided filter's window in pixels (released code)."""

FILTER_EPSILON = 0.01
"""Regularisation of the guided filter: MATLAB's default for photos in [0, 1]."""

DIMENSIONS = 3

FLAT = 1e-6
"""A reduced channel whose values span less than this share of the clipped range is constant."""


def reduce_features(features: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Clip, smooth along the photo's edges, project to three dimensions, stretch to [0, 1].

    Args:
        features: (H, W, D) float.
        photo: (H, W, 3) float in [0, 1], the guide of the filter.

    Returns:
        (H, W, 3) float64 in [0, 1]. A channel without variation is 0 throughout, with a warning
        in the log; the segmentation then rests on the others and on colour.

    Raises:
        InputError: Sizes differ, or features are not finite.
    """
    check_features(features, photo.shape[:2])
    clipped = np.clip(features, -CLIP, CLIP).astype(np.float32)
    filtered = guided_filter(photo.astype(np.float32), clipped)
    projected = principal_components(filtered.reshape(-1, features.shape[2]), DIMENSIONS)
    return stretch(projected.reshape(*photo.shape[:2], DIMENSIONS))


def check_features(features: np.ndarray, size: tuple[int, ...]) -> None:
    """Refuse features that do not fit a photo of ``size`` (H, W) or are not finite.

    Raises:
        InputError: Says what came and what was expected.
    """
    if features.ndim != 3 or features.shape[:2] != tuple(size):
        shape = "×".join(map(str, features.shape))
        raise InputError(
            f"features are {shape}, expected {size[0]}×{size[1]}×D as the photo; compute them "
            "again at the photo's size (--max-side changes it)"
        )
    if not np.isfinite(features).all():
        raise InputError("features hold NaN or infinite values; compute them again")


def guided_filter(guide: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Guided filter with a colour guide (He, Sun, Tang, *Guided Image Filtering*, TPAMI 2013).

    The window's side is even, so it has no middle pixel: the window of pixel (y, x) reaches from
    (y − 5, x − 5) to (y + 4, x + 4), mirrored at the border (OpenCV's anchor of even
    windows).

    Args:
        guide: (H, W, 3) float32 in [0, 1].
        values: (H, W, D) float32.

    Returns:
        (H, W, D) float32: in each window an affine function of the guide.
    """

    def mean(picture: np.ndarray) -> np.ndarray:
        window = (FILTER_WINDOW, FILTER_WINDOW)
        return cv2.boxFilter(picture, -1, window, borderType=cv2.BORDER_REFLECT)

    guide_mean = mean(guide)
    products = [(i, j) for i in range(3) for j in range(i, 3)]
    covariance = np.empty((*guide.shape[:2], 3, 3), np.float32)
    for i, j in products:
        entry = mean(guide[..., i] * guide[..., j]) - guide_mean[..., i] * guide_mean[..., j]
        covariance[..., i, j] = covariance[..., j, i] = entry
    covariance[..., range(3), range(3)] += FILTER_EPSILON
    inverse = np.linalg.inv(covariance)
    result = np.empty_like(values)
    for channel in range(values.shape[2]):
        value = values[..., channel]
        value_mean = mean(value)
        cross = mean(guide * value[..., None]) - guide_mean * value_mean[..., None]
        slope = np.einsum("hwij,hwj->hwi", inverse, cross)
        offset = value_mean - np.einsum("hwi,hwi->hw", slope, guide_mean)
        result[..., channel] = np.einsum("hwi,hwi->hw", mean(slope), guide) + mean(offset)
    return result


def principal_components(points: np.ndarray, count: int) -> np.ndarray:
    """Project ``points`` (N, D) on their ``count`` main directions, (N, count) float64.

    Directions are ordered by variance; their sign makes the largest entry positive. With D less
    than ``count`` the missing columns are zero.
    """
    points = points.astype(np.float64)
    points -= points.mean(axis=0)
    _, directions = np.linalg.eigh(points.T @ points / len(points))
    main = directions[:, ::-1][:, :count]
    strongest = main[np.abs(main).argmax(axis=0), range(main.shape[1])]
    projected = points @ (main * np.where(strongest < 0, -1, 1))
    return np.pad(projected, ((0, 0), (0, count - projected.shape[1])))


def stretch(features: np.ndarray) -> np.ndarray:
    """Scale each channel of (H, W, C) to [0, 1]; constant ones become 0, with a warning."""
    lowest = features.min(axis=(0, 1))
    span = features.max(axis=(0, 1)) - lowest
    flat = span < FLAT * 2 * CLIP
    if flat.any():
        log.warning(
            "features: %d of %d channels do not vary over the photo and are left out%s",
            *(flat.sum(), flat.size),
            "; the layers follow colour alone" if flat.all() else "",
        )
    stretched = np.clip((features - lowest) / np.where(flat, 1, span), 0, 1)
    return np.where(flat, 0.0, stretched)
